"""Builders shared by the tests of training: small policies, hand-made samples, batches of random frames."""

import numpy as np
import torch
from torch import Tensor

from dataset.codec import get_codec
from dataset.encode import FEATURES, INDICES, Encoded
from dataset.ids import KNEE_BEND
from dataset.shards import Sample
from train.config import PolicyConfig

FALCO, FOX = 22, 1
CODEC = get_codec("axis17")
SIZES = [size for _, size in CODEC.components]


def tiny_policy_config(**changes: object) -> PolicyConfig:
    return PolicyConfig(**({"hidden_sizes": (16, 16)} | changes))  # type: ignore[arg-type]


def sample(
    name: str, num_frames: int, *, characters: tuple[int, int] = (FALCO, FOX), seed: int = 0, jump_every: int = 40
) -> Sample:
    """A replay whose players hold random sticks, press X now and then, and stand in KNEE_BEND while they hold it."""
    random = np.random.default_rng([seed, num_frames, sum(name.encode())])
    continuous = random.normal(size=(len(FEATURES), num_frames)).clip(-2, 2).astype(np.float16)
    indices = np.stack([random.integers(0, min(size, 20), num_frames) for _, size in INDICES]).astype(np.uint16)
    classes = np.stack([CODEC.encode(np.zeros((num_frames, 6), dtype=np.int32)).T] * 2)
    held = np.arange(num_frames) // 10
    for side in range(2):
        classes[side, 2] = random.integers(0, 17, num_frames // 10 + 1)[held]
        jumps = (np.arange(num_frames) + 7 * side) % jump_every < 3
        classes[side, [name for name, _ in CODEC.components].index("x")] = jumps
        row = [name for name, _ in INDICES].index(f"{'ab'[side]}_action_state")
        indices[row, jumps] = KNEE_BEND
    return Sample(
        id=name,
        ports=(1, 2),
        characters=characters,
        stage=0,
        frames=np.arange(num_frames, dtype=np.int32) - 123,
        encoded=Encoded(continuous, indices),
        classes=classes,
    )


def random_frames(batch: int, frames: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Continuous [B, T, C], indices [B, T, I], previous [B, T, K] and target [B, T, K] in their stored dtypes."""
    generator = torch.Generator().manual_seed(seed)

    def classes(sizes: list[int]) -> Tensor:
        return torch.stack([torch.randint(0, n, (batch, frames), generator=generator) for n in sizes], dim=-1)

    continuous = torch.randn(batch, frames, len(FEATURES), generator=generator).half()
    indices = classes([size for _, size in INDICES]).to(torch.uint16)
    return continuous, indices, classes(SIZES).to(torch.uint8), classes(SIZES).to(torch.uint8)
