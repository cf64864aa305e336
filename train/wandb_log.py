"""Weights & Biases: one wandb run a training run, through its official client.

Where it logs to (online, offline, disabled) is decided by wandb's own settings, such as ``WANDB_MODE=offline``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from train.callbacks import Callback, Step

PROJECT = "exphil"


class WandbLog(Callback):
    """Logs the config, the loss of every reported step and the metrics of every epoch."""

    def on_start(self, run: Path, record: Mapping[str, Any]) -> None:
        """Open the wandb run, its files beside the checkpoints."""
        config = {name: value for name, value in record.items() if name != "data"}
        self._run = wandb.init(project=PROJECT, name=run.name, dir=run, config=config)

    def on_step(self, step: Step) -> None:
        """Loss, rate and speed."""
        values = {"train/loss": step.loss, "train/lr": step.lr, "train/frames_per_second": step.frames_per_second}
        self._run.log(values, step=step.global_step)

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Every number of the validation, nested names joined by slashes."""
        self._run.log(dict(_flat("val", record["val"])), step=record["global_step"])

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Keep the summary and close."""
        self._run.summary.update(dict(summary))
        self._run.finish()

    def on_abort(self) -> None:
        """Close as failed."""
        self._run.finish(exit_code=1)


def _flat(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, float]]:
    pairs: list[tuple[str, float]] = []
    for name, value in values.items():
        pairs += _flat(f"{prefix}/{name}", value) if isinstance(value, Mapping) else [(f"{prefix}/{name}", value)]
    return pairs
