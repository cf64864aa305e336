"""Weights & Biases: one wandb run a training run, through its official client; the best weights become an artifact.

The store is the run's input artifact: a reference by the digest of its data, so that runs on the same data meet in one artifact
and nothing tells where it lies. Offline wandb takes no inputs; the digest stands in the config all the same.

Where it logs to (online, offline, disabled) is decided by wandb's own settings, such as ``WANDB_MODE=offline``. The surprise:
the run folder keeps the wandb run's id, so that ``--resume`` goes on with the same one; offline, each part lies in a folder
of its own and ``wandb sync --append`` joins them.
"""

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from dataset.errors import ConfigError
from train.callbacks.base import Callback, Step

PROJECT = "exphil"

ID_FILE = "wandb-id.txt"
"""In a run folder: the id of its wandb run."""


class WandbLog(Callback):
    """Logs the config, the loss of every reported step and the metrics of every epoch."""

    def on_start(self, run: Path, record: Mapping[str, Any]) -> None:
        """Open the wandb run, its files beside the checkpoints."""
        data = record["data"]
        config = {**record, "data": {"manifest_digest": data["manifest_digest"]}}  # the rest is ids
        self._folder = run
        try:
            self._run = wandb.init(
                project=PROJECT, name=run.name, dir=run, config=config, id=_id_of(run), resume="allow"
            )
        except wandb.errors.UsageError as error:
            raise ConfigError(
                f"--wandb: wandb must take the run, found: {str(error).splitlines()[0].rstrip('.')}; or set "
                "WANDB_MODE=offline, then give the same command with --resume"
            ) from error
        if not self._run.offline:
            self._run.use_artifact(store_artifact(data))

    def on_step(self, step: Step) -> None:
        """Loss, rate and speed."""
        values = {"train/loss": step.loss, "train/lr": step.lr, "train/frames_per_second": step.frames_per_second}
        self._run.log(values, step=step.global_step)

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Every number of the validation, nested names joined by slashes."""
        self._run.log(dict(_flat("val", record["val"])), step=record["global_step"])

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Keep the summary, and of a run that is done its best weights with what rebuilds the policy; then close."""
        self._run.summary.update(dict(summary))
        best = self._folder / "best.safetensors"
        if best.is_file() and not summary["is_interrupted"]:
            artifact = wandb.Artifact(re.sub(r"[^\w.-]", "-", self._folder.name), type="model")
            for path in (best, self._folder / "config.json"):
                artifact.add_file(str(path))
            self._run.log_artifact(artifact, aliases=["best"])
        self._run.finish()

    def on_abort(self) -> None:
        """Close as failed."""
        self._run.finish(exit_code=1)


def store_artifact(data: Mapping[str, Any]) -> wandb.Artifact:
    """What a run's ``data`` record says it was trained on, as an artifact that holds no file."""
    facts = {split: {name: data[split][name] for name in ("replays", "frames", "hours")} for split in ("train", "val")}
    digest = data["manifest_digest"]
    artifact = wandb.Artifact(f"store-{digest}", type="dataset", metadata={"manifest_digest": digest, **facts})
    artifact.add_reference(f"exphil://{digest}", name="store", checksum=False)
    return artifact


def _id_of(run: Path) -> str:
    """The id of a run folder's wandb run, a new one the first time."""
    path = run / ID_FILE
    if not path.is_file():
        path.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()


def _flat(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, float]]:
    pairs: list[tuple[str, float]] = []
    for name, value in values.items():
        pairs += _flat(f"{prefix}/{name}", value) if isinstance(value, Mapping) else [(f"{prefix}/{name}", value)]
    return pairs
