"""The page of an arena: how every run fared and behaved, whom it met, and what was played, in one file without script."""

from collections.abc import Iterable, Sequence
from html import escape

from dataset.melee.ids import STAGES
from dataset.reporting.charts import Dot, intervals, tiles
from dataset.reporting.page import NUM_COLOURS, scrolling, section, table
from dataset.reporting.page import page as whole_page
from dataset.schema import FRAMES_PER_MINUTE
from dataset.stats.bootstrap import Rate
from play.arena.arena import ArenaOptions, Outcome
from play.arena.ratings import MISSING
from play.arena.results import Row
from play.arena.tables import Cells, conduct_cells, ratings_cells, results_cells, side_by_side


def page_html(options: ArenaOptions, outcome: Outcome, command: str, footer: str) -> str:
    """The page.

    Args:
        options: what was asked for.
        outcome: what it came to.
        command: the command line.
        footer: when and by which exphil.
    """
    opponents = list(dict.fromkeys(row.against for row in _first(outcome)))
    sections = [
        section("Results", _table(results_cells(outcome.rows)), _RESULTS, is_wide=True),
        section("Net stocks per minute", _net_stocks(outcome), _NET_STOCKS),
        *_ratings(outcome),
        *_matrix(outcome),
        *_side_by_side(outcome, opponents),
        *(section(*_titled(conduct_cells(row)), _CONDUCT) for row in outcome.rows),
        *_likeness(outcome),
        _played(options, outcome, command),
    ]
    met = f"{_listed(outcome.names)} against {_listed(opponents)}{' and each other' if len(outcome.names) > 1 else ''}"
    lead = f"<p>{escape(f'{met} in {options.world}: {options.games:,} games of every pairing.')}</p>"
    return whole_page("Arena", sections, header=lead + tiles(_facts(outcome)), footer=footer)


_RESULTS = "Per minute of play, with 95 % intervals over games. Net stocks: taken less lost."
_NET_STOCKS = "Dots with 95 % intervals over games. Above 0 the run takes more stocks than it loses."
_CONDUCT = "Shares and rates with 95 % intervals over games."
_RATINGS = (
    "At 400 points more, one wins ten games for each that one loses. A Bradley–Terry model of all games; a draw is half a "
    "game won and half a game lost, and everyone is given one more draw. 95 % intervals over games. {origin}"
)
_MATRIX = (
    "Of the run on the left against the one above. Green: above 0, and the 95 % interval excludes 0; red: below 0; no colour: it "
    "could be chance."
)


def _first(outcome: Outcome) -> list[Row]:
    """Each run's row against whom all of them met; these come first."""
    return outcome.rows[: len(outcome.names)]


def _facts(outcome: Outcome) -> list[tuple[str, str]]:
    """The best result, and how much was played."""
    known = [
        (row.net_stocks_per_minute.value, row) for row in _first(outcome) if row.net_stocks_per_minute.value is not None
    ]
    facts = []
    if known:
        value, best = max(known, key=lambda each: each[0])
        facts.append((f"{value:+.2f}", f"net stocks per minute of {best.run} against {best.against}"))
    minutes = outcome.game_frames / FRAMES_PER_MINUTE
    return [*facts, (f"{sum(row.games for row in outcome.rows):,}", "games"), (f"{minutes:,.0f}", "minutes of play")]


def _net_stocks(outcome: Outcome) -> str:
    """Every pairing, a colour a run."""
    dots = []
    for row in outcome.rows:
        rate, is_first = row.net_stocks_per_minute, any(row is other for other in _first(outcome))
        if rate.value is not None:
            name = row.run if is_first else f"{row.run} – {row.against}"
            dots.append(_dot(name, outcome.names.index(row.run) % NUM_COLOURS, rate.value, rate.low, rate.high))
    return intervals(dots, "net stocks per minute", form="+.2f", origin=0.0) if dots else "<p>none</p>"


def _ratings(outcome: Outcome) -> list[str]:
    if outcome.ratings is None:
        return [section("Ratings", f"<p>{escape(MISSING)}</p>")]
    if not outcome.ratings:
        return []
    anchor = next((each.run for each in outcome.ratings if each.low is None), None)
    dots = [
        _dot(
            each.run,
            outcome.names.index(each.run) % NUM_COLOURS if each.run in outcome.names else NUM_COLOURS,
            each.rating,
            each.low,
            each.high,
        )
        for each in outcome.ratings
    ]
    drawn = intervals(dots, "points on Elo's scale", form="+.0f", origin=0.0)
    origin = "The mean of all is 0." if anchor is None else f"{anchor} has 0."
    return [section("Ratings", drawn + _table(ratings_cells(outcome.ratings)), _RATINGS.format(origin=origin))]


def _matrix(outcome: Outcome) -> list[str]:
    """All runs against each other, and against whom else they met."""
    if len(outcome.names) < 2:
        return []
    found: dict[tuple[str, str], Rate] = {(row.run, row.against): row.net_stocks_per_minute for row in outcome.rows}
    found |= {(other, own): _turned(rate) for (own, other), rate in found.items()}
    across = list(dict.fromkeys([*outcome.names, *(row.against for row in _first(outcome))]))
    heads = "".join(f"<th>{escape(name)}</th>" for name in across)
    body = "".join(
        f"<tr><td>{escape(own)}</td>{''.join(_rate_cell(found.get((own, other))) for other in across)}</tr>"
        for own in outcome.names
    )
    return [
        section(
            "Every pair",
            scrolling(f"<tr><th></th>{heads}</tr>{body}"),
            f"Net stocks per minute. {_MATRIX}",
            is_wide=True,
        )
    ]


def _turned(rate: Rate) -> Rate:
    """The same from the other side."""
    value, low, high = (None if each is None else -each for each in (rate.value, rate.high, rate.low))
    return Rate(value=value, low=low, high=high)


def _rate_cell(rate: Rate | None) -> str:
    if rate is None or rate.value is None:
        return "<td></td>"
    if rate.low is None or rate.high is None:
        return f"<td>{rate.value:+.2f}</td>"
    kind = ' class="good"' if rate.low > 0 else ' class="bad"' if rate.high < 0 else ""
    return f"<td{kind}>{rate.value:+.2f}<div><small>{rate.low:+.2f} to {rate.high:+.2f}</small></div></td>"


def _side_by_side(outcome: Outcome, opponents: Sequence[str]) -> list[str]:
    """The conduct of all runs against whom all of them met, and of the people they imitate, once if these are the same."""
    if len(outcome.names) < 2:
        return []
    players = [(row.run, row.conduct) for row in _first(outcome)]
    people = [(f"whom {row.run} imitates", row.conduct_of_imitated) for row in _first(outcome)]
    known = [(name, conduct) for name, conduct in people if conduct is not None]
    if len(known) == len(people) and all(conduct == known[0][1] for _, conduct in known):
        known = [("whom they imitate", known[0][1])]
    cells = side_by_side(f"Conduct against {_listed(opponents)}", [*players, *known])
    return [section(*_titled(cells), _CONDUCT, is_wide=True)]


def _likeness(outcome: Outcome) -> list[str]:
    """What about each run is most unlike the people that were compared with."""
    return [
        section(
            f"{name} beside people who play {likeness['character']}",
            "".join(f"<p>{escape(line)}</p>" for line in likeness["summary"]),
            is_wide=True,
        )
        for name, likeness in zip(outcome.names, outcome.likeness, strict=False)
        if likeness is not None
    ]


def _played(options: ArenaOptions, outcome: Outcome, command: str) -> str:
    """What one needs to play the same games again."""
    facts = [
        ("world", options.world),
        ("runs", ", ".join(options.runs)),
        ("against", options.against or _first(outcome)[0].against),
        *([("its level", str(options.level))] if options.level is not None else []),
        ("games of every pairing", f"{options.games:,}"),
        ("longest game", f"{options.seconds:g} s"),
        ("stages, in turns", ", ".join(options.stages or [stage.name for stage in STAGES])),
        ("seed", str(options.seed)),
        ("temperature", f"{options.temperature:g}"),
        ("runtime", options.runtime),
    ]
    if outcome.replays:
        facts.append(("replays", f"{len(outcome.replays):,} in {options.save_replays}"))
    return section("What was played", f"{table([], facts)}<pre>{escape(command)}</pre>", is_wide=True)


def _dot(name: str, colour: int, value: float, low: float | None, high: float | None) -> Dot:
    interval = None if low is None or high is None else (low, high)
    return Dot(name=name, colour=colour, value=value, interval=interval)


def _titled(cells: Cells) -> tuple[str, str]:
    """A table's title, and its HTML."""
    return cells.title[:1].upper() + cells.title[1:], _table(cells)


def _table(cells: Cells) -> str:
    """A table whose intervals stand below their figures, which keeps it narrow."""
    heads = "".join(f"<th>{escape(head)}</th>" for head in cells.heads)
    rows = ("".join(_cell(cell, place < cells.num_names) for place, cell in enumerate(row)) for row in cells.rows)
    return scrolling(f"<tr>{heads}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}")


def _cell(cell: str, is_name: bool) -> str:
    figure, bracket, interval = cell.partition(" (")
    if is_name or not bracket:
        return f"<td>{escape(cell)}</td>"
    interval, _, rest = interval.partition(")")
    return f"<td>{escape(figure + rest)}<div><small>{escape(interval)}</small></div></td>"


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
