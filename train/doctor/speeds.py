"""How fast this machine does each part of the line, tried on generated duels in a temporary folder: about ten seconds.

In: the extras that are whole. Out: a figure a part, or why there is none. The surprise: the parts build on each other (a store
is parsed, loaded, trained on, its policy stepped), so behind a part that failed the others are not tried.
"""

import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from dataset.duels.generate import generate_replay
from dataset.features.layout import FEATURES, INDICES

NUM_DUELS, DUEL_FRAMES = 12, 2400
"""Enough for 16 lanes; of the first seeds some fall into each split."""
LOADER_SECONDS = 1.0
LANES, WINDOW = 16, 64
WARM_STEP_FRAMES, STEP_FRAMES = 50, 200


@dataclass(kw_only=True)
class Speeds:
    """What was measured; ``None`` where it was not."""

    parse_frames_per_cpu_second: float | None = None
    """Replays to a store with its window shards, in one process."""
    loader_windows_per_second: float | None = None
    """Shuffled windows of 64 frames, one predicted frame each, in one process."""
    train_frames_per_second: float | None = None
    """Supervised frames of training steps of a GRU, twice 128 wide, on the device that ``--device auto`` takes."""
    step_ms_p50: float | None = None
    """That GRU from one frame's features to classes, in PyTorch on one thread; exported it is several times faster."""
    seconds: float = 0.0
    skipped: dict[str, str] = field(default_factory=dict)
    """Parts that were not tried, and why."""
    failed: dict[str, str] = field(default_factory=dict)
    """Parts that should have worked, and what they said."""


def measure_speeds(whole: Collection[str]) -> Speeds:
    """Try every part whose extra is among ``whole``."""
    speeds = Speeds()
    began = time.perf_counter()
    parts: tuple[tuple[str, str, Callable[[Path], float]], ...] = (
        ("parse_frames_per_cpu_second", "ingest", _parse),
        ("loader_windows_per_second", "ingest", _load),
        ("train_frames_per_second", "train", _train),
        ("step_ms_p50", "train", _step),
    )
    with tempfile.TemporaryDirectory(prefix="exphil-doctor-") as folder:
        for name, extra, part in parts:
            if extra not in whole:
                speeds.skipped[name] = f"needs exphil[{extra}]"
            elif speeds.failed:
                speeds.skipped[name] = f"builds on {next(iter(speeds.failed))}"
            else:
                try:
                    setattr(speeds, name, part(Path(folder)))
                except Exception as error:  # noqa: BLE001  # whatever a library raises is what is to be told
                    speeds.failed[name] = f"{type(error).__name__}: {error}"
    speeds.seconds = round(time.perf_counter() - began, 1)
    return speeds


def _parse(folder: Path) -> float:
    from ingest.jobs.pipeline import ingest
    from ingest.options import IngestOptions

    (folder / "duels").mkdir()
    for seed in range(NUM_DUELS):
        generate_replay(folder / "duels" / f"{seed}.slp", seed=seed, frames=DUEL_FRAMES)
    once = IngestOptions(workers=1)
    ingest([folder / "duels" / "0.slp"], folder / "warm", once)
    report = ingest([folder / "duels"], folder / "store", once)
    return report.frames / report.cpu_seconds


def _load(folder: Path) -> float:
    from dataset.store.store import Store
    from dataset.stream.bank import Bank
    from dataset.stream.windows import Windows

    windows = Windows(Bank(Store(folder / "store").packed("train"), None), rows=256, window=WINDOW, delay=0, burn_in=63)
    next(iter(windows.batches(0)))
    count, epoch, began = 0, 1, time.perf_counter()
    while (passed := time.perf_counter() - began) < LOADER_SECONDS:
        count += sum(int((batch.track >= 0).sum()) for batch in windows.batches(epoch))
        epoch += 1
    return count / passed


def _train(folder: Path) -> float:
    from train.config.run_config import DataConfig, OptimConfig, PolicyConfig, RunConfig
    from train.fit.loop import REPORT_EVERY
    from train.fit.pace import TIMED_STEPS, WARM_STEPS, Stopwatch
    from train.fit.train_run import find_device, train_run

    device = find_device("auto")
    steps = WARM_STEPS + TIMED_STEPS if device.type == "cpu" else 2 * REPORT_EVERY
    config = RunConfig(
        policy=PolicyConfig(backbone="gru", hidden_sizes=(128, 128)),
        data=DataConfig(lanes=LANES, window_size=WINDOW),
        optim=OptimConfig(max_steps=steps),
    )
    watch = Stopwatch(time.perf_counter)
    train_run(config, folder / "store", "gru", runs=folder, device=device.type, callbacks=[watch], compile_mode="off")
    return LANES * WINDOW / watch.seconds_per_step


def _step(folder: Path) -> float:
    import numpy as np
    import torch

    from train.runs.checkpoint import load_policy

    loaded = load_policy(folder / "gru")
    policy, threads = loaded.policy, torch.get_num_threads()
    sizes = (len(FEATURES), len(INDICES), len(loaded.codec.components))
    continuous, (indices, previous) = (
        torch.randn(1, sizes[0]),
        (torch.zeros(1, n, dtype=torch.int64) for n in sizes[1:]),
    )
    state, times = policy.initial_state(1), []
    torch.set_num_threads(1)
    with torch.inference_mode():
        for noise in torch.rand(WARM_STEP_FRAMES + STEP_FRAMES, 1, sizes[2]):
            began = time.perf_counter()
            previous, state = policy.step(continuous, indices, previous, torch.zeros(1), noise, state)
            times.append((time.perf_counter() - began) * 1000)
    torch.set_num_threads(threads)
    return float(np.median(times[WARM_STEP_FRAMES:]))
