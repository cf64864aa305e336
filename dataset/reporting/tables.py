"""Tables that commands print to stdout, and the JSON line of ``--json``.

Where stdout is no terminal, tables are wide enough not to wrap.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

import polars as pl
from rich import box
from rich.table import Table

from dataset.errors import ConfigError
from dataset.reporting.terminal import printable, stdout_console

MOST_BOXED_ROWS = 200


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table of numbers, narrow enough for 100 columns; its first column names the rows."""
    made = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    made.add_column("")
    for column in columns:
        made.add_column(column, justify="right")
    for row in rows:
        made.add_row(*row)
    return made


def number(value: float | None) -> str:
    """Four decimals of a float, a count in groups; ``none`` for what there is not."""
    if value is None:
        return "none"
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"


def share(value: float) -> str:
    """A share as a percentage."""
    return f"{100 * value:.1f} %"


def show_frame(frame: pl.DataFrame) -> None:
    """Print a polars frame: boxed, or merely aligned where it is long, because boxes take 0.3 ms a row."""
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


def csv_text(frame: pl.DataFrame) -> str:
    """A polars frame as CSV that neither a terminal nor a spreadsheet obeys, since texts may be a stranger's.

    Controls are spelt out, and a text that a spreadsheet would take for a formula begins with an apostrophe.

    Raises:
        ConfigError: a cell would hold something else than one number or text.
    """
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    plain = frame.with_columns(pl.col(texts).map_elements(_plain_text, pl.String)) if texts else frame
    try:
        return plain.write_csv()
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"--csv: holds one number or text in a cell, found: {reason}; give --json instead") from error


def _plain_text(text: str) -> str:
    shown = printable(text, is_one_line=True)
    return f"'{shown}" if shown.startswith(_FORMULA_STARTS) else shown


_FORMULA_STARTS = ("=", "+", "-", "@", "\t")


def frame_table(frame: pl.DataFrame) -> Table:
    """A polars frame as a boxed table with grouped numbers; a single row becomes a column of facts."""
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
