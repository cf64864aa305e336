"""Builders shared by the tests of streaming: hand-made replays, the mixes that samplers must cope with, whole-batch equality."""

from collections import Counter
from typing import Any

import numpy as np

from dataset.features.encoder import Encoded
from dataset.features.layout import FEATURES, INDICES
from dataset.stream.bank import Bank
from dataset.stream.sampler import Batch, Lanes, Sampler
from dataset.stream.window_shards import Sample
from dataset.stream.windows import Windows

FALCO, FOX, MEWTWO = 22, 1, 16
COMPONENTS = 13

MIXES = {
    "many replays": ([301, 77, 450, 129, 64, 333, 210, 65, 512, 1], FALCO, 3),
    "dittos and all players": ([301, 77, 450, 129], None, 2),
    "fewer replays than rows": ([700, 300], FALCO, 8),
    "one replay much longer than the others": ([2000, 70, 80, 90, 100], FALCO, 3),
}
"""(frames of each replay, who is imitated, rows)."""

SAMPLERS: dict[str, dict[str, Any]] = {
    "lanes": {"kind": Lanes},
    "windows": {"kind": Windows, "burn_in": 4},
    "windows of which the last frame is predicted": {"kind": Windows, "burn_in": 15},
    "windows in blocks": {"kind": Windows, "burn_in": 12, "memory": 1},
}


def sample(name: str, num_frames: int, characters: tuple[int, int] = (FALCO, FOX)) -> Sample:
    random = np.random.default_rng([num_frames, *name.encode()])
    return Sample(
        id=name,
        ports=(1, 2),
        characters=characters,
        stage=0,
        frames=np.arange(num_frames, dtype=np.int32) - 123,
        encoded=Encoded(
            random.normal(size=(len(FEATURES), num_frames)).astype(np.float16),
            np.stack([random.integers(0, size, num_frames) for _, size in INDICES]).astype(np.uint16),
        ),
        classes=random.integers(0, 2, (2, COMPONENTS, num_frames)).astype(np.uint8),
    )


def bank_of(name: str) -> Bank:
    lengths, character, _ = MIXES[name]
    return Bank((sample(f"r{i}", length) for i, length in enumerate(lengths)), character)


def sampler(mix: str, kind: str, **changes: Any) -> Sampler:
    """A sampler of 16-frame windows over a mix."""
    about = {"rows": MIXES[mix][2], "window": 16, "delay": 0, "seed": 5} | SAMPLERS[kind] | changes
    made: Sampler = about.pop("kind")(bank_of(mix), **about)
    return made


def frames_delivered(batches: list[Batch]) -> Counter[tuple[int, int]]:
    """How often each (track, row) was in a batch."""
    return Counter(
        (int(track), int(start) + i)
        for batch in batches
        for track, start, length in zip(batch.track, batch.start, batch.length, strict=True)
        for i in range(length)
    )


def frames_predicted(batches: list[Batch]) -> Counter[tuple[int, int]]:
    """How often each (track, row) was to be predicted."""
    return Counter(
        (int(batch.track[row]), int(batch.start[row]) + int(place))
        for batch in batches
        for row, place in zip(*np.nonzero(batch.mask), strict=True)
    )


def equal(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one))
