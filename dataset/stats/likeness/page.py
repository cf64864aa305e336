"""The page of a likeness: what to fix next, and every statistic with the bot's distribution on top of people's."""

import sys
from collections.abc import Sequence
from datetime import date
from html import escape

import numpy as np

from dataset.reporting.charts import Heap, histograms, legend, tiles
from dataset.reporting.page import page, section
from dataset.reporting.terminal import command_line
from dataset.stats.likeness.compared import Compared
from dataset.stats.likeness.likeness import LIKE, UNCLEAR, UNKNOWN, UNLIKE, Likeness, most_unlike
from dataset.stats.likeness.words import counts, line_of, shown_figure, shown_outside
from dataset.stats.techniques.statistics import Measured, Statistic
from dataset.version import VERSION

PEOPLE, BOT = 8, 1
"""Colours."""

MOST_NEXT = 8

_TITLES = {UNLIKE: "Unlike a person", UNCLEAR: "Unclear", LIKE: "Like a person", UNKNOWN: "Unknown"}
_CAPTIONS = {
    UNLIKE: "The bot's interval lies wholly outside people's spread. The most unlike statistic comes first.",
    UNCLEAR: "The bot's figure lies outside people's spread, but its interval touches it. More games of the bot would tell.",
    LIKE: "The bot's figure lies within people's spread.",
    UNKNOWN: "Neither ever did it, one of them never came to it, or games do not record it.",
}
_HOW = (
    "Dots are figures over all games. The bot's line is the 95 % interval over its games. People's line is their spread: the "
    "middle 95 % of what people come to in as much play as the bot had, half an hour at most. Above them, how single games are "
    "distributed, or single events where a statistic is a mean."
)


def page_html(found: Compared) -> str:
    """The page."""
    number = counts(found.rows)
    facts = [(f"{number[verdict]:,}", f"statistics {word}") for verdict, word in _WORDS.items()]
    played = [
        (f"{side.games:,}", f"games of {name}, {side.minutes:,.0f} minutes")
        for name, side in ((found.name, found.bot), ("people", found.people))
    ]
    lead = f"<p>{escape(f'{found.name} plays {found.character.name}, beside people of {found.store}.')}</p>"
    sections = [section("What to fix next", _next(found.rows), is_wide=True)]
    sections += [_verdict(found, verdict) for verdict in _TITLES if number[verdict]]
    return page(
        f"Does {found.name} play like a person?",
        sections,
        header=lead + tiles([*facts, *played]),
        footer=f"exphil {VERSION} · {date.today().isoformat()} · {command_line(*sys.argv[1:])}",
    )


_WORDS = {UNLIKE: "unlike a person", UNCLEAR: "unclear", LIKE: "like a person", UNKNOWN: "unknown"}


def _next(rows: Sequence[Likeness]) -> str:
    lines = [line_of(row) for row in most_unlike(rows, MOST_NEXT)]
    if not lines:
        return "<p>No statistic lies surely outside people's spread.</p>"
    return f"<ol>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ol><p>{escape(_HOW)}</p>"


def _verdict(found: Compared, verdict: str) -> str:
    """All statistics of a verdict; those that need no work are folded."""
    rows = [row for row in found.rows if row.verdict == verdict]
    figures = "".join(_figure(found, row) for row in rows)
    body = f'{legend([(found.name, BOT), ("people", PEOPLE)])}<div class="plots">{figures}</div>'
    if verdict in (LIKE, UNKNOWN):
        body = f"<details><summary>show {len(rows):,}</summary>{body}</details>"
    return section(f"{_TITLES[verdict]}: {len(rows):,}", body, _CAPTIONS[verdict], is_wide=True)


def _figure(found: Compared, row: Likeness) -> str:
    statistic, unit = row.statistic, row.statistic.unit
    scale = 100 if unit == "share" else 1
    heaps = [
        Heap(
            name=name,
            colour=colour,
            values=[scale * value for value in distribution(statistic, played.measured)],
            figure=None if rate.value is None else scale * rate.value,
            interval=None if rate.low is None or rate.high is None else (scale * rate.low, scale * rate.high),
        )
        for name, colour, played, rate in (
            ("people", PEOPLE, found.people, row.people),
            (found.name, BOT, found.bot, row.bot),
        )
    ]
    outside = f"{shown_outside(row.outside)} spreads outside" if row.outside else row.verdict
    below = f"{shown_figure(unit, row.bot)}; people {shown_figure(unit, row.people)}; {outside}"
    below = below.replace(" %", "\N{NO-BREAK SPACE}%")
    words = "<br>".join(f"<small>{escape(line)}</small>" for line in (statistic.definition, below))
    return f"<figure><figcaption>{escape(statistic.name)}<br>{words}</figcaption>{histograms(heaps, statistic.name)}</figure>"


def distribution(statistic: Statistic, measured: Measured) -> list[float]:
    """What a histogram of a statistic is of: single events where it is a mean of theirs, otherwise each player's game."""
    values = statistic.values_of(measured.values)
    if len(values) == 0:
        games = statistic.told(measured.sums)
        values = statistic.figure(lambda name: games[name].to_numpy())
    found: list[float] = values[np.isfinite(values)].tolist()
    return found
