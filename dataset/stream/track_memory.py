"""Decoded tracks as rows of bytes, one row a frame, and the memory for those that are needed now.

Everything that a policy is given of a frame lies side by side (``Layout``), and tracks side by side in one array, so that a
window is one copy of consecutive bytes. ``window`` rows of zeros follow every track and open the array: so a window that runs
over its track's end is padded, and a row with nothing to do reads zeros, without a special case. Memory that is given back
passes to the next ``TrackMemory`` in this process.

Legend: B rows of a batch, T frames in the window, C features, I indices, K components, W bytes of a frame.
"""

import ctypes
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from dataset.features.layout import FEATURES, INDICES

SLACK = 1.125
"""Room beyond what is needed, so that a freed place is soon found and tracks are rarely moved."""

KEPT_BYTES = 2**26
"""A few freed batches: fresh pages for each would cost as much as the gather."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

Bytes = NDArray[np.uint8]

Run = Callable[[Callable[[int], None], list[int]], Iterable[None]]
"""``map``, or that of a pool."""

_spare: list[Bytes] = []
"""The memory given back last, at most one array in a process: taking it from the system again would cost more."""


@dataclass(frozen=True)
class Layout:
    """Where a frame's parts lie in its W bytes."""

    components: int
    """K"""

    @cached_property
    def parts(self) -> dict[str, slice]:
        """Bytes of each part of a frame; zeros pad the last to whole 8-byte words, so that equal frames are equal bytes."""
        sizes = {
            "continuous": 2 * len(FEATURES),
            "indices": 2 * len(INDICES),
            "previous": self.components,
            "target": self.components,
        }
        ends = list(accumulate(sizes.values()))
        return {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}

    @property
    def width(self) -> int:
        """W."""
        used: int = self.parts["target"].stop
        return -(-used // 8) * 8

    def views(self, rows: Bytes) -> tuple[NDArray[np.float16], NDArray[np.uint16], Bytes, Bytes]:
        """The parts of rows [..., W], where they lie: features, embedding indices, previous controllers and targets."""
        continuous, indices, previous, target = (rows[..., part] for part in self.parts.values())
        return continuous.view(np.float16), indices.view(np.uint16), previous, target


@dataclass(frozen=True)
class _Place:
    first: int
    size: int


class TrackMemory:
    """Room for decoded tracks."""

    def __init__(self, num_rows: int, width: int, window: int) -> None:
        """Make room for ``num_rows`` rows, padding included, of ``width`` bytes; memory is taken as it is first used."""
        self.window = window
        total = int(num_rows * SLACK) + window
        self._memory = _memory(total * width)
        self._rows = self._memory[: total * width].reshape(total, width)
        self._rows[:window] = 0
        self._mask = np.zeros(len(self._rows), dtype=np.bool_)
        self._held: dict[int, _Place] = {}
        self._windows = _overlapping(self._rows, window)
        self._window_masks = _overlapping(self._mask, window)
        keep_freed_memory(KEPT_BYTES)

    def close(self) -> None:
        """Give the memory to the next ``TrackMemory``; ``gather`` may not be called any more."""
        _spare[:] = [self._memory]

    def hold(
        self,
        needed: Mapping[int, int],
        decode: Callable[[int, Bytes], NDArray[np.bool_]],
        run: Run = map,
    ) -> None:
        """Hold exactly the tracks ``needed``.

        Args:
            needed: rows by track.
            decode: fills the rows of a new track and returns which of them count.
            run: ``map``, or that of a pool, whose threads then decode several tracks at once.
        """
        self._held = {track: place for track, place in self._held.items() if track in needed}
        new = [track for track in needed if track not in self._held]
        for track in new:  # a place for each first: making room moves tracks, which none may be written to meanwhile
            size = needed[track] + self.window
            self._held[track] = _Place(self._room(size), size)

        def fill(track: int) -> None:
            place = self._held[track]
            end, last = place.first + place.size - self.window, place.first + place.size
            self._mask[place.first : end] = decode(track, self._rows[place.first : end])
            self._mask[end:last] = False
            self._rows[end:last] = 0

        for _ in run(fill, new):
            pass

    def first_rows(self, num_tracks: int) -> NDArray[np.int64]:
        """Where each held track begins, by track; the last entry, that of no track (-1), is where zeros are."""
        firsts = np.zeros(num_tracks + 1, dtype=np.int64)
        for track, place in self._held.items():
            firsts[track] = place.first
        return firsts

    def gather(self, firsts: NDArray[np.int64]) -> tuple[Bytes, NDArray[np.bool_]]:
        """Copies of the windows that begin at the rows ``firsts`` [B]: frames [B, T, W] and masks [B, T]."""
        frames = self._windows[firsts].view(np.uint8).reshape(len(firsts), self.window, -1)
        return frames, self._window_masks[firsts].view(np.bool_).reshape(len(firsts), self.window)

    def _room(self, size: int) -> int:
        end = self.window
        for place in sorted(self._held.values(), key=lambda place: place.first):
            if place.first - end >= size:
                return end
            end = place.first + place.size
        return end if len(self._rows) - end >= size else self._close_gaps()

    def _close_gaps(self) -> int:
        """Move the tracks together; returns the first free row."""
        end = self.window
        for track, place in sorted(self._held.items(), key=lambda item: item[1].first):
            for rows in (self._rows, self._mask):
                rows[end : end + place.size] = rows[place.first : place.first + place.size]
            self._held[track] = _Place(end, place.size)
            end += place.size
        return end


@contextmanager
def mapping(threads: int) -> Iterator[Run]:
    """``map``, or that of a pool of so many threads (zstd and numpy release Python's lock while they decode)."""
    if threads == 1:
        yield map
        return
    with ThreadPoolExecutor(threads, "decode") as pool:
        yield pool.map


def keep_freed_memory(kept_bytes: int) -> None:
    """Let glibc keep up to ``kept_bytes`` of what is freed; elsewhere nothing changes.

    A process that takes and frees the same megabytes over and over pays for fresh pages otherwise, which the kernel zeroes.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):  # musl has none
            libc.mallopt(_M_TRIM_THRESHOLD, kept_bytes)
            libc.mallopt(_M_MMAP_THRESHOLD, kept_bytes)


def _memory(num_bytes: int) -> Bytes:
    """At least so many bytes, the spare ones if they suffice; if not, they are freed first."""
    found = np.empty(0, dtype=np.uint8)
    with suppress(IndexError):
        found = _spare.pop()
    if len(found) < num_bytes:
        del found
        found = np.empty(num_bytes, dtype=np.uint8)
    return found


def _overlapping(rows: NDArray[np.generic], window: int) -> NDArray[np.void]:
    """Every ``window`` consecutive rows as one item, which numpy copies with a single memmove."""
    width = rows.strides[0]
    return np.ndarray((len(rows) - window + 1,), f"V{window * width}", rows, strides=(width,))
