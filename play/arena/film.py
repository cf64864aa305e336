"""Keeps on disk what techniques are found in while games run, since play has no frame table to find them in."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataset.features.layout import RAW_ROW
from dataset.io.child import run_child
from dataset.schema import SIDES
from dataset.stats.conduct.conduct import FILMED, TechniqueCounts
from play.worlds.world import Frames

_ROWS = np.array([[RAW_ROW[f"{side}_{name}"] for name in FILMED] for side in SIDES])


class Film:
    """The frames of a pairing in a folder, as ``dataset.stats.conduct.techniques`` reads them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self._file = (folder / "frames.bin").open("wb")

    def add(self, frames: Frames) -> None:
        """Write one frame of every game."""
        self._file.write(frames.raw[:, _ROWS].tobytes())

    def end(self, lengths: NDArray[np.int64]) -> None:
        """Write how many frames each game had."""
        np.save(self.folder / "lengths.npy", lengths)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def count_techniques(folders: Sequence[Path]) -> list[TechniqueCounts]:
    """Count in a process of its own what the films show: play reads no frame tables.

    Raises:
        ExphilError: that process failed.
    """
    found, _ = run_child("count-techniques", *map(str, folders))
    return [{name: np.array(counts) for name, counts in each.items()} for each in found["films"]]
