"""Augmentation: a replay seen in a mirror, and a little noise on where things are and how fast they move.

The mirror exchanges left and right in the state, the previous controller and the target together; applied twice it gives
the replay back. Noise touches positions and speeds and nothing else. The surprise: a value of exactly 0 stays 0, because
that is how an absent item or Nana looks.

Legend: C features, N frames, K components.
"""

from dataclasses import dataclass

import numpy as np

from dataset.codecs.base import Codec
from dataset.features.encoder import Encoded, mirror
from dataset.features.layout import FEATURES
from dataset.melee.controller import Classes

NOISE = 0.01
"""Standard deviation in scaled units: 0.2 units of position, 0.02 units a frame of speed."""

_MOVING = ("x", "y", "ledge", "dx", "dy", "distance")
NOISY = np.array(
    [
        row
        for row, feature in enumerate(FEATURES)
        if feature.name.split("_")[-1] in _MOVING or "speed" in feature.name.split("_")
    ]
)
"""Rows of the features that are positions or speeds."""


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What is done to one track for one epoch."""

    mirrored_by: Codec | None = None
    """The codec that mirrors the controllers; ``None`` leaves left and right as they are."""
    noise_seed: tuple[int, ...] | None = None
    """Of the noise; ``None`` adds none."""

    def apply(self, encoded: Encoded, previous: Classes, target: Classes) -> tuple[Encoded, Classes, Classes]:
        """The augmented features, previous controllers [N, K] and targets [N, K]; the arguments stay as they are."""
        if self.mirrored_by is not None:
            encoded = mirror(encoded)
            previous, target = self.mirrored_by.mirror(previous), self.mirrored_by.mirror(target)
        if self.noise_seed is not None:
            encoded = Encoded(_with_noise(encoded.continuous, self.noise_seed), encoded.indices)
        return encoded, previous, target


PLAIN = Augment()
"""Leaves everything as it was recorded."""


def _with_noise(
    continuous: np.ndarray[tuple[int, ...], np.dtype[np.float16]], seed: tuple[int, ...]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    random = np.random.default_rng(seed)
    noisy = continuous.copy()
    values = continuous[NOISY].astype(np.float32)
    values += random.standard_normal(values.shape, dtype=np.float32) * np.float32(NOISE) * (values != 0)
    noisy[NOISY] = values
    return noisy
