"""Exported graphs, without PyTorch and onnx: what one must look like before a frame of it is stepped.

A graph may come from a stranger. So its inputs and outputs are compared with what ``exphil export`` writes before a buffer is
made for them, and a graph that names other files is refused, because ONNX would read any file it names.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from dataset.errors import CheckpointError
from dataset.features.layout import FEATURES, INDICES

GRAPH_VERSION = "2"
"""Changes whenever a graph's inputs or outputs mean something else."""

GRAPH_BATCH = "batch"
"""The graph's name of its first dimension, players stepped at once; whoever opens a graph fixes it."""

MAX_GRAPH_BYTES = 2**31
"""As large as protobuf allows."""

MAX_STATE_NUMBERS = 2**26
"""Of one player; an attention layer of 2048 frames and 1024 units has 2**22."""

MAX_COMPONENTS = 64
"""Of a codec."""

_FLOAT, _INT = "tensor(float)", "tensor(int64)"
_EXTERNAL = b"location"
"""The key under which ONNX keeps the name of a file with weights; no graph of ours holds the word."""


class Value(Protocol):
    """An input or output, as ONNX Runtime describes it; a size that is a name is left open."""

    name: str
    shape: Sequence[int | str | None]
    type: str


def read_graph(path: Path) -> bytes:
    """The bytes of a graph that needs no other file.

    Raises:
        CheckpointError: it does, or it is too large.
    """
    if path.stat().st_size > MAX_GRAPH_BYTES:
        raise _refused(path, f"{path.stat().st_size:,} bytes")
    data = path.read_bytes()
    if _EXTERNAL in data:
        raise _refused(path, "weights that lie in other files")
    return data


def require_graph(session: Any, path: Path) -> dict[str, str]:
    """What the graph of an ONNX Runtime session says of itself, if it is one that ``exphil export`` could have written.

    Raises:
        CheckpointError: it is another exphil's, or has other inputs, outputs, types or shapes.
    """
    metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    if metadata.get("graph_version") != GRAPH_VERSION:
        raise CheckpointError(
            f"{path}: this exphil plays graph version {GRAPH_VERSION}, found {metadata.get('graph_version')}; "
            "run 'exphil export' again"
        )
    if missing := [name for name in ("weights_sha256", "precision") if name not in metadata]:
        raise _refused(path, f"no {' and '.join(missing)} in its metadata")
    inputs, outputs = _described(session.get_inputs()), _described(session.get_outputs())
    num_components = next(iter(inputs.get("previous", ("", ()))[1][1:]), 0)
    states = {name: value for name, value in inputs.items() if name.startswith("state_")}
    wanted = _frame(num_components) | states
    after = {"classes": (_INT, [0, num_components])} | {f"next_{name}": value for name, value in states.items()}
    for kind, found, expected in (("inputs", inputs, wanted), ("outputs", outputs, after)):
        others = {name: value for name, value in found.items() if name != "logits" and expected.get(name) != value}
        if others or expected.keys() - found.keys():
            names = ", ".join(f"{name[:50]} {kind} {shape}" for name, (kind, shape) in others.items())
            raise _refused(path, f"other {kind}: {names or 'none'}"[:300])
    sizes = [shape for _, shape in [*states.values(), outputs.get("logits", ("", []))]]
    if not 0 < num_components <= MAX_COMPONENTS or not all(size > 0 for shape in sizes for size in shape[1:]):
        raise _refused(path, "sizes that are not known or not above 0")
    is_strange = any(kind not in (_FLOAT, _INT) for kind, _ in states.values())  # attention counts the frames seen
    if is_strange or sum(math.prod(shape[1:]) for shape in sizes) > MAX_STATE_NUMBERS:
        raise _refused(path, "states that are too large or hold other things than numbers")
    return metadata


def _frame(num_components: int) -> dict[str, tuple[str, list[int]]]:
    """Inputs that are no states; 0 stands for the players."""
    return {
        "continuous": (_FLOAT, [0, len(FEATURES)]),
        "indices": (_INT, [0, len(INDICES)]),
        "previous": (_INT, [0, num_components]),
        "delay": (_FLOAT, [0]),
        "noise": (_FLOAT, [0, num_components]),
        "temperature": (_FLOAT, [1]),
    }


def _described(values: Iterable[Value]) -> dict[str, tuple[str, list[int]]]:
    """Type and shape by name; the first size of all but the temperature is the players', and -1 is one that is left open."""
    found = {}
    for value in values:
        shape = [size if isinstance(size, int) else -1 for size in value.shape]
        is_per_player = value.name != "temperature" and shape
        found[value.name] = (value.type, [0, *shape[1:]] if is_per_player else shape)
    return found


def _refused(path: Path, found: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: must be a graph that exphil export wrote, found {found}; run 'exphil export' again, or play with "
        "--runtime torch"
    )
