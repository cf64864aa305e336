"""Loads the runs that play, each with its exported graph in ONNX Runtime or OpenVINO or else PyTorch, and warms them up.

A graph that was not exported from the very weights that would play is refused, never ignored, since whoever exported it
believes that it plays. Policies are stepped before anything is opened: a stall of 8 s in mid-game ends Dolphin's connection,
and a run that cannot keep up is refused before a match, not in it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataset.codecs.base import Codec
from dataset.codecs.registry import get_codec
from dataset.errors import CheckpointError, ConfigError, require_known
from dataset.features.layout import RAW_NAMES
from dataset.io.atomic import sha256_of
from dataset.io.runs import find_run
from dataset.reporting.terminal import command_line
from play.agent.agent import Agent, Players, Stepper
from play.options import PlayOptions
from train.config.run_config import STREAM
from train.runs.run_folder import GRAPH, load_record

if TYPE_CHECKING:
    from play.runtime.onnx_stepper import GraphStepper

RUNTIMES = ("auto", "onnx", "openvino", "torch")
"""``--runtime`` names; auto takes ONNX Runtime if there is an exported graph, and else PyTorch."""

FRAME_BUDGET_MS = 14.0
"""A frame lasts 16.7 ms, of which libmelee and the pipes take up to 2.5."""

WARM_STEPS = 60

Say = Callable[[str], None]
"""Takes lines about the progress."""


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A run as play sees it."""

    folder: Path
    codec: Codec
    delay: int
    """Frames between seeing and acting that it was trained for."""
    character: str | None
    """Whom it imitates; None: everybody."""
    runtime: str
    """What steps it, for people to read."""
    is_int8: bool = False
    """Whether one scale serves the activations of all players that are stepped at once."""


def load_players(options: PlayOptions, say: Say) -> tuple[list[LoadedRun], Players]:
    """The runs of ``options`` and their agents, warm; one run on both sides is stepped for both at once.

    Raises:
        CheckpointError: a run is not there, or its graph is stale.
        ConfigError: all together are too slow for the game, or the first has another delay.
    """
    own, *others = options.runs
    is_mirror = any(_weights_of_opponent(other) == _weights_of(own) for other in others)
    num_players = 2 if is_mirror else 1
    first, stepper = load(own, options.temperature, options.runtime, num_players, options.openvino_device)
    if options.delay not in (None, first.delay):
        raise ConfigError(
            f"--delay {options.delay}: a run plays with the delay it was trained for, found {first.delay}; "
            "leave --delay out, or train with it"
        )
    online_delay = first.delay if options.connect_code is not None else 0
    runs = [first]
    agents = [Agent(stepper, first.codec, delay=first.delay, online_delay=online_delay, seed=options.seed)]
    about = f"run {first.folder}: {first.runtime}, delay {first.delay}"
    for other in others:
        run = first
        if not is_mirror:
            run, stepper = load(other, options.temperature, options.runtime, 1, options.openvino_device)
        runs.append(run)
        agents.append(Agent(stepper, run.codec, delay=run.delay, seed=(options.seed, 1)))
        about += ", on both sides" if is_mirror else f", against run {run.folder}: {run.runtime}, delay {run.delay}"
    players = Players(*agents)
    step_ms = warm_up(players)
    say(f"{about}, a warm step takes {step_ms:.2f} ms")
    if not options.sync:
        check_budget(step_ms)
    return runs, players


def _weights_of(run: str) -> Path:
    return find_run(run)[1].resolve()


def _weights_of_opponent(run: str) -> Path:
    try:
        return _weights_of(run)
    except CheckpointError as error:
        raise ConfigError(f"--opponent {run}: must be cpu, human or a run, found none of them ({error})") from error


def warm_up(players: Players) -> float:
    """Step the policies on empty frames until they are warm; the lower quartile of the later steps in ms.

    The median would judge what else the machine does just then, and refuse a policy for it.
    """
    column: NDArray[np.float32] = np.zeros(len(RAW_NAMES), dtype=np.float32)
    times = []
    for _ in range(WARM_STEPS):
        begin = time.perf_counter()
        players.answer(column)
        times.append((time.perf_counter() - begin) * 1000)
    return float(np.quantile(times[WARM_STEPS // 2 :], 0.25))


def check_budget(step_ms: float) -> None:
    """Refuse a policy that cannot keep up with the game.

    Raises:
        ConfigError: a warm step takes longer than the frame leaves.
    """
    if step_ms > FRAME_BUDGET_MS:
        raise ConfigError(
            f"policy: a step must take at most {FRAME_BUDGET_MS:.1f} ms to play at 60 frames per second, found "
            f"{step_ms:.1f} ms, {step_ms - FRAME_BUDGET_MS:.1f} ms too long; play a smaller one, or let Dolphin wait: --sync"
        )


def load(
    run: str, temperature: float, runtime: str = "auto", num_players: int = 1, openvino_device: str | None = None
) -> tuple[LoadedRun, Stepper]:
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
        hint = "" if graph.is_file() else f"; '{command_line('export', run)}' makes it faster"
        return _loaded(record, folder, f"PyTorch{hint}"), _torch_stepper(run, temperature, num_players)
    name, stepper = _graph_stepper(graph, runtime, temperature, num_players, openvino_device or "CPU")
    _require_fresh(stepper.metadata, graph, weights, run)
    stepper.require(get_codec(record["codec"]))
    precision = stepper.metadata["precision"]
    return _loaded(record, folder, f"{name}, {precision}", is_int8=precision == "int8"), stepper


def _check(temperature: float, runtime: str, openvino_device: str | None) -> None:
    if not 0 < temperature < inf:
        raise ConfigError(
            f"--temperature {temperature}: must be a number above 0; 0.1 all but always plays the likeliest"
        )
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


def _loaded(record: dict[str, Any], folder: Path, runtime: str, *, is_int8: bool = False) -> LoadedRun:
    data = record["config"]["data"]
    return LoadedRun(
        folder=folder,
        codec=get_codec(record["codec"]),
        delay=data["delay"],
        character=data["character"],
        runtime=runtime,
        is_int8=is_int8,
    )


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
