"""Says of every statistic whether a bot's figure is one that people come to, and how far outside it lies where it is not.

People's spread is what people themselves come to in as much play as the bot had (at most ``MOST_MINUTES``): many times, so many
of their games are drawn at random, and the middle 95 % of the figures of those draws is the spread. The bot's figure has an
interval over its own games, which counts as wider on both sides by what one event more would change. A figure within the spread
is like a person; where the bot's interval and the spread do not even touch, it is unlike; else it is unclear, and more games
would tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataset.stats.bootstrap import Rate, draw
from dataset.stats.techniques.statistics import MINUTES, STATISTICS, Measured, Statistic

MOST_MINUTES = 30.0
"""Of play that people's spread is about. Without a limit it would shrink to nothing beside a bot of many games."""

LIKE, UNCLEAR, UNLIKE, UNKNOWN = "like a person", "unclear", "unlike", "unknown"
"""Verdicts; unknown where the bot or people never came to what the statistic is about, or neither ever did it."""

VERDICTS = (UNLIKE, UNCLEAR, LIKE, UNKNOWN)
"""In the order of the rows."""

RESAMPLES = 2_000
"""Draws; there are hundreds of statistics."""

_SPREAD = (2.5, 97.5)
_FEWEST = 0.5
"""Share of the draws that must give a figure; below it, people hardly ever come to what the statistic is about."""

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """One statistic of a bot beside people's."""

    statistic: Statistic
    bot: Rate
    """With the 95 % interval over its games; without one where fewer than two games tell."""
    people: Rate
    """With people's spread."""
    verdict: str
    outside: float | None
    """How far the bot's interval, one event wider, lies outside people's spread, in widths of that spread; 0 if they touch."""

    @property
    def is_below(self) -> bool:
        """Whether the bot's figure is below people's; meant for verdicts of unlike and unclear."""
        return (self.bot.value or 0.0) < (self.people.value or 0.0)


def compare(bot: pl.DataFrame, people: pl.DataFrame, *, seed: int = 0) -> list[Likeness]:
    """Every statistic, the most unlike first.

    Args:
        bot: rows of ``Measured.sums``, one for each of its sides in each of its games; at least one.
        people: of people's sides, likewise.
        seed: of the resampling.
    """
    games, row_game = np.unique(bot["replay"].to_numpy(), return_inverse=True)
    bot_totals = _Totals(bot, draw(len(games), len(games), seed, RESAMPLES)[:, row_game])
    people_totals = _Totals(people, draw(len(people), num_drawn(bot, people), seed + 1, RESAMPLES))
    rows = [_likeness(statistic, bot_totals, people_totals) for statistic in STATISTICS.values()]
    order = {verdict: place for place, verdict in enumerate(VERDICTS)}
    return sorted(
        rows, key=lambda row: (order[row.verdict], -(row.outside or 0.0), -_beyond(row.bot.value, row.people))
    )


def num_drawn(bot: pl.DataFrame, people: pl.DataFrame) -> int:
    """How many games of people are as much play as the bot's, ``MOST_MINUTES`` at most; at least one."""
    minutes = min(float(bot[MINUTES].sum()), MOST_MINUTES)
    return max(1, round(minutes / max(float(people[MINUTES].to_numpy().mean()), 1e-9)))


def most_unlike(rows: Sequence[Likeness], count: int) -> list[Likeness]:
    """The first unlike statistics, one of each technique; of several that say the same in both games, the first."""
    firsts: dict[str, Likeness] = {}
    for row in rows:
        if row.verdict == UNLIKE and all(
            row.bot != other.bot or row.people != other.people for other in firsts.values()
        ):
            firsts.setdefault(row.statistic.technique, row)
    return list(firsts.values())[:count]


def of_players(measured: Measured, players: pl.DataFrame) -> Measured:
    """What was measured of some players (``replay, side``)."""
    keys = ["replay", "side"]
    sums, values = (rows.join(players, on=keys, how="semi", maintain_order="left") for rows in measured)
    return Measured(sums, values)


class _Totals:
    """Sums over all games, and over draws of them, for the games that tell."""

    def __init__(self, sums: pl.DataFrame, times: Values) -> None:
        needed = dict.fromkeys(name for statistic in STATISTICS.values() for name in statistic.columns)
        self._place = {name: place for place, name in enumerate(needed)}
        self._values = sums.select(pl.col(list(self._place)).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
        self._times = times
        self._drawn: dict[bytes, Values] = {}
        """By which games tell: the sums over each draw, [RESAMPLES, sums]."""

    def figures(self, statistic: Statistic) -> tuple[float, Values, float]:
        """The figure of all games, of each draw (nan where it gives none), and what one event more would change in a draw."""
        told = ~np.isnan(self._values[:, [self._place[name] for name in statistic.columns]]).any(axis=1)
        key = told.tobytes()
        if key not in self._drawn:
            self._drawn[key] = self._times[:, told] @ np.nan_to_num(self._values[told])
        drawn, whole = self._drawn[key], self._values[told].sum(axis=0)
        mean = drawn.mean(axis=0)
        more = {name: mean[place] + (name == statistic.numerators[0]) for name, place in self._place.items()}
        event = statistic.figure(more.__getitem__) - statistic.figure(lambda name: mean[self._place[name]])
        return (
            float(statistic.figure(lambda name: whole[self._place[name]])),
            statistic.figure(lambda name: drawn[:, self._place[name]]),
            abs(float(event)),
        )

    def num_telling(self, statistic: Statistic) -> int:
        """Games that give a figure by themselves."""
        return int((np.nan_to_num(self._values[:, self._place[statistic.denominator]]) > 0).sum())


def _likeness(statistic: Statistic, bot: _Totals, people: _Totals) -> Likeness:
    value, drawn, own_event = bot.figures(statistic)
    own = _rate(value, drawn if bot.num_telling(statistic) > 1 else drawn[:0])
    theirs_value, theirs_drawn, event = people.figures(statistic)
    is_known = np.isfinite(theirs_drawn).mean() >= _FEWEST
    theirs = _rate(theirs_value, theirs_drawn if is_known else theirs_drawn[:0])
    is_idle = own.value == 0 and theirs.value == 0  # neither ever did it, which likens nobody to anybody
    if own.value is None or theirs.low is None or theirs.high is None or is_idle:
        return Likeness(statistic=statistic, bot=own, people=theirs, verdict=UNKNOWN, outside=None)
    width = max(theirs.high - theirs.low, event)
    if _beyond(own.value, theirs) == 0:
        return Likeness(statistic=statistic, bot=own, people=theirs, verdict=LIKE, outside=0.0)
    if own.low is None or own.high is None:
        return Likeness(statistic=statistic, bot=own, people=theirs, verdict=UNCLEAR, outside=0.0)
    gap = (
        max(theirs.low - own.high, own.low - theirs.high) - own_event
    )  # of two tries that went alike, the interval is a point
    verdict = UNLIKE if gap > 0 else UNCLEAR
    return Likeness(statistic=statistic, bot=own, people=theirs, verdict=verdict, outside=max(gap, 0.0) / width)


def _rate(value: float, drawn: Values) -> Rate:
    usable = drawn[np.isfinite(drawn)]
    if not np.isfinite(value):
        return Rate(value=None, low=None, high=None)
    if len(usable) == 0:
        return Rate(value=value, low=None, high=None)
    low, high = np.percentile(usable, _SPREAD)
    return Rate(value=value, low=float(low), high=float(high))


def _beyond(value: float | None, people: Rate) -> float:
    """How far a value lies outside people's spread, in the statistic's unit."""
    if value is None or people.low is None or people.high is None:
        return 0.0
    return max(people.low - value, value - people.high, 0.0)
