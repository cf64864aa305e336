"""What a comparison knows about one finished run: its reports on val and test, its speed and its curve.

Measurements are kept in ``measured/RUN.json`` beside the comparison and made again when the weights, the store or the meaning
of reports have changed. A part that cannot be measured (a store without test replays, a graph that does not export) holds the
reason instead.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dataset.errors import CheckpointError, ConfigError
from dataset.io.atomic import replacing, sha256_of
from train.data.stores import open_store
from train.export.cost import measure_latency
from train.measure.evaluate import EvalSplit, evaluate_run
from train.runs.checkpoint import LoadedPolicy, load_policy
from train.runs.run_folder import METRICS, load_metrics, reading

VERSION = 1
"""Changes whenever what is kept means something else."""

SPLITS: tuple[EvalSplit, ...] = ("val", "test")

Measured = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """How runs are measured."""

    kept: Path
    """The folder where measurements are kept."""
    device: torch.device
    """Where reports are computed; latency is always measured on one thread of the CPU."""
    is_detailed: bool = False
    """Whether the test report has the parts of ``train.measure.detailed.gather``."""
    tolerate_bad_shards: int = 0
    """Window shards of the store that may be skipped."""
    say: Callable[[str], None] = lambda line: None
    """Receives lines about progress."""


def measure_run(run: Path | str, store: Path | str, how: Measuring) -> Measured:
    """The run's ``val`` and ``test`` reports, ``latency``, ``curve`` and ``record``; a part that failed is ``{"error": …}``.

    Raises:
        CheckpointError: there is no such run, or it has no weights.
    """
    loaded = load_policy(run)
    policy = loaded.config.policy
    key = {
        "version": VERSION,
        "weights": sha256_of(loaded.run / "best.safetensors"),
        "store": open_store(store, policy.codec, policy.features, how.tolerate_bad_shards).manifest.digest,
        "is_detailed": how.is_detailed,
    }
    path = how.kept / f"{loaded.run.name}.json"
    found = kept(path, key)
    if found is None:
        found = {"key": key, "latency": _latency(loaded)}
        found |= {split: _report(loaded, store, split, how) for split in SPLITS}
        keep(path, found)
    return found | {"curve": read_curve(loaded.run), "record": dict(loaded.record)}


def read_curve(run: Path) -> list[dict[str, Any]]:
    """A point an epoch: frames and seconds of training so far, training loss, val NLL; CPU seconds where they were counted."""
    points: list[dict[str, Any]] = []
    frames = 0
    with reading(run / METRICS):
        for record in load_metrics(run):
            frames += record["frames"]
            points.append(
                {
                    "epoch": record["epoch"] + 1,
                    "frames": frames,
                    "seconds": frames / record["frames_per_second"],
                    "cpu_seconds": record.get("cpu_seconds"),
                    "train_loss": float(record["train_loss"]),
                    "val_nll": float(record["val"]["nll"]),
                    "is_best": bool(record["is_best"]),
                }
            )
    return points


def keep(path: Path, found: Measured) -> None:
    """Write what was found, its ``key`` included."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(found) + "\n", encoding="utf-8")


def kept(path: Path, key: Mapping[str, Any]) -> Measured | None:
    """What ``keep`` wrote, if it has this key."""
    if not path.is_file():
        return None
    found: Measured = json.loads(path.read_text(encoding="utf-8"))
    return found if found["key"] == key else None


def _report(loaded: LoadedPolicy, store: Path | str, split: EvalSplit, how: Measuring) -> dict[str, Any]:
    try:
        return evaluate_run(
            loaded,
            store,
            split=split,
            is_seen_allowed=False,
            device=how.device,
            tolerate_bad_shards=how.tolerate_bad_shards,
            detailed=how.is_detailed and split == "test",
            say=how.say,
        )
    except ConfigError as error:
        return {"error": str(error)}


def _latency(loaded: LoadedPolicy) -> dict[str, Any]:
    try:
        return measure_latency(loaded)
    except (CheckpointError, RuntimeError) as error:
        return {"error": str(error)}
