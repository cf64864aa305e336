"""Whole configs under a name, for ``--preset``: from a look at whether all runs to a policy worth playing against.

Shapes, epochs, schedules and regularisers follow what the Elixir exphil's presets of these names came to use. The surprise:
batch size and learning rate do not. A lane supervises every frame of its window, some sixty times what a window did there,
so 32 lanes and a peak of 1e-3 take their place.

| | quick | standard | full | production |
|---|---|---|---|---|
| backbone, widths | mlp 32,32 | mlp 64,64 | mamba 256,256 | mamba 256,256,256 |
| epochs | 1 | 10 | 50 | 100 |
| rate, warm-up steps | constant, 0 | cosine, 0 | cosine, 1000 | cosine, 2000 |
| dropout | 0 | 0 | 0.1 | 0.1 |
| mirrored and noisy replays | no | yes | yes | yes |
| averaged weights | no | no | 0.999 | 0.9995 |
| stops after epochs without gain | never | 5 | 7 | 10 |

All of them walk windows of 60 frames. None uses the focal loss or the label smoothing of those presets: both distort the
probabilities that play samples from, and smoothing by 0.1 cost 0.47 nats (``benchmarks/results/learning.md``).
"""

from collections.abc import Callable

from dataset.errors import require_known
from train.config.run_config import DataConfig, OptimConfig, PolicyConfig, RunConfig

WINDOW = 60
"""Frames: one second."""


def quick() -> RunConfig:
    """Whether everything runs: one epoch of a tiny policy that sees single frames."""
    return RunConfig(
        policy=PolicyConfig(backbone="mlp", hidden_sizes=(32, 32)),
        data=DataConfig(window_size=WINDOW),
        optim=OptimConfig(epochs=1, lr_schedule="constant"),
    )


def standard() -> RunConfig:
    """A policy that sees single frames, small enough for any CPU."""
    return RunConfig(
        policy=PolicyConfig(backbone="mlp", hidden_sizes=(64, 64)),
        data=DataConfig(window_size=WINDOW, augment=True),
        optim=OptimConfig(epochs=10, early_stopping=True, patience=5),
    )


def full() -> RunConfig:
    """A policy with memory; hours on a CPU."""
    return RunConfig(
        policy=PolicyConfig(backbone="mamba", hidden_sizes=(256, 256), dropout=0.1),
        data=DataConfig(window_size=WINDOW, augment=True),
        optim=OptimConfig(epochs=50, warmup_steps=1000, ema_decay=0.999, early_stopping=True, patience=7),
    )


def production() -> RunConfig:
    """The longest training of the largest policy; for a GPU."""
    return RunConfig(
        policy=PolicyConfig(backbone="mamba", hidden_sizes=(256, 256, 256), dropout=0.1),
        data=DataConfig(window_size=WINDOW, augment=True),
        optim=OptimConfig(epochs=100, warmup_steps=2000, ema_decay=0.9995, early_stopping=True, patience=10),
    )


PRESETS: dict[str, Callable[[], RunConfig]] = {
    "quick": quick,
    "standard": standard,
    "full": full,
    "production": production,
}


def preset(name: str) -> RunConfig:
    """The config that ``--preset`` calls ``name``."""
    return PRESETS[require_known("--preset", name, PRESETS)]()
