"""Techniques in conduct: counted for both sides of each game by the finders of ``exphil stats``, in stores and arenas alike.

An arena, which has no frame table, writes its frames to a folder (``play.arena.film``): a folder for each pairing with
``frames.bin``, float32 [T, N, 2, 5] in the order of ``FILMED``, and ``lengths.npy``, how many frames each of the N games had.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataset.schema import COLUMNS, FIRST_FRAME, SIDES
from dataset.stats.conduct.conduct import FILMED, TechniqueCounts
from dataset.stats.techniques.spans import FRAME_COLUMNS
from dataset.stats.techniques.table import ALONE, BATCH_FRAMES, find

NAMES = tuple(ALONE)
"""How two players meet is told by stocks and damage."""

_TYPES = {column.name: pl.Series(np.empty(0, column.dtype)).dtype for column in COLUMNS}


def count_techniques(frames: pl.LazyFrame, replays: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Count ``NAMES`` in whole games.

    Args:
        frames: their rows of the frame table (``FRAME_COLUMNS``), in order.
        replays: their ids.

    Returns:
        ``TechniqueCounts`` of the games in the order of ``replays``.
    """
    counts = {name: np.zeros((3, len(replays), 2), np.int64) for name in NAMES}
    game = {replay: number for number, replay in enumerate(replays)}
    sums = find(frames, NAMES).counts
    for replay, side, technique, *found in sums.select(
        "replay", "side", "technique", "count", "tries", "rated"
    ).iter_rows():
        counts[technique][:, game[replay], SIDES.index(side)] = found
    return counts


def count_filmed(folder: Path) -> TechniqueCounts:
    """Count ``NAMES`` in the games of one pairing that an arena wrote; L-cancels are not told there, so none is found."""
    lengths = np.load(folder / "lengths.npy")
    shape = (-1, len(lengths), len(SIDES), len(FILMED))
    filmed = np.memmap(folder / "frames.bin", np.float32, "r").reshape(shape)
    at_once = max(1, BATCH_FRAMES // len(filmed))
    parts = []
    for start in range(0, len(lengths), at_once):
        games = range(start, min(start + at_once, len(lengths)))
        frames = pl.concat([_frames(filmed[: lengths[game], game], str(game)) for game in games])
        parts.append(count_techniques(frames.lazy(), [str(game) for game in games]))
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in NAMES}


def _frames(filmed: NDArray[np.float32], replay: str) -> pl.DataFrame:
    """Rows of the frame table of one game [T, 2, 5]; what was not filmed is null."""
    columns: dict[str, pl.Expr | pl.Series] = {
        name: pl.lit(None, _TYPES[name]) for name in FRAME_COLUMNS if name != "replay"
    }
    columns["frame"] = pl.Series(np.arange(FIRST_FRAME, FIRST_FRAME + len(filmed), dtype=np.int32))
    for number, side in enumerate(SIDES):
        for place, name in enumerate(FILMED):
            columns[f"{side}_{name}"] = pl.Series(filmed[:, number, place]).cast(_TYPES[f"{side}_{name}"])
    return pl.DataFrame().select(replay=pl.lit(replay), **columns).select(FRAME_COLUMNS)
