"""A bank: replays kept packed, and the tracks in them, a replay seen by one imitated player each.

In: samples, or samples as shards hold them. Out: tracks, decoded one at a time into rows of bytes (``Layout``), from their
player's view, shifted by the delay and augmented. The surprise: packed replays beyond ``MEMORY`` bytes lie in a temporary
file without a name, so the bank's memory does not grow with the store.

Legend: N frames of a replay, K components, W bytes of a frame.
"""

import tempfile
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from dataset.errors import SchemaError
from dataset.stream.augment import PLAIN, Augment
from dataset.stream.batch import Bytes, Layout
from dataset.stream.decode import decode
from dataset.stream.window_shards import Packed, Sample, pack, read_about, unpack

MEMORY = 256 * 2**20
"""Bytes of packed replays kept in memory, about 18 million frames."""


@dataclass(frozen=True)
class Track:
    """One replay seen by one imitated player."""

    replay: int
    """Which replay of the bank."""
    side: int
    """0 (a) or 1 (b)."""
    num_frames: int


@dataclass(frozen=True)
class Rows:
    """A decoded track, row-major from its player's view."""

    continuous: NDArray[np.float16]
    """[N, C]"""
    indices: NDArray[np.uint16]
    """[N, I]"""
    previous: NDArray[np.uint8]
    """[N, K] classes of the newest committed controller."""
    target: NDArray[np.uint8]
    """[N, K] classes to predict."""
    mask: NDArray[np.bool_]
    """[N] whether the row has a target."""


class Bank:
    """Packed replays, with the tracks that are imitated."""

    def __init__(self, samples: Iterable[Sample | Packed], character: int | None = None, memory: int = MEMORY) -> None:
        """Keep the replays in which ``character`` (internal id) was picked; ``None`` keeps all and imitates everyone.

        Args:
            samples: the replays; packed ones are kept without being decoded.
            character: whom to imitate.
            memory: bytes of packed replays kept in memory; what is more lies in a temporary file.

        Raises:
            SchemaError: the replays are not of one codec.
        """
        self._file = tempfile.SpooledTemporaryFile(max_size=memory)  # noqa: SIM115
        weakref.finalize(self, self._file.close)  # it lives as long as the bank
        self._lock = Lock()
        self._last: tuple[int, Sample] | None = None
        self._about: list[bytes] = []
        self._ends = [0]
        self.ids: list[str] = []
        self.tracks: list[Track] = []
        self.layout = Layout(0)
        self.character = character
        for sample in samples:
            self._add(sample if isinstance(sample, Packed) else Packed(*pack(sample)))

    def _add(self, packed: Packed) -> None:
        about = read_about(packed.about)
        sides = [side for side in (0, 1) if self.character is None or about.characters[side] == self.character]
        if not sides:
            return
        if self.ids and about.components != self.layout.components:
            raise SchemaError(
                f"replay {about.id}: all replays of a bank must have the same {self.layout.components} components, found "
                f"{about.components}; run 'exphil encode' to write the window shards again with one codec"
            )
        self.layout = Layout(about.components)
        self.tracks += [Track(len(self.ids), side, about.num_frames) for side in sides]
        self.ids.append(about.id)
        self._about.append(packed.about)
        self._file.write(packed.numbers)
        self._ends.append(self._ends[-1] + len(packed.numbers))

    @property
    def num_frames(self) -> int:
        """Imitated frames: those of all tracks together."""
        return sum(track.num_frames for track in self.tracks)

    @property
    def size_bytes(self) -> int:
        """Bytes of the packed replays."""
        return self._ends[-1]

    def sample(self, replay: int) -> Sample:
        """One replay, unpacked; the last one is kept, since both tracks of a ditto are often wanted together."""
        last = self._last
        if last is None or last[0] != replay:
            last = self._last = (replay, unpack(self._about[replay], self._read(replay)))
        return last[1]

    def _read(self, replay: int) -> bytes:
        with self._lock:
            self._file.seek(self._ends[replay])
            return self._file.read(self._ends[replay + 1] - self._ends[replay])

    def open(self, track: Track, delay: int, augment: Augment = PLAIN) -> Rows:
        """Decode one track, from its player's view, with controllers shifted by ``delay``."""
        out = np.zeros((track.num_frames, self.layout.width), dtype=np.uint8)
        mask = self.decode(track, delay, augment, out)
        layout = self.layout
        return Rows(layout.continuous(out), layout.indices(out), layout.previous(out), layout.target(out), mask)

    def decode(self, track: Track, delay: int, augment: Augment, out: Bytes) -> NDArray[np.bool_]:
        """``open`` into given rows [N, W]; returns which of them have a target, [N]."""
        return decode(self.sample(track.replay), track.side, delay, augment, self.layout, out)
