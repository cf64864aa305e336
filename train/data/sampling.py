"""Which sampler a run's config means: the bank's replays in lanes or in windows, for training, measuring and the leak check.

The surprise: measuring walks every replay whole, as it was recorded and at the run's own delay, however the run was trained;
but where only a window's last frame is predicted, each of them costs a window: every ``MEASURED_EVERY``th stands for all.
"""

from dataset.codecs.registry import get_codec
from dataset.stream.bank import Bank
from dataset.stream.sampler import Lanes, Sampler
from dataset.stream.windows import Windows
from train.config.run_config import RunConfig
from train.distributed import Ranks

MEASURED_EVERY = 8
"""For runs that predict only the last frame of windows; measuring all would take them longer than training."""


def build_sampler(
    bank: Bank, config: RunConfig, *, is_shuffled: bool = True, ranks: Ranks | None = None, threads: int = 1
) -> Sampler:
    """A bank walked as the config says; not shuffled, for measuring, it is neither augmented nor seen at other delays."""
    ours = ranks or Ranks()
    data = config.data
    if not is_shuffled and data.sampling == "lanes":
        return plain_lanes(bank, config, is_shuffled=False)
    augment = get_codec(config.policy.codec) if data.augment and is_shuffled else None
    delay = data.delays if is_shuffled else data.delay
    if data.sampling == "windows":
        return Windows(
            bank,
            rows=data.lanes,
            window=data.window_size,
            delay=delay,
            burn_in=config.burn_in,
            seed=config.seed,
            augment=augment,
            is_shuffled=is_shuffled,
            rank=ours.rank,
            world_size=ours.size,
            threads=threads,
            every=MEASURED_EVERY if data.supervise == "last" and not is_shuffled else 1,
        )
    return Lanes(
        bank,
        rows=data.lanes,
        window=data.window_size,
        delay=delay,
        seed=config.seed,
        augment=augment,
        rank=ours.rank,
        world_size=ours.size,
        threads=threads,
    )


def plain_lanes(bank: Bank, config: RunConfig, *, is_shuffled: bool = True) -> Lanes:
    """Lanes over the bank as it was recorded, at one delay."""
    data = config.data
    return Lanes(
        bank,
        rows=data.lanes,
        window=data.window_size,
        delay=data.delay,
        seed=config.seed,
        is_shuffled=is_shuffled,
    )
