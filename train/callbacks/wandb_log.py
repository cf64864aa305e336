"""Log a training to Weights & Biases through its official client; the best weights become an artifact.

The store becomes the run's input artifact: a reference by the digest of its data, which does not reveal where it lies, so that
all runs on the same data are linked. Offline wandb takes no inputs, but the digest is in the config as well.

wandb's own settings decide where it logs, for example ``WANDB_MODE=offline``. The run folder keeps the id of the wandb run so
that ``--resume`` continues it; offline, each part has a folder of its own, and ``wandb sync --append`` joins them.
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
    """Logs the config, the loss of every reported step, and the metrics of every epoch."""

    def on_start(self, run: Path, record: Mapping[str, Any]) -> None:
        """Open the wandb run, with its files beside the checkpoints."""
        data = record["data"]
        config = {**record, "data": {"manifest_digest": data["manifest_digest"]}}  # leave the replay ids out
        self._folder = run
        try:
            self._run = wandb.init(
                project=PROJECT, name=run.name, dir=run, config=config, id=_id_of(run), resume="allow"
            )
        except wandb.errors.UsageError as error:
            raise ConfigError(
                f"--wandb: wandb must accept the run, found: {str(error).splitlines()[0].rstrip('.')}; mend that, or "
                "set WANDB_MODE=offline, then give the same command with --resume"
            ) from error
        if not self._run.offline:
            self._run.use_artifact(store_artifact(data))

    def on_step(self, step: Step) -> None:
        """Log loss, learning rate and speed."""
        values = {"train/loss": step.loss, "train/lr": step.lr, "train/frames_per_second": step.frames_per_second}
        self._run.log(values, step=step.global_step)

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Log every number of the validation, with nested names joined by slashes."""
        self._run.log(dict(_flat("val", record["val"])), step=record["global_step"])

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Log the summary and, unless the run was interrupted, its best weights and config as an artifact; then close."""
        self._run.summary.update(dict(summary))
        best = self._folder / "best.safetensors"
        if best.is_file() and not summary["is_interrupted"]:
            artifact = wandb.Artifact(re.sub(r"[^\w.-]", "-", self._folder.name), type="model")
            for path in (best, self._folder / "config.json"):
                artifact.add_file(str(path))
            self._run.log_artifact(artifact, aliases=["best"])
        self._run.finish()

    def on_abort(self) -> None:
        """Close the wandb run as failed."""
        self._run.finish(exit_code=1)


def store_artifact(data: Mapping[str, Any]) -> wandb.Artifact:
    """An artifact without files that stands for the store, made from a run's ``data`` record."""
    facts = {split: {name: data[split][name] for name in ("replays", "frames", "hours")} for split in ("train", "val")}
    digest = data["manifest_digest"]
    artifact = wandb.Artifact(f"store-{digest}", type="dataset", metadata={"manifest_digest": digest, **facts})
    artifact.add_reference(f"exphil://{digest}", name="store", checksum=False)
    return artifact


def _id_of(run: Path) -> str:
    """The id of the run folder's wandb run; creates one the first time."""
    path = run / ID_FILE
    if not path.is_file():
        path.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()


def _flat(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, float]]:
    pairs: list[tuple[str, float]] = []
    for name, value in values.items():
        pairs += _flat(f"{prefix}/{name}", value) if isinstance(value, Mapping) else [(f"{prefix}/{name}", value)]
    return pairs
