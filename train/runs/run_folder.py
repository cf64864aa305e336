"""What run folders hold, without PyTorch, so that play needs none: reading and writing ``config.json`` and other texts.

A record is refused unless its schema, encoder and codec are this exphil's, since weights mean nothing under others.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dataset.codecs.registry import get_codec
from dataset.errors import CheckpointError, ConfigError
from dataset.features.layout import ALL, encoder_digest
from dataset.io.atomic import replacing
from dataset.schema import SCHEMA_VERSION
from train.config.run_config import STREAM, WINDOW, RunConfig, from_json

METRICS = "metrics.jsonl"
"""In a run folder: a line per epoch."""

PAGE = "report.html"
"""In a run folder: its page of curves."""

GRAPH = "policy.onnx"
"""In a run folder: the exported graph."""

LOOKUP = "lookup.safetensors"
"""In a run folder: the counts of the lookup baseline."""


MAX_TEXT_BYTES = 2**28
"""Of a file of JSON; the ids of five million replays."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Work on what a file of a run holds: whatever a stranger's file leads to is one CheckpointError that names the file."""
    try:
        yield
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        words = f"{type(error).__name__}: {error}"[:200]
        raise CheckpointError(
            f"{path}: must hold what exphil train wrote there, found other things ({words}); copy the run folder again"
        ) from error


def save_record(run: Path, record: Mapping[str, Any]) -> None:
    """Write ``config.json``."""
    with replacing(run / "config.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def load_record(folder: Path) -> dict[str, Any]:
    """The ``config.json`` of a run folder, checked against this exphil's schema, codec and encoder."""
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{path}: every run folder holds one, found none; copy the whole folder, or train again")
    with reading(path):
        record = _checked(path, json.loads(_text(path), parse_constant=_refuse_constant))
    return record


def _checked(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    known = {
        "schema_version": SCHEMA_VERSION,
        "encoder_digest": encoder_digest(features_of(record)),
        "codec_digest": get_codec(record.get("codec", "")).digest,
        "contract": WINDOW if record.get("contract") == WINDOW else STREAM,
    }
    for name, ours in known.items():
        if record.get(name) != ours:
            raise CheckpointError(
                f"{path}: this exphil reads {name} {ours}, found {record.get(name)}; "
                "use the exphil that trained it, or train again"
            )
    from_json(RunConfig, record["config"])
    return record


def load_metrics(folder: Path) -> list[dict[str, Any]]:
    """What ``metrics.jsonl`` holds of each epoch; use it within ``reading``, since only its form is checked here."""
    lines = _text(folder / METRICS).splitlines()
    return [dict(json.loads(line)) for line in lines]


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise ValueError(f"more than {MAX_TEXT_BYTES:,} bytes")
    return data.decode("utf-8")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name}, which is no number")


def features_of(record: Mapping[str, Any]) -> str:
    """The feature groups that a run's policy is given; runs from before there was a choice have them all."""
    features: str = record["config"]["policy"].get("features", ALL)
    return features
