"""An arena: the decoded tracks that are needed now, side by side in one array, so that a batch is gathered in one go.

In: which tracks to hold. Out: windows of T consecutive rows, copied by their first row. The surprise: T rows of zeros follow
every track and open the array, so a window that runs over its track's end is padded, and a row with nothing to do reads
zeros, without a special case.

Legend: B rows of a batch, T frames in the window, W bytes of a frame.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from dataset.stream.batch import Bytes

SLACK = 1.125
"""Room beyond what is needed, so that a freed place is soon found and tracks are rarely moved."""


@dataclass(frozen=True)
class _Place:
    first: int
    size: int


class Arena:
    """Room for decoded tracks."""

    def __init__(self, num_rows: int, width: int, window: int) -> None:
        """Make room for ``num_rows`` rows, padding included, of ``width`` bytes; memory is taken as it is first used."""
        self.window = window
        self._rows: Bytes = np.empty((int(num_rows * SLACK) + window, width), dtype=np.uint8)
        self._rows[:window] = 0
        self._held: dict[int, _Place] = {}
        words = self._rows.view(np.uint64)
        self._windows = as_strided(
            words, (len(words) - window + 1, window * words.shape[1]), words.strides, writeable=False
        )

    def hold(self, needed: Mapping[int, int], decode: Callable[[int, Bytes], None]) -> None:
        """Hold exactly the tracks ``needed`` (their rows by track); ``decode`` fills those that are not held yet."""
        self._held = {track: place for track, place in self._held.items() if track in needed}
        for track, length in needed.items():
            if track not in self._held:
                first = self._room(length + self.window)
                decode(track, self._rows[first : first + length])
                self._rows[first + length : first + length + self.window] = 0
                self._held[track] = _Place(first, length + self.window)

    def first_rows(self, num_tracks: int) -> NDArray[np.int64]:
        """Where each held track begins, by track; the last entry, that of no track (-1), is where zeros are."""
        firsts = np.zeros(num_tracks + 1, dtype=np.int64)
        for track, place in self._held.items():
            firsts[track] = place.first
        return firsts

    def gather(self, firsts: NDArray[np.int64]) -> Bytes:
        """Copies [B, T, W] of the windows that begin at the rows ``firsts`` [B]."""
        return self._windows[firsts].view(np.uint8).reshape(len(firsts), self.window, -1)

    def _room(self, size: int) -> int:
        end = self.window
        for place in self._by_row(self._held.values()):
            if place.first - end >= size:
                return end
            end = place.first + place.size
        return end if len(self._rows) - end >= size else self._close_gaps()

    def _close_gaps(self) -> int:
        """Move the tracks together; returns the first free row."""
        end = self.window
        for track, place in sorted(self._held.items(), key=lambda item: item[1].first):
            self._rows[end : end + place.size] = self._rows[place.first : place.first + place.size]
            self._held[track] = _Place(end, place.size)
            end += place.size
        return end

    @staticmethod
    def _by_row(places: Collection[_Place]) -> list[_Place]:
        return sorted(places, key=lambda place: place.first)
