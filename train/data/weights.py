"""``--weight-by``: how much the frames of each replay count in training, by its quality or by how rare its matchup is.

In: a bank's tracks and the store's table of replays. Out: one factor a track, of mean 1 over the frames of an epoch, so that
the learning rate keeps its meaning. The surprise: validation knows nothing of it, so that runs compare.
"""

from collections import Counter

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataset.errors import ConfigError, SchemaError
from dataset.schema import SIDES
from dataset.stream.bank import Bank

MOST = 10.0
"""A rare matchup counts at most so many times as much as the commonest."""

Floats = NDArray[np.float32]


def track_weights(bank: Bank, replays: pl.LazyFrame, by: str) -> Floats:
    """The factor of each track.

    Args:
        bank: the tracks.
        replays: ``id``, and for either side ``quality_…`` or ``character_…``.
        by: ``quality`` takes the imitated player's score; ``matchup`` the inverse of the frames with these two characters.

    Raises:
        SchemaError: replays have no quality yet.
        ConfigError: every imitated player's quality is 0.
    """
    column = "quality" if by == "quality" else "character"
    names = [f"{column}_{side}" for side in SIDES]
    if not set(names) <= set(replays.collect_schema().names()):
        raise _without_quality(len(bank.ids))
    found = {row[0]: row[1:] for row in replays.select("id", *names).collect().iter_rows()}
    sides = [(found.get(bank.ids[track.replay], (None, None)), track.side) for track in bank.tracks]
    frames = np.array([track.num_frames for track in bank.tracks], dtype=np.float64)
    raw = (
        _qualities(sides) if by == "quality" else _rarities([(own[side], own[1 - side]) for own, side in sides], frames)
    )
    mean = float((raw * frames).sum() / frames.sum())
    if mean == 0:
        raise ConfigError(
            f"--weight-by quality: needs one replay of a quality above 0, found 0 for all {len(sides)} tracks; "
            "see 'exphil stats --query quality', or leave it away"
        )
    return (raw / mean).astype(np.float32)


def _qualities(sides: list[tuple[tuple[float | None, ...], int]]) -> NDArray[np.float64]:
    scores = [own[side] for own, side in sides]
    missing = scores.count(None)
    if missing:
        raise _without_quality(missing)
    return np.array(scores, dtype=np.float64)


def _rarities(matchups: list[tuple[float | None, float | None]], frames: NDArray[np.float64]) -> NDArray[np.float64]:
    held: Counter[tuple[float | None, float | None]] = Counter()
    for matchup, count in zip(matchups, frames.tolist(), strict=True):
        held[matchup] += count
    commonest = max(held.values())
    return np.array([min(commonest / held[matchup], MOST) for matchup in matchups])


def _without_quality(count: int) -> SchemaError:
    return SchemaError(
        f"--weight-by quality: every replay needs a score, found {count} without; run 'exphil encode --quality' on the store"
    )
