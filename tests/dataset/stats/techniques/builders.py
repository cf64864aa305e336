"""What the finders tell of hand-made games."""

from typing import Any, NamedTuple

import polars as pl

from dataset.schema import FIRST_FRAME
from dataset.stats.techniques.statistics import STATISTICS, measure
from dataset.stats.techniques.table import find


class Told(NamedTuple):
    """One event, its frame counted from the game's start."""

    side: str
    frame: int
    success: bool | None
    value: float | None


def told(technique: str, *games: pl.DataFrame) -> list[Told]:
    """Events of a technique, in order."""
    rows = find(pl.concat(games).lazy(), [technique]).events.sort("replay", "frame", "side")
    found = rows.select("side", pl.col("frame") - FIRST_FRAME, "success", "value").rows()
    return [Told(*row) for row in found]


def counted(table: pl.DataFrame, *names: str) -> dict[str, int]:
    """How many events each technique has, of side a."""
    events = find(table.lazy(), names).events.filter(side="a")
    return {name: events.filter(technique=name).height for name in names}


def figure(table: pl.DataFrame, name: str, side: str = "a") -> float | None:
    """A statistic of one side; None where the game does not tell."""
    statistic = STATISTICS[name]
    sums = statistic.told(measure(table.lazy()).sums.filter(side=side))
    return float(statistic.figure(lambda column: sums[column].sum())) if len(sums) else None


def without(table: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """The game as an older Slippi version would have recorded it: both players' columns are null."""
    nulls: dict[str, Any] = {
        f"{side}_{name}": pl.lit(None, table[f"{side}_{name}"].dtype) for side in "ab" for name in columns
    }
    return table.with_columns(**nulls)
