"""What the ground floor's commands print: tables to stdout, progress to stderr.

In: verdicts, polars frames, counts. Out: rich tables, CSV and JSON. Where no terminal is, tables are wide enough not to wrap
and progress is a plain line every few seconds.
"""

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import polars as pl
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from dataset.verify.checks import Verdict  # with the encoder and the codecs, which a query needs none of

LINE_EVERY_S = 5.0
WIDTH_WITHOUT_TERMINAL = 180
MOST_BOXED_ROWS = 200


def stdout_console() -> Console:
    """Where results go."""
    return Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False)


class Lines:
    """Progress as a line every few seconds: ``frames: 3 of 12 shards``."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Told how far the work is."""
        if time.monotonic() - self._last >= LINE_EVERY_S:
            self._last = time.monotonic()
            print(f"{what}: {done} of {total} shards", file=sys.stderr)  # noqa: T201


def verdict_table(verdict: "Verdict", store: str) -> Table:
    """A row a check."""
    table = Table(title=f"{store}: {'every check holds' if verdict.ok else 'NOT in order'}", title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("")
    table.add_column("found", overflow="fold")
    for check in verdict.checks:
        table.add_row(check.name, "[green]ok[/]" if check.ok else "[bold red]FAILED[/]", check.detail)
    return table


def verdict_json(verdict: "Verdict") -> dict[str, Any]:
    """The verdict as scripts read it."""
    leak = verdict.leak
    return {
        "ok": verdict.ok,
        "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in verdict.checks],
        "leak": {"own_row": leak.own_row, "row_before": leak.row_before, "onsets": leak.onsets, "status": leak.status},
    }


def show_frame(frame: pl.DataFrame) -> None:
    """Print a polars frame for people: boxed, or merely aligned where it is long, for boxes take 0.3 ms a row."""
    if len(frame) > MOST_BOXED_ROWS:
        sys.stdout.write(aligned_text(frame))
    else:
        stdout_console().print(frame_table(frame))


def aligned_text(frame: pl.DataFrame) -> str:
    """A polars frame as lines of columns, numbers to the right."""
    lines = [[name.replace("_", " ") for name in frame.columns]]
    lines += [[_cell(name, value) for name, value in row.items()] for row in frame.iter_rows(named=True)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    pads = [str.rjust if kind.is_numeric() else str.ljust for kind in frame.dtypes]
    padded = ((pad(cell, width) for pad, cell, width in zip(pads, line, widths, strict=True)) for line in lines)
    return "".join("  ".join(line).rstrip() + "\n" for line in padded)


def frame_table(frame: pl.DataFrame) -> Table:
    """A polars frame for people: one row becomes a column of facts, numbers are grouped."""
    table = Table()
    if len(frame) == 1:
        table.add_column("")
        table.add_column("", justify="right")
        for name, value in frame.row(0, named=True).items():
            table.add_row(name.replace("_", " "), _cell(name, value))
        return table
    for name, kind in frame.schema.items():
        table.add_column(name.replace("_", " "), justify="right" if kind.is_numeric() else "left")
    for row in frame.iter_rows(named=True):
        table.add_row(*(_cell(name, value) for name, value in row.items()))
    return table


def _cell(name: str, value: object) -> str:
    if value is None or value != value:  # there was nothing to take a share or mean of
        return ""
    if isinstance(value, float):
        return f"{value:.2%}" if name in ("win_rate", "share", "resimulated") else f"{value:,.2f}"
    is_count = isinstance(value, int) and name != "action_state"
    return f"{value:,}" if is_count else str(value)


def plain_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows for JSON, which knows neither NaN nor infinity: they become null."""
    floats = pl.selectors.float()
    return frame.with_columns(pl.when(floats.is_finite()).then(floats)).to_dicts()


def json_line(values: dict[str, Any]) -> str:
    """One JSON object on one line."""
    return json.dumps(values, default=str)
