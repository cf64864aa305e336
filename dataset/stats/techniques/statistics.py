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
from dataset.stats.techniques.found import SUMS
from dataset.stats.techniques.moves import MOVES, SPECIALS
from dataset.stats.techniques.sides import COLUMNS
from dataset.stats.techniques.spans import FRAME_COLUMNS
from dataset.stats.techniques.table import NAMES, find

MINUTES = "minutes"
"""The sum that rates per minute are over: how long the game was, from the first frame on that reads controllers."""

MEASURED_COLUMNS = tuple(dict.fromkeys((*FRAME_COLUMNS, *COLUMNS)))
"""Columns of the frame table that ``measure`` reads. Where one is missing or null, what needs it is null, not zero."""


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
        frames: whole replays of the frame table, in order, with ``MEASURED_COLUMNS`` as far as there are any; those of
            ``FRAME_COLUMNS`` (``dataset.stats.techniques.spans``) must be there.
    """
    is_played = pl.col("frame") >= FIRST_CONTROLLED_FRAME
    played = frames.group_by("replay", maintain_order=True).agg(minutes=is_played.sum() / FRAMES_PER_MINUTE).collect()
    players = played.join(pl.DataFrame({"side": SIDES}), how="cross")
    keys, found = ["replay", "side", "technique"], find(frames)
    untold = found.untold.with_columns(is_untold=True)
    long = (
        players.join(pl.DataFrame({"technique": NAMES}), how="cross")
        .join(found.counts, on=keys, how="left", maintain_order="left")
        .join(untold, on=keys, how="left", maintain_order="left")
        .with_columns(pl.when(pl.col("is_untold").is_null()).then(pl.col(SUMS).fill_null(0)))
    )
    sums = long.pivot("technique", index=players.columns, values=list(SUMS), maintain_order=True)
    sums = sums.rename({f"{part}_{name}": f"{name} {part}" for name in NAMES for part in SUMS})
    return Measured(sums, found.events.filter(pl.col("value").is_not_null()).drop("success").collect())


def _statistics() -> dict[str, Statistic]:
    """Of each technique how often it comes per minute, its share of what it is a share of, and the mean of its values."""
    found = []
    for name in NAMES:
        about = ABOUT[name]
        figures = [("per minute", about.definition, "per minute", "count", MINUTES)] if about.is_rate else []
        if about.tries is not None:
            figures.append(("share", f"{about.definition}, of {about.tries}", "share", "count", f"{name} rated"))
        if about.of is not None:
            figures.append(
                ("share", f"{about.definition}, of each '{about.of}'", "share", "count", f"{about.of} count")
            )
        if about.value is not None:
            figures.append(
                (about.value, f"mean {about.value}: {about.definition}", about.value, "value", f"{name} valued")
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
    found.append(
        Statistic(
            name="move: entropy",
            definition="how evenly and unpredictably moves are chosen: the entropy of their shares, at most 4.3 for twenty moves",
            unit="bits",
            technique="move",
            numerators=tuple(f"{name} count" for name in (*MOVES, *SPECIALS)),
            denominator="move count",
        )
    )
    return {statistic.name: statistic for statistic in found}


STATISTICS: dict[str, Statistic] = _statistics()
"""Every statistic by its name, ``TECHNIQUE: FIGURE``, in the order in which people read them."""
