"""What a run is stepped with: its exported graph in ONNX Runtime or OpenVINO, or else PyTorch.

In: a run argument. Out: what play has to know of the run, and a stepper. The surprise: a graph that was not exported from
the very weights that would play is refused, never passed over, since whoever exported it believes that it plays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset.codecs.base import Codec
from dataset.codecs.registry import get_codec
from dataset.errors import CheckpointError, ConfigError, require_known
from dataset.io.atomic import sha256_of
from dataset.reporting.command_lines import command_line
from play.agent.agent import Stepper
from train.run_folder import GRAPH, STREAM, find_run, load_record

if TYPE_CHECKING:
    from play.runtime.graph_stepper import GraphStepper

RUNTIMES = ("auto", "onnx", "openvino", "torch")
"""``--runtime`` names; auto takes ONNX Runtime if there is an exported graph, and else PyTorch."""


@dataclass(frozen=True, kw_only=True)
class PlayedRun:
    """A run as play sees it."""

    folder: Path
    codec: Codec
    delay: int
    """Frames between seeing and acting that it was trained for."""
    character: str | None
    """Whom it imitates; None: everybody."""
    runtime: str
    """What steps it, for people to read."""


def load(
    run: str, temperature: float, runtime: str = "auto", num_players: int = 1, openvino_device: str | None = None
) -> tuple[PlayedRun, Stepper]:
    """The policy of a run, ready to play for as many players at once.

    Raises:
        CheckpointError: there is no such run, it is not for this exphil, or its graph is stale.
        ConfigError: the temperature is not above 0, or the runtime or its device is unknown or cannot be had.
    """
    _check(temperature, runtime, openvino_device)
    folder, weights = find_run(run)
    record = load_record(folder)
    if record["contract"] != STREAM:
        raise CheckpointError(
            f"run {run}: play carries a policy's memory from frame to frame, found one trained on windows that begin "
            "without any; train it with --sampling lanes"
        )
    graph = folder / GRAPH
    if runtime in ("onnx", "openvino") and not graph.is_file():
        raise ConfigError(
            f"--runtime {runtime}: needs {graph}, found no such file; run '{command_line('export', run)}'"
        )
    if runtime == "torch" or not graph.is_file():
        return _played(record, folder, _torch_name(graph, run)), _torch_stepper(run, temperature, num_players)
    name, stepper = _graph_stepper(graph, runtime, temperature, num_players, openvino_device or "CPU")
    _require_fresh(stepper.metadata, graph, weights, run)
    return _played(record, folder, f"{name}, {stepper.metadata['precision']}"), stepper


def _check(temperature: float, runtime: str, openvino_device: str | None) -> None:
    if not temperature > 0:
        raise ConfigError(f"--temperature {temperature}: must be above 0; 0.1 all but always plays the likeliest")
    require_known("--runtime", runtime, RUNTIMES)
    if openvino_device is not None and runtime != "openvino":
        raise ConfigError(
            f"--openvino-device {openvino_device}: has no effect with --runtime {runtime}; add --runtime openvino"
        )
    if runtime == "openvino" and find_spec("openvino") is None:
        raise ConfigError("--runtime openvino: needs OpenVINO, found it not installed; pip install 'exphil[openvino]'")


def _graph_stepper(
    graph: Path, runtime: str, temperature: float, num_players: int, device: str
) -> "tuple[str, GraphStepper]":
    """What steps the graph, and its name."""
    if runtime == "openvino":
        from play.runtime.openvino_stepper import OpenVinoStepper

        return f"OpenVINO on {device}", OpenVinoStepper(graph, temperature, num_players, device)
    from play.runtime.onnx_stepper import OnnxStepper

    return "ONNX Runtime", OnnxStepper(graph, temperature, num_players)


def _played(record: dict[str, Any], folder: Path, runtime: str) -> PlayedRun:
    data = record["config"]["data"]
    codec = get_codec(record["codec"])
    return PlayedRun(folder=folder, codec=codec, delay=data["delay"], character=data["character"], runtime=runtime)


def _torch_name(graph: Path, run: str) -> str:
    return "PyTorch" if graph.is_file() else f"PyTorch; '{command_line('export', run)}' makes it faster"


def _torch_stepper(run: str, temperature: float, num_players: int) -> Stepper:
    if find_spec("torch") is None:
        raise ConfigError(
            f"run {run}: needs {GRAPH}, or PyTorch to do without, found neither; run 'exphil export' where it was trained "
            "and copy the file here, or pip install 'exphil[train]'"
        )
    from play.runtime.torch_stepper import TorchStepper

    return TorchStepper.load(run, temperature, num_players)


def _require_fresh(metadata: Mapping[str, str], graph: Path, weights: Path, run: str) -> None:
    """Refuse a graph of other weights; a graph without weights beside it stands for itself."""
    if weights.is_file() and metadata["weights_sha256"] != (found := sha256_of(weights)):
        raise CheckpointError(
            f"{graph}: must be exported from {weights.name} ({found[:12]}), found one of other weights "
            f"({metadata['weights_sha256'][:12]}); run '{command_line('export', run)}', or play with --runtime torch"
        )
