"""The tables of an arena as text, which the terminal and the page show alike."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.table import Table

from play.arena.results import Conduct, Row
from play.games.bootstrap import Rate, shown_rate


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
    """How both players of a pairing behaved."""
    own, other = _conduct(row.conduct), _conduct(row.conduct_of_opponent)
    rows = [[name, value, other[name]] for name, value in own.items()]
    return Cells(f"conduct of {row.run} and {row.against}", ("", row.run, row.against), rows)


def _conduct(conduct: Conduct) -> dict[str, str]:
    """Figures by what they are called."""

    def share(rate: Rate) -> str:
        return shown_rate(rate, ".1%", "")

    presses = {
        f"{button.replace('_', ' ').upper()} per minute": f"{per_minute:.1f}"
        for button, per_minute in conduct.presses_per_minute.items()
    }
    return presses | {
        "presses per attack": shown_rate(conduct.presses_per_attack, ".2f", "no attack"),
        "attacks repeated": share(conduct.repeated_attacks),
        "time frozen while able to act": share(conduct.frozen),
        "longest freeze": f"{conduct.longest_freeze_s:.1f} s",
        "time off stage": share(conduct.off_stage),
        "recoveries tried": f"{conduct.recoveries:,}",
        "recoveries made": share(conduct.recovered),
    }


def matrix_cells(values: Sequence[Sequence[float | None]], names: Sequence[str]) -> Cells:
    """``play.arena.results.matrix``, the runs down against the runs across."""
    rows = [
        [name, *("" if value is None else f"{value:+.2f}" for value in line)]
        for name, line in zip(names, values, strict=True)
    ]
    return Cells("net stocks per minute", ("", *names), rows)


def terminal_table(cells: Cells) -> Table:
    """The table for a terminal."""
    table = Table(title=cells.title, title_justify="left")
    for place, head in enumerate(cells.heads):
        is_name = place < cells.num_names
        table.add_column(head, justify="left" if is_name else "right", overflow="fold" if is_name else "ellipsis")
    for row in cells.rows:
        table.add_row(*row)
    return table
