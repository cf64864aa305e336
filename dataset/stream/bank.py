"""A bank of packed replays, and the tracks in it: a track is one replay seen by one imitated player.

A track is decoded into rows of bytes (``dataset.stream.track_memory.Layout``): decoding takes the player's view, shifts the
controllers by the delay and augments. Packed replays beyond ``MEMORY`` bytes lie in an unnamed temporary file, so a bank's
memory does not grow with the store.

Legend: N frames of a replay, C features, I indices, K components, W bytes of a frame.
"""

import tempfile
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from dataset.codecs.base import Codec
from dataset.errors import SchemaError
from dataset.features.align import align
from dataset.features.encoder import (
    EXCHANGE_FEATURES,
    EXCHANGE_INDICES,
    EXCHANGE_SIGNS,
    Encoded,
    mirror,
    perspective,
)
from dataset.features.layout import FEATURES
from dataset.melee.controller import Classes
from dataset.stream.track_memory import Bytes, Layout
from dataset.stream.window_shards import Packed, Sample, pack, read_about, unpack

MEMORY = 256 * 2**20
"""Bytes of packed replays kept in memory, about 18 million frames."""

NOISE = 0.01
"""Standard deviation of the noise in scaled units: 0.2 units of position, 0.02 units a frame of speed."""

BLOCK = 512
"""Rows decoded at a time: few enough for the processor's second cache to hold the columns and the rows."""

_MOVING = ("x", "y", "ledge", "dx", "dy", "distance")
NOISY = np.array(
    [
        row
        for row, feature in enumerate(FEATURES)
        if feature.name.split("_")[-1] in _MOVING or "speed" in feature.name.split("_")
    ]
)
"""Rows of the features that are positions or speeds."""

_FEATURES, _INDICES = (None, EXCHANGE_FEATURES), (None, EXCHANGE_INDICES)
_FLIPS = np.zeros((2, len(EXCHANGE_SIGNS)), dtype=np.uint16)
_FLIPS[1, EXCHANGE_SIGNS < 0] = 0x8000
"""[side, C] bits that differ between the views of sides a and b."""


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What is done to one track for one epoch.

    A mirror exchanges left and right in the state, the previous controller and the target together. Noise is added to
    positions and speeds alone; a value of exactly 0 stays 0, because an absent item or Nana looks like that.
    """

    mirrored_by: Codec | None = None
    """The codec that mirrors the controllers; ``None`` leaves left and right as they are."""
    noise_seed: tuple[int, ...] | None = None
    """Seed of the noise; ``None`` adds none."""

    def apply(self, encoded: Encoded, previous: Classes, target: Classes) -> tuple[Encoded, Classes, Classes]:
        """The augmented features, previous controllers [N, K] and targets [N, K]; the arguments are not changed."""
        if self.mirrored_by is not None:
            encoded = mirror(encoded)
            previous, target = self.mirrored_by.mirror(previous), self.mirrored_by.mirror(target)
        if self.noise_seed is not None:
            noisy = encoded.continuous.copy()
            values = encoded.continuous[NOISY].astype(np.float32)
            noise = np.random.default_rng(self.noise_seed).standard_normal(values.shape, dtype=np.float32)
            noisy[NOISY] = values + noise * np.float32(NOISE) * (values != 0)
            encoded = Encoded(noisy, encoded.indices)
        return encoded, previous, target


PLAIN = Augment()
"""Keeps everything as it was recorded."""


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

    def __init__(
        self,
        samples: Iterable[Sample | Packed],
        character: int | None = None,
        memory: int = MEMORY,
        codec: Codec | None = None,
    ) -> None:
        """Keep the replays in which ``character`` (internal id) was picked; ``None`` keeps all and imitates everyone.

        Args:
            samples: the replays; packed ones are kept without being decoded.
            character: whom to imitate.
            memory: bytes of packed replays kept in memory; the rest lies in a temporary file.
            codec: whose classes the replays must hold; ``None`` believes them.

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
        self._codec = codec
        for sample in samples:
            self._add(sample if isinstance(sample, Packed) else pack(sample))

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
            with self._lock:
                self._file.seek(self._ends[replay])
                numbers = self._file.read(self._ends[replay + 1] - self._ends[replay])
            last = self._last = (replay, unpack(self._about[replay], numbers, self._codec))
        return last[1]

    def open(self, track: Track, delay: int, augment: Augment = PLAIN) -> Rows:
        """Decode one track, from its player's view, with controllers shifted by ``delay``."""
        out = np.zeros((track.num_frames, self.layout.width), dtype=np.uint8)
        mask = self.decode(track, delay, augment, out)
        return Rows(*self.layout.views(out), mask)

    def decode(self, track: Track, delay: int, augment: Augment, out: Bytes) -> NDArray[np.bool_]:
        """``open`` into given rows [N, W]; returns which of them have a target, [N]."""
        return decode(self.sample(track.replay), track.side, delay, augment, self.layout, out)


def decode(sample: Sample, side: int, delay: int, augment: Augment, layout: Layout, out: Bytes) -> NDArray[np.bool_]:
    """Write a replay from the view of ``side`` into rows [N, W]; returns which of them have a target, [N].

    Columns become rows through an exclusive or, which also turns the sign bits of side b's view: numpy walks its operands
    along the columns, whereas it copies a transposed array at half of the speed. The rows of a block are made in a small
    array that stays in the processor's cache, and go from there to ``out`` in one piece, which takes a quarter less time.
    """
    aligned = align(np.ascontiguousarray(sample.classes[side].T), sample.frames, delay)
    encoded, previous, target = sample.encoded, aligned.previous, aligned.target
    if augment != PLAIN:
        encoded, previous, target = augment.apply(perspective(encoded, side), previous, target)
        side = 0
    features, flips = encoded.continuous.view(np.uint16), _FLIPS[side][:, None]
    warm = np.zeros((BLOCK, layout.width), dtype=np.uint8)
    for first in range(0, len(out), BLOCK):
        block = slice(first, first + BLOCK)
        rows = warm[: len(out) - first]
        to_features, to_indices, to_previous, to_target = layout.views(rows)
        np.bitwise_xor(_ordered(features[:, block], _FEATURES[side]), flips, out=to_features.view(np.uint16).T)
        to_indices[:] = _ordered(encoded.indices[:, block], _INDICES[side]).T
        to_previous[:] = previous[block]
        to_target[:] = target[block]
        out[block] = rows
    return aligned.mask


def _ordered(columns: NDArray[np.uint16], order: NDArray[np.intp] | None) -> NDArray[np.uint16]:
    return columns if order is None else columns[order]
