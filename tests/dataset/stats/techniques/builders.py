"""What the finders tell of hand-made games."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import polars as pl

from dataset.schema import FIRST_FRAME
from dataset.stats.techniques.statistics import STATISTICS, measure
from dataset.stats.techniques.table import find_events


class Told(NamedTuple):
    """One event, its frame counted from the game's start."""

    side: str
    frame: int
    success: bool | None
    value: float | None


def told(technique: str, *games: pl.DataFrame) -> list[Told]:
    """Events of a technique in some games with different names, in order."""
    return _told(find_events(pl.concat(games).lazy(), [technique]))


def told_each(technique: str, games: Iterable[pl.DataFrame]) -> list[list[Told]]:
    """Events of a technique in each of some games, which are looked at together since that is quicker."""
    return [_told(events) for events in _events_each([technique], games)]


def names_each(techniques: Iterable[str], games: Iterable[pl.DataFrame]) -> list[Counter[str]]:
    """Which of some techniques each of some games shows of side a, and how often."""
    return [Counter(events.filter(side="a")["technique"]) for events in _events_each(list(techniques), games)]


def _events_each(techniques: list[str], games: Iterable[pl.DataFrame]) -> list[pl.DataFrame]:
    named = [table.with_columns(replay=pl.lit(f"game {number:03}")) for number, table in enumerate(games)]
    events = find_events(pl.concat(named).lazy(), techniques)
    return [events.filter(replay=table["replay"][0]) for table in named]


def _told(events: pl.DataFrame) -> list[Told]:
    rows = events.sort("replay", "frame", "side")
    return [Told(*row) for row in rows.select("side", pl.col("frame") - FIRST_FRAME, "success", "value").rows()]


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
