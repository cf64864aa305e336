"""The registry of statistics: every figure that the techniques of some games give, and the sums it is made of.

``measure`` turns whole games into two tables: ``sums``, a row for each player of each game, and ``values``, a row for each
event that has one. ``STATISTICS`` says of each figure what it means and which sums it needs. A figure over several games is a
ratio of their sums, never a mean of their figures; ``Statistic.figure`` computes it, for totals, for each game or for
resampled games alike. A game whose Slippi version does not record what a statistic needs has null in its sums: leave it out
(``told``), it is no zero::

    measured = measure(store.frames().filter(pl.col("replay").is_in(ids)))
    for statistic in STATISTICS.values():
        games = statistic.told(measured.sums)
        total = statistic.figure(lambda name: games[name].sum())  # over all games
        each = statistic.figure(lambda name: games[name].to_numpy())  # of each player's game, nan where it cannot be told
        spread = statistic.values_of(measured.values)  # of single events: [] unless the statistic is a mean
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataset.schema import FIRST_CONTROLLED_FRAME, FRAMES_PER_MINUTE, SIDES
from dataset.stats.techniques.about import ABOUT
from dataset.stats.techniques.table import TECHNIQUES, count_events, find_events

MINUTES = "minutes"
"""The sum that rates per minute are over: how long the game was, from the first frame on that reads controllers."""

SUMS = ("count", "tries", "rated", "value", "valued")
"""What is summed of every technique, as ``NAME count`` and so on (``dataset.stats.techniques.table.count_events``)."""


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One figure of some players in some games."""

    name: str
    definition: str
    """A sentence for people, without the full stop."""
    unit: str
    """``per minute``, ``share`` (0–1), ``bits``, or what a mean is of, such as ``percent`` and ``frames to land``."""
    technique: str
    """What it is about; several statistics may be about one technique."""
    numerators: tuple[str, ...]
    """Sums that are added up. For an entropy: how often each of the choices was made."""
    denominator: str
    """The sum that they are divided by."""

    @property
    def columns(self) -> list[str]:
        """The sums that it needs, each once."""
        return list(dict.fromkeys([*self.numerators, self.denominator]))

    def told(self, sums: pl.DataFrame) -> pl.DataFrame:
        """The rows of ``Measured.sums`` whose games record what the statistic needs."""
        return sums.drop_nulls(self.columns)

    def figure(self, total: Callable[[str], Any]) -> NDArray[np.float64]:
        """The figure for sums of any shape, nan where the denominator is 0.

        Args:
            total: gives a sum by its name, a number or an array; all of one shape.
        """
        parts = np.array([total(name) for name in self.numerators], np.float64)
        under = np.asarray(total(self.denominator), np.float64)
        shares = np.divide(parts, under, out=np.full_like(parts, np.nan), where=under > 0)
        if self.unit != "bits":
            return np.asarray(shares.sum(axis=0))
        logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
        return np.asarray(np.where(under > 0, -(shares * logs).sum(axis=0), np.nan))

    def values_of(self, values: pl.DataFrame) -> NDArray[np.float64]:
        """The values of single events (``Measured.values``) that a mean is of, so that its spread can be seen."""
        is_mean = self.numerators == (f"{self.technique} value",)
        return values.filter(pl.lit(is_mean), technique=self.technique)["value"].to_numpy()


class Measured(NamedTuple):
    """What games came to."""

    sums: pl.DataFrame
    """``replay``, ``side``, ``minutes`` and, for every technique, its ``SUMS``: one row per player of each game."""
    values: pl.DataFrame
    """``replay``, ``side``, ``frame``, ``technique``, ``value``: one row per event that has a value."""


def measure(frames: pl.LazyFrame) -> Measured:
    """Sums and values of both players of some games.

    Args:
        frames: whole replays of the frame table, in order, with the columns of ``FRAME_COLUMNS``
            (``dataset.stats.techniques.spans``).
    """
    is_played = pl.col("frame") >= FIRST_CONTROLLED_FRAME
    played = frames.group_by("replay", maintain_order=True).agg(minutes=is_played.sum() / FRAMES_PER_MINUTE).collect()
    players = played.join(pl.DataFrame({"side": SIDES}), how="cross")
    found = find_events(frames)
    counted = count_events(found.lazy(), ["replay", "side"]).collect()
    wide = players
    for name in TECHNIQUES:
        own = counted.filter(technique=name).drop("technique").rename({part: f"{name} {part}" for part in SUMS})
        wide = wide.join(own, on=["replay", "side"], how="left", maintain_order="left")
    sums = wide.with_columns(pl.col(f"{name} {part}").fill_null(0) for name in TECHNIQUES for part in SUMS)
    return Measured(sums, found.filter(pl.col("value").is_not_null()).drop("success"))


def _statistics() -> dict[str, Statistic]:
    """Of each technique how often it succeeds per minute, the share of tries that do, and the mean of its values."""
    found = []
    for name in TECHNIQUES:
        about = ABOUT[name]
        figures = [("per minute", f"{about.definition}", "per minute", "count", MINUTES)]
        if about.tries is not None:
            figures.append(("share", f"share of {about.tries}: {about.definition}", "share", "count", f"{name} rated"))
        if about.value is not None:
            figures.append(
                (about.value, f"mean of {about.value}: {about.definition}", about.value, "value", f"{name} valued")
            )
        for figure, definition, unit, over, under in figures:
            found.append(
                Statistic(
                    name=f"{name}: {figure}",
                    definition=definition,
                    unit=unit,
                    technique=name,
                    numerators=(f"{name} {over}",),
                    denominator=under,
                )
            )
    return {statistic.name: statistic for statistic in found}


STATISTICS: dict[str, Statistic] = _statistics()
"""Every statistic by its name, ``TECHNIQUE: FIGURE``, in the order in which people read them."""
