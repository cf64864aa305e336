"""What play's commands print for people: tables to stdout.

Where no terminal is, tables are wide enough not to wrap.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from play.check import Verdict
from play.games.evaluate import Rate, Row

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_TIMES = {
    "one policy step": "step",
    "game state to controller": "frame_to_controller",
    "frame sent to controller read": "send_to_flush",
}
"""What is timed, by the start of its key."""
_WIDTH_WITHOUT_TERMINAL = 180


def stdout_console() -> Console:
    """Where results go."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL, highlight=False)


def check_table(verdict: Verdict) -> Table:
    """A row a finding, its fix below what was found."""
    title = "ready to play" if verdict.ok else "NOT ready: see the lines marked fail"
    table = Table(title=title, title_justify="left")
    table.add_column("what", no_wrap=True)
    table.add_column("")
    table.add_column("found, and what to do", overflow="fold")
    for finding in verdict.findings:
        told = Text(finding.detail)
        if finding.fix:
            told.append(f"\n→ {finding.fix}", style=_COLOURS[finding.status])
        table.add_row(finding.name, Text(finding.status, style=_COLOURS[finding.status]), told)
    return table


def eval_table(rows: Sequence[Row]) -> Table:
    """A row a policy and opponent, each rate with its 95 % interval."""
    table = Table(title="rates a minute, with 95 % intervals over sessions", title_justify="left")
    for name in ("policy", "opponent"):
        table.add_column(name, overflow="fold")
    for name in ("games", "sessions", "minutes", "net stocks", "damage dealt", "damage taken", "won"):
        table.add_column(name, justify="right")
    for row in rows:
        rates = (row.net_stocks_per_minute, row.damage_dealt_per_minute, row.damage_taken_per_minute)
        counts = (f"{row.games:,}", f"{row.clusters:,}", f"{row.minutes:,.1f}")
        table.add_row(
            row.policy, row.opponent, *counts, *(_rate(rate, ".2f") for rate in rates), _rate(row.win_rate, ".0%")
        )
    return table


def rows_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Rows with the same keys, as ``--json`` prints them."""
    table = Table()
    for name, value in rows[0].items():
        table.add_column(name.replace("_", " "), justify="left" if isinstance(value, str) else "right")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    return table


def figures(result: Mapping[str, Any]) -> list[RenderableType]:
    """How a session went and how long answers took, from the keys that ``--json`` prints."""
    if not result["frames"]:
        return ["no frame was played"]
    pace = "" if result["fps"] is None else f" at {result['fps']:.1f} a second"
    late = f"{result['stale_share'] * 100:.3g} % came late, {result['frames_missing']:,} never arrived"
    paused = f"; paused for {result['seconds_paused']:.0f} s" if result["seconds_paused"] else ""
    table = Table()
    table.add_column("time of")
    for name in ("median", "99th percentile"):
        table.add_column(name, justify="right")
    for label, name in _TIMES.items():
        times = [result.get(f"{name}_ms_{which}") for which in ("p50", "p99")]
        if None not in times:
            table.add_row(label, *(f"{ms:,.2f} ms" for ms in times))
    return [f"{result['frames']:,} frames{pace}: {late}{paused}", table]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _rate(rate: Rate, style: str) -> str:
    if rate.value is None:
        return "none decided"
    told = [f"{value:{style}}".replace("%", " %") for value in (rate.value, rate.low, rate.high) if value is not None]
    return told[0] if len(told) == 1 else f"{told[0]} ({told[1]} to {told[2]})"
