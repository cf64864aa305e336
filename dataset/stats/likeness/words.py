"""Says in plain words what is most unlike people about a bot."""

from collections.abc import Sequence

from dataset.stats.bootstrap import Rate
from dataset.stats.likeness.likeness import LIKE, UNCLEAR, UNKNOWN, UNLIKE, VERDICTS, Likeness, most_unlike

MOST_LINES = 5


def counts(rows: Sequence[Likeness]) -> dict[str, int]:
    """How many statistics have each verdict."""
    return {verdict: sum(row.verdict == verdict for row in rows) for verdict in VERDICTS}


def summary(rows: Sequence[Likeness]) -> list[str]:
    """How many statistics are like a person, then what to fix next: the most unlike, one of each technique, each in a line."""
    number, found = counts(rows), most_unlike(rows, MOST_LINES)
    first = (
        f"Of {len(rows):,} statistics {number[LIKE]:,} are like a person, {number[UNLIKE]:,} unlike, "
        f"{number[UNCLEAR]:,} unclear, {number[UNKNOWN]:,} unknown."
    )
    if not found:
        return [first, "No statistic lies surely outside people's spread."]
    return [first, "What to fix next:", *(f"{place}. {line_of(row)}" for place, row in enumerate(found, start=1))]


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
        percent = 100 * value
        return f"{percent:.1f} %" if percent >= 0.95 or percent == 0 else f"{percent:.2g} %"
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
