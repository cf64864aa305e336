"""How many steps a budget in minutes is, measured on the first steps of the very run.

In: a run's config and its data. Out: its config with that many steps. The rule: a few steps are timed, CPU seconds of all threads
on a CPU, seconds of the clock on an accelerator; minutes / time of a step, rounded down, is where the run and its schedule end.
The surprise: the number is fixed before training and kept in the plan. A schedule that followed the clock itself could be neither
repeated nor resumed.
"""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from train.callbacks.base import Callback, Step
from train.config.run_config import RunConfig
from train.data.load import Data
from train.fit.loop import Fit
from train.policy.components import Components, fit_persistence

WARM_STEPS, TIMED_STEPS = 3, 12


class Stopwatch(Callback):
    """Times steps, and then has seen enough."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._marks: list[tuple[int, float]] = []

    def on_step(self, step: Step) -> None:
        """Note the time."""
        if step.global_step >= WARM_STEPS:
            self._marks.append((step.global_step, self._clock()))

    @property
    def is_done(self) -> bool:
        """Whether enough steps were timed."""
        return len(self._marks) > 1 and self._marks[-1][0] - self._marks[0][0] >= TIMED_STEPS

    @property
    def seconds_a_step(self) -> float:
        """The mean over the timed steps."""
        (first, began), (last, ended) = self._marks[0], self._marks[-1]
        return max(ended - began, 1e-6) / max(last - first, 1)


def within_minutes(config: RunConfig, data: Data, minutes: float, device: torch.device) -> RunConfig:
    """The config of a run that trains for so many minutes."""
    unbounded = replace(config, optim=replace(config.optim, epochs=10**6, max_steps=None))
    watch = Stopwatch(time.process_time if device.type == "cpu" else time.perf_counter)
    with TemporaryDirectory() as folder:
        sizes = Components.of(config.policy.controller_codec).sizes
        persistence = fit_persistence(data.train, sizes, config.data.delay)
        fit = Fit(
            unbounded,
            data,
            persistence,
            Path(folder),
            device=device,
            callbacks=[watch],
            is_stopped=lambda: watch.is_done,
        )
        fit.fit()
    steps = max(1, int(minutes * 60 / watch.seconds_a_step))
    epochs = math.ceil(steps / fit.steps_in_epoch)
    return replace(config, optim=replace(config.optim, epochs=epochs, max_steps=steps))
