"""What the finders of ``dataset.stats.techniques.moves`` have found in some games: events, and sums over frames."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataset.stats.techniques.sides import Rows, Side, Values

SUMS = ("count", "tries", "rated", "value", "valued")
"""What is summed of a technique: successes (or all, where it is only counted), all events, those that may fail, the values
that a mean is of, and how many they are."""

UNRATED = -1


class Found:
    """Collects what is found; techniques are numbers in ``names``."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._numbers = {name: number for number, name in enumerate(names)}
        self._events: list[tuple[NDArray[Any], ...]] = []
        self._sums: list[tuple[NDArray[Any], ...]] = []

    def number(self, name: str) -> int:
        """The number of a technique."""
        return self._numbers[name]

    def add(
        self,
        side: Side,
        technique: str | Values,
        rows: Rows,
        success: Values | None = None,
        value: Values | None = None,
    ) -> None:
        """One event for each of ``rows``.

        Args:
            side: whose they are.
            technique: its name, or the number of each event's.
            rows: when.
            success: of each; None: it is only counted.
            value: what a mean is of; nan or None: nothing.
        """
        tables = side.tables
        number = self.number(technique) if isinstance(technique, str) else technique
        self._events.append(
            (
                tables.players(tables.game(rows), side.number),
                tables["frame"][rows],
                np.broadcast_to(np.asarray(number, np.uint16), rows.shape),
                np.broadcast_to(np.int8(UNRATED) if success is None else success.astype(np.int8), rows.shape),
                np.broadcast_to(np.nan if value is None else value.astype(np.float64), rows.shape),
            )
        )

    def sum(self, side: Side, technique: str, **sums: Values) -> None:
        """``SUMS`` of each game [G] that are no events; those not given are 0."""
        games = np.arange(len(side.tables.first))
        columns = [np.broadcast_to(np.asarray(sums.get(name, 0), np.int64), games.shape) for name in SUMS]
        self._sums.append(
            (side.tables.players(games, side.number), np.full(games.shape, self.number(technique)), *columns)
        )

    def events(self) -> pl.DataFrame:
        """``player, frame, technique, success, value`` as ``dataset.stats.techniques.spans.events`` has them."""
        player, frame, number, success, value = (np.concatenate(parts) for parts in zip(*self._events, strict=True))
        table = pl.DataFrame({"player": player, "frame": frame.astype(np.int32), "success": success, "value": value})
        return table.select(
            "player",
            "frame",
            technique=self._named(number),
            success=pl.when(pl.col("success") != UNRATED).then(pl.col("success") == 1),
            value=pl.col("value").fill_nan(None),
        )

    def sums(self) -> pl.DataFrame:
        """``player, technique`` and ``SUMS`` of what is summed over frames."""
        player, number, *sums = (np.concatenate(parts) for parts in zip(*self._sums, strict=True))
        table = pl.DataFrame({"player": player, **dict(zip(SUMS, sums, strict=True))})
        return table.with_columns(pl.col("value").cast(pl.Float64), technique=self._named(number))

    def _named(self, numbers: Values) -> pl.Series:
        return pl.Series(self._names).gather(numbers)
