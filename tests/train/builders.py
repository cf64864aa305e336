"""Builders shared by the tests of training: small policies, hand-made samples, batches of random frames."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dataset.codecs.base import Codec
from dataset.codecs.registry import get_codec
from dataset.features.encoder import Encoded
from dataset.features.layout import ALL, FEATURES, INDICES, encoder_digest
from dataset.melee.ids import KNEE_BEND
from dataset.schema import SCHEMA_VERSION
from dataset.store.manifest import Manifest, ShardInfo
from dataset.store.replay_table import save_replays
from dataset.stream.window_shards import Sample
from tests.dataset.builders import shard_of, under
from train.config.run_config import DataConfig, OptimConfig, RunConfig
from train.policy.config import PolicyConfig

FALCO, FOX = 22, 1
CODEC = get_codec("axis17")
SIZES = [size for _, size in CODEC.components]


def tiny_policy_config(**changes: object) -> PolicyConfig:
    return PolicyConfig(**({"hidden_sizes": (16, 16), "dropout": 0.0} | changes))  # type: ignore[arg-type]


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


def tiny_data_config(**changes: object) -> DataConfig:
    """Two lanes of ten frames, as they were recorded."""
    return DataConfig(**({"character": "falco", "lanes": 2, "window_size": 10, "augment": False} | changes))  # type: ignore[arg-type]


def tiny_optim_config(**changes: object) -> OptimConfig:
    """Three epochs; the weights themselves are measured, not their average."""
    return OptimConfig(**({"epochs": 3, "lr": 0.01, "warmup_steps": 0, "ema_decay": 0.0} | changes))  # type: ignore[arg-type]


def tiny_config(**parts: object) -> RunConfig:
    """A run of seconds, without any regularisation."""
    config = RunConfig(policy=tiny_policy_config(), data=tiny_data_config(), optim=tiny_optim_config())
    return replace(config, **parts)  # type: ignore[arg-type]


def tiny_splits(*, train: int = 3, val: int = 2, test: int = 2, num_frames: int = 90) -> dict[str, list[Sample]]:
    counts = {"train": train, "val": val, "test": test}
    return {
        split: [sample(f"{split}{i}", num_frames + 10 * i, characters=(FALCO, FOX)) for i in range(count)]
        for split, count in counts.items()
    }


def recoded(one: Sample, codec: Codec) -> Sample:
    """The same replay with its controllers in the classes of another codec."""
    controllers = CODEC.decode(one.classes.transpose(0, 2, 1))
    return replace(one, classes=np.ascontiguousarray(codec.encode(controllers).transpose(0, 2, 1)))


def write_store(folder: Path, splits: dict[str, list[Sample]], codec: Codec = CODEC, features: str = ALL) -> Path:
    """A store of window shards and the table of replays, which is all that training reads."""
    (folder / "windows").mkdir(parents=True)
    shards: list[ShardInfo] = []
    for split, samples in splits.items():
        path = f"windows/{split}-000000.tar"
        held = [replace(one, encoded=under(one.encoded, features)) for one in samples]
        data = shard_of(one if codec is CODEC else recoded(one, codec) for one in held)
        (folder / path).write_bytes(data)
        shards.append(
            ShardInfo(
                path=path,
                kind="windows",
                split=split,
                sha256=hashlib.sha256(data).hexdigest(),
                bytes=len(data),
                samples=len(samples),
                frames=sum(one.num_frames for one in samples),
            )
        )
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        encoder_digest=encoder_digest(features),
        features=features,
        codec=codec.name,
        codec_digest=codec.digest,
        rollback="last",
        split_seed=0,
        filters={},
        replays=sum(shard.samples for shard in shards),
        frames=sum(shard.frames for shard in shards),
        digest="d" * 32,
        shards=tuple(shards),
    )
    save_replays(folder, [row for split in splits for row in replay_rows(split, splits[split])], manifest, None)
    return folder


def replay_rows(split: str, samples: list[Sample]) -> list[dict[str, object]]:
    """Rows of the table of replays, the first of the best quality."""
    return [
        {"id": one.id, "source": one.id, "member": None, "status": "ok", "split": split, "frames": one.num_frames}
        | {f"character_{side}": character for side, character in zip("ab", one.characters, strict=True)}
        | {f"quality_{side}": 1 / (1 + place) for side in "ab"}
        for place, one in enumerate(samples)
    ]
