"""Turn a budget in minutes into a number of steps, by timing the first steps of the same training.

The time of a step is CPU time of all threads on a CPU, and wall-clock time on an accelerator. The number of steps is fixed
before training: a schedule that followed the clock could be neither repeated nor resumed.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from train.callbacks import Callback, Step
from train.config.run_config import RunConfig
from train.data.load import Data
from train.fit.loop import Fit
from train.policy.components import Components, fit_persistence

WARM_STEPS, TIMED_STEPS = 3, 12


class Stopwatch(Callback):
    """Measures the mean time of a step, after a few that warm up."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._marks: list[tuple[int, float]] = []

    def on_step(self, step: Step) -> None:
        """Record the time."""
        if step.global_step >= WARM_STEPS:
            self._marks.append((step.global_step, self._clock()))

    @property
    def is_done(self) -> bool:
        """Whether enough steps were timed."""
        return len(self._marks) > 1 and self._marks[-1][0] - self._marks[0][0] >= TIMED_STEPS

    @property
    def seconds_per_step(self) -> float:
        """The mean over the timed steps."""
        (first, began), (last, ended) = self._marks[0], self._marks[-1]
        return max(ended - began, 1e-6) / max(last - first, 1)


def within_minutes(config: RunConfig, data: Data, minutes: float, device: torch.device) -> RunConfig:
    """``config`` with the number of steps that takes so many minutes on ``device``."""
    unbounded = replace(config, optim=replace(config.optim, epochs=10**6, max_steps=None))
    stopwatch = Stopwatch(time.process_time if device.type == "cpu" else time.perf_counter)
    persistence = fit_persistence(data.train, Components.of(config.policy.controller_codec).sizes, config.data.delay)
    with TemporaryDirectory() as folder:
        fit = Fit(
            unbounded,
            data,
            persistence,
            Path(folder),
            device=device,
            callbacks=[stopwatch],
            is_stopped=lambda: stopwatch.is_done,
        )
        fit.fit()
    steps = max(1, int(minutes * 60 / stopwatch.seconds_per_step))
    epochs = math.ceil(steps / fit.steps_in_epoch)
    return replace(config, optim=replace(config.optim, epochs=epochs, max_steps=steps))
