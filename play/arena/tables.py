"""The tables of an arena as text, which the terminal and the page show alike."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.table import Table

from dataset.stats.bootstrap import shown_rate
from dataset.stats.conduct.conduct import Conduct, conduct_lines
from play.arena.ratings import Rating
from play.arena.results import Row


class Cells(NamedTuple):
    """A table as text."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    num_names: int = 1
    """Columns on the left that name things; all others are numbers."""


def results_cells(rows: Sequence[Row]) -> Cells:
    """A row for each pairing, its rates with their intervals."""
    heads = (
        "run",
        "against",
        "games",
        "net stocks",
        "taken",
        "lost",
        "self-destructs",
        "damage dealt",
        "damage taken",
        "won",
    )
    return Cells("per minute, with 95 % intervals over games", heads, [_result(row) for row in rows], 2)


def _result(row: Row) -> list[str]:
    stocks = (row.net_stocks_per_minute, row.stocks_taken_per_minute, row.stocks_lost_per_minute)
    damage = (row.damage_dealt_per_minute, row.damage_taken_per_minute)
    return [
        row.run,
        row.against,
        f"{row.games:,}",
        *(shown_rate(rate, ".2f", "") for rate in (*stocks, row.self_destructs_per_minute)),
        *(shown_rate(rate, ".0f", "") for rate in damage),
        shown_rate(row.win_rate, ".0%", "none decided"),
    ]


def conduct_cells(row: Row) -> Cells:
    """How both players of a pairing behaved, and the people that the run imitates if a store was given."""
    players = [(row.run, row.conduct), (row.against, row.conduct_of_opponent)]
    if row.conduct_of_imitated is not None:
        players.append((f"whom {row.run} imitates", row.conduct_of_imitated))
    return side_by_side(f"conduct of {row.run} and {row.against}", players)


def side_by_side(title: str, players: Sequence[tuple[str, Conduct]]) -> Cells:
    """How some players behaved, each by its name."""
    names, conducts = zip(*players, strict=True)
    rows = [[name, *values] for name, values in conduct_lines(conducts).items()]
    return Cells(title, ("", *names), rows)


def matrix_cells(values: Sequence[Sequence[float | None]], names: Sequence[str]) -> Cells:
    """``play.arena.results.matrix``, the runs down against the runs across."""
    rows = [
        [name, *("" if value is None else f"{value:+.2f}" for value in line)]
        for name, line in zip(names, values, strict=True)
    ]
    return Cells("net stocks per minute", ("", *names), rows)


def ratings_cells(ratings: Sequence[Rating]) -> Cells:
    """The strongest first."""
    rows = [
        [
            each.run,
            "0" if each.low is None else f"{each.rating:+.0f}",
            "anchor" if each.low is None else f"{each.low:+.0f} to {each.high:+.0f}",
        ]
        for each in ratings
    ]
    return Cells("ratings, in points on Elo's scale", ("", "rating", "95 %"), rows)


def terminal_table(cells: Cells) -> Table:
    """The table for a terminal."""
    table = Table(title=cells.title, title_justify="left")
    for place, head in enumerate(cells.heads):
        is_name = place < cells.num_names
        table.add_column(head, justify="left" if is_name else "right", overflow="fold" if is_name else "ellipsis")
    for row in cells.rows:
        table.add_row(*row)
    return table
