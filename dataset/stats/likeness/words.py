"""Says in plain words what is most unlike people about a bot."""

from collections.abc import Sequence

from dataset.stats.bootstrap import Rate
from dataset.stats.likeness.likeness import Likeness, most_unlike

MOST_LINES = 5


def next_lines(rows: Sequence[Likeness], count: int = MOST_LINES) -> list[str]:
    """What to fix next: the most unlike statistics, one of each technique, each in a line."""
    found = most_unlike(rows, count)
    if not found:
        return ["No statistic lies surely outside people's spread."]
    return ["What to fix next:", *(f"{place}. {line_of(row)}" for place, row in enumerate(found, start=1))]


def line_of(row: Likeness) -> str:
    """A statistic in a line."""
    unit, people = row.statistic.unit, row.people
    way = "low" if row.is_below else "high"
    return (
        f"{row.statistic.name} is too {way}: {shown(unit, row.bot.value)}, people's {shown_figure(unit, people)}; "
        f"{row.statistic.definition}"
    )


def shown(unit: str, value: float | None) -> str:
    """A figure for people to read."""
    if value is None:
        return "none"
    if unit == "share":
        return f"{value:.1%}".replace("%", " %")
    return f"{value:.3g}" if abs(value) < 10 else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def shown_figure(unit: str, rate: Rate) -> str:
    """A figure with its interval."""
    if rate.value is None or rate.low is None:
        return shown(unit, rate.value)
    return f"{shown(unit, rate.value)} ({shown(unit, rate.low)} to {shown(unit, rate.high)})"


def shown_outside(outside: float | None) -> str:
    """How many widths of people's spread a figure lies outside it; nothing where it does not."""
    if not outside:
        return ""
    return "over 100" if outside > 100 else f"{outside:.1f}"
