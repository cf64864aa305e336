"""Tables of numbers for people, narrow enough for 100 columns."""

from collections.abc import Sequence

from rich import box
from rich.table import Table


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose first column names the rows."""
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
