"""What must hold of every window sample, and whether it equals a fresh encoding of its frames; a few bytes are kept of each.

The counts of the leak check are taken from the same numbers that a policy is given.
"""

from dataclasses import dataclass, field

import numpy as np
import xxhash
from numpy.typing import NDArray

from dataset.codecs.base import Codec
from dataset.features.align import align, leak_counts
from dataset.features.layout import FEATURES, INDEX_ROW
from dataset.schema import SIDES
from dataset.stream.window_shards import Sample
from dataset.verify.frame_audit import Faults

JUMP_BITS = 0x0400 | 0x0800
"""X and Y."""


@dataclass
class WindowAudit:
    """Rules on the window shards: ``add`` every stored sample, then ``compare`` every fresh one."""

    faults: Faults = field(default_factory=Faults)
    leak: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, dtype=np.int64))
    splits: dict[str, str] = field(default_factory=dict)
    """Split of the shard each sample lies in, by id."""
    _parts: dict[str, dict[str, bytes]] = field(default_factory=dict)
    _low: NDArray[np.float16] = field(default_factory=lambda: np.full(len(FEATURES), np.inf, dtype=np.float16))
    _high: NDArray[np.float16] = field(default_factory=lambda: np.full(len(FEATURES), -np.inf, dtype=np.float16))

    def add(self, sample: Sample, split: str, codec: Codec) -> None:
        """Audit a stored sample."""
        where = f"sample {sample.id}"
        self.faults.add(
            int(sample.id in self.splits), f"{where} is in two shards, {split} and {self.splits.get(sample.id)}"
        )
        self.splits[sample.id] = split
        self._parts[sample.id] = _fingerprint(sample)
        continuous = sample.encoded.continuous
        self.faults.add(int(not np.isfinite(continuous).all()), f"{where} holds a feature that is not finite")
        self._low = np.minimum(self._low, continuous.min(axis=1))
        self._high = np.maximum(self._high, continuous.max(axis=1))
        sizes = np.array([size for _, size in codec.components])
        has_known_classes = len(sizes) == sample.classes.shape[1] and bool((sample.classes < sizes[:, None]).all())
        self.faults.add(int(not has_known_classes), f"{where} holds classes that codec '{codec.name}' does not have")
        if has_known_classes:
            self.leak = self.leak + sample_leak(sample, codec)

    def compare(self, fresh: Sample) -> None:
        """Compare a fresh encoding with the stored sample, if there is one."""
        stored = self._parts.get(fresh.id)
        if stored is None:
            return
        differing = [part for part, digest in _fingerprint(fresh).items() if stored[part] != digest]
        self.faults.add(
            int(bool(differing)), f"sample {fresh.id}: {', '.join(differing)} differ from its rows encoded again"
        )

    @property
    def constant(self) -> list[str]:
        """Features that hold one value in every sample."""
        return [feature.name for feature, low, high in zip(FEATURES, self._low, self._high, strict=True) if low == high]


def _fingerprint(sample: Sample) -> dict[str, bytes]:
    """A digest of every part of a sample."""
    about = repr((sample.id, sample.ports, sample.characters, sample.stage, sample.num_frames)).encode()
    parts = {
        "header": about,
        "frames": sample.frames.tobytes(),
        "features": sample.encoded.continuous.tobytes(),
        "indices": sample.encoded.indices.tobytes(),
        "classes": sample.classes.tobytes(),
    }
    return {part: xxhash.xxh3_128_digest(numbers) for part, numbers in parts.items()}


def sample_leak(sample: Sample, codec: Codec) -> NDArray[np.int64]:
    """``leak_counts`` of both sides of a sample at delay 0, as a policy would see them."""
    total = np.zeros(3, dtype=np.int64)
    for side, classes in zip(SIDES, sample.classes, strict=True):
        aligned = align(classes.T, sample.frames, 0)
        before, target = ((codec.decode(c)[:, 5] & JUMP_BITS) != 0 for c in (aligned.previous, aligned.target))
        action_states = sample.encoded.indices[INDEX_ROW[f"{side}_action_state"]]
        total += leak_counts(action_states, before, target, aligned.mask, 0)
    return total
