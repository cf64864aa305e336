"""How long a frame takes from libmelee's game state to the written pipe, and how near a backbone's step is to its floor.

The frames are real ``melee.GameState`` objects, collected from the stand-in on a generated duel. Between two frames the
benchmark reads a buffer twice as large as the last cache, to evict the caches as an emulator would (64 MB where the
system does not report that cache's size). The policies are untrained but start at persistence, so their controllers
change about as often as a player's.

For every frame all runtimes take their turn in rotating order. So do a control without a model (the time of the path
itself), a spin of fixed work (the effect of other load on the machine) and two floors: a graph of one node, and one
that only reads the large matrices of the float32 graph. ``both`` is one run on both sides, with one inference for two
pads.

The benchmark reports medians and p99 in ms of wall and of CPU time, and the median of each policy less the control's.
The floor of a backbone's warm step is reading its weights once, at the bandwidth measured in the same run for as many
bytes.

    python -m benchmarks.play --backbones gru,lstm --frames 300 --stand-in-seconds 30
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import melee
import numpy as np
import onnxruntime as ort
import torch

from benchmarks.floor_graphs import one_node, weights_alone
from dataset.codecs.registry import get_codec
from dataset.duels.generate import generate_replay
from play.agent.agent import Agent, Players, Stepper
from play.agent.libmelee import LiveGame, press
from play.dolphin.session import Frame
from play.launch import play_stand_in
from play.options import PlayOptions
from play.runtime.onnx_stepper import OnnxStepper
from play.runtime.torch_stepper import TorchStepper
from play.stand_in.stand_in import StandIn, open_stand_in
from train.config.run_config import DataConfig, RunConfig
from train.export.export import export_run, to_onnx
from train.export.folded_step import as_state, leaves_of
from train.policy.components import Persistence
from train.policy.config import PolicyConfig
from train.policy.policy import Policy
from train.runs.checkpoint import run_record, save_weights
from train.runs.run_folder import save_record

LEAST_EVICTED = 64 << 20
"""Bytes read between frames if the last cache is smaller than half of this, or its size is unknown."""
SPIN_SIZE = 40_000
KEEP = 0.97
"""Probability that a component keeps its class; a whole controller then stays the same in two of three frames."""


class NoModel:
    """The control: no policy, but controllers that change about as often as a policy's."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        codec = get_codec("axis17")
        sizes = np.array([size for _, size in codec.components])
        self.script = np.tile(codec.encode(np.zeros(6, np.int32)), (4096, 1))
        for t in range(1, len(self.script)):
            fresh = random.integers(0, sizes)
            self.script[t] = np.where(random.random(len(sizes)) < KEEP, self.script[t - 1], fresh)
        self.frame = 0

    def reset(self) -> None:
        """Do nothing: there is no state."""

    def step(self, *frame: Any) -> Any:
        """The script's next controller."""
        self.frame += 1
        return self.script[None, self.frame % len(self.script)]


class FramePath:
    """The path of a frame from game state to pipe with one stepper, for one player or for both players of one run."""

    def __init__(self, stepper: Stepper, zero_indices: Any, home: Path, *, is_pair: bool = False) -> None:
        agents = [Agent(stepper, get_codec("axis17"), delay=0, seed=seed) for seed in range(2 if is_pair else 1)]
        self.players = Players(*agents)
        self.players.start_game(1)
        self.live = LiveGame(zero_indices)
        console = melee.Console(is_remote=True, dolphin_home_path=str(home), blocking_input=False)
        self.pads = [melee.Controller(console, port) for port in range(1, len(agents) + 1)]
        for pad in self.pads:
            pad.pipe = Path(os.devnull).open("w")  # noqa: SIM115  as long as the pad
        self.held: list[Any] = [None] * len(agents)

    def answer(self, game: Any) -> None:
        """Answer one frame."""
        controllers = self.players.answer(self.live.column(game))
        for pad, controller, held in zip(self.pads, controllers, self.held, strict=True):
            press(pad, melee.Button, controller, held)
            pad.flush()
        self.held = list(controllers)


def main() -> None:
    """Measure, and print a table per backbone and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", default="gru,lstm")
    parser.add_argument("--hidden-sizes", default="256,256")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument(
        "--stand-in-seconds", type=float, default=0.0, help="also play at 60 fps for this long; 0: do not"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    widths = tuple(int(width) for width in options.hidden_sizes.split(","))
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        duel = Path(folder, "duel.slp")
        Path(folder, "Config").mkdir()  # libmelee writes the settings of its pads there
        Path(folder, "Config", "Dolphin.ini").write_text("[Core]\n")
        generate_replay(duel, seed=1, characters=("fox", "mewtwo"), frames=options.frames + 60)
        games, zero_indices = collect(duel)
        for backbone in options.backbones.split(","):
            run = make_run(Path(folder, backbone), backbone, widths)
            rows[backbone] = paths(run, games, zero_indices) | {"backbone": floor_ratio(backbone, widths)}
            if options.stand_in_seconds > 0:
                rows[backbone]["stand_in"] = at_game_speed(run, Path(folder), options.stand_in_seconds)
            show(backbone, rows[backbone])
    print(
        json.dumps({"benchmark": "play", **machine(), "hidden_sizes": widths, "frames": options.frames, "rows": rows})
    )


def collect(duel: Path) -> tuple[list[Any], Any]:
    """All game states of a replay."""
    games = []
    with (
        StandIn(duel, fps=None, start_grace_s=0.0) as server,
        closing(open_stand_in(server, port=1, is_blocking=True)) as session,
    ):
        while isinstance(event := session.next(), Frame):
            games.append(event.game)
        return games, session.zero_indices


def make_run(folder: Path, backbone: str, widths: tuple[int, ...]) -> Path:
    """Create a run folder with weights that begin at persistence."""
    config = RunConfig(policy=PolicyConfig(backbone=backbone, hidden_sizes=widths), data=DataConfig())
    torch.manual_seed(0)
    policy = Policy(config.policy)
    sizes = policy.head.components.sizes
    policy.head.start_from(Persistence((KEEP,) * len(sizes), tuple((1 / size,) * size for size in sizes)))
    folder.mkdir()
    save_record(folder, run_record(config))
    save_weights(policy, folder / "best.safetensors")
    return folder


def paths(run: Path, games: list[Any], zero_indices: Any) -> dict[str, Any]:
    """Median and p99 of every runtime, the control, the spin and the floors, in ms."""
    steppers: dict[str, Stepper] = {"control": NoModel(), "torch": TorchStepper.load(run, 1.0)}
    for name, is_int8 in (("onnx_int8", True), ("onnx_f32", False)):
        graph = export_run(run, is_int8=is_int8).path
        steppers[name] = OnnxStepper(graph)
    if find_spec("openvino") is not None:
        from play.runtime.openvino_stepper import OpenVinoStepper

        steppers["openvino_f32"] = OpenVinoStepper(graph)
    steppers["both_f32"] = OnnxStepper(graph, num_players=2)
    actions: dict[str, Callable[[Any], Any]] = {
        name: FramePath(stepper, zero_indices, run.parent, is_pair=name.startswith("both")).answer
        for name, stepper in steppers.items()
    }
    spun = np.arange(SPIN_SIZE, dtype=np.float32)
    actions["spin"] = lambda game: np.sqrt(spun).sum()
    least, (read, size) = one_node(), weights_alone(graph.read_bytes())
    actions["one_node"], actions["weights"] = lambda game: least(), lambda game: read()
    return timed(actions, games) | {"weights_mb": round(size / 1e6, 2)}


def timed(actions: dict[str, Callable[[Any], Any]], games: list[Any]) -> dict[str, Any]:
    """Time each action on each game state in rotating order, with caches evicted before it."""
    evicted = np.ones(evicted_bytes() // 8)
    names = list(actions)
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    for number, game in enumerate(games):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            evicted.sum()
            begin, begin_cpu = time.perf_counter(), time.thread_time()
            actions[name](game)
            cpu[name].append((time.thread_time() - begin_cpu) * 1000)
            wall[name].append((time.perf_counter() - begin) * 1000)
    return {name: figures(wall, cpu, name, skip=60) for name in names}


def evicted_bytes() -> int:
    """Twice the size of the last cache, at least ``LEAST_EVICTED``."""
    return max(LEAST_EVICTED, 2 * last_cache_bytes())


def last_cache_bytes() -> int:
    """Size of the last cache as Linux reports it; 0 on other systems."""
    sizes = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    return max((int(size.read_text().strip().removesuffix("K")) << 10 for size in sizes), default=0)


def figures(wall: dict[str, list[float]], cpu: dict[str, list[float]], name: str, skip: int) -> dict[str, float]:
    """Median and p99 in ms, without the first ``skip`` frames, which warm up."""
    control = float(np.median(wall["control"][skip:]))
    p50, p99 = np.percentile(wall[name][skip:], [50, 99])
    cpu_p50, cpu_p99 = np.percentile(cpu[name][skip:], [50, 99])
    values = {"p50": p50, "p99": p99, "p50_less_control": p50 - control, "cpu_p50": cpu_p50, "cpu_p99": cpu_p99}
    return {key: round(float(value), 4) for key, value in values.items()}


class BackboneStep(torch.nn.Module):
    """The step of a backbone alone."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.backbone = policy.backbone

    def forward(self, x: torch.Tensor, *leaves: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The output, then the leaves of the next state."""
        y, after = self.backbone.step(x, as_state(self.backbone.initial_state(1), iter(leaves)))
        return y, *leaves_of(after)


def floor_ratio(backbone: str, widths: tuple[int, ...], rounds: int = 20, steps: int = 100) -> dict[str, float]:
    """A backbone's warm step against reading its weights once, in alternating blocks; the best block's median in µs."""
    policy = Policy(PolicyConfig(backbone=backbone, hidden_sizes=widths)).eval()
    size = sum(weight.numel() for weight in policy.backbone.parameters())
    session_options = ort.SessionOptions()
    session_options.intra_op_num_threads = session_options.inter_op_num_threads = 1
    inputs = (torch.zeros(1, policy.embed.project.out_features), *leaves_of(policy.backbone.initial_state(1)))
    graph = to_onnx(BackboneStep(policy), inputs).SerializeToString()
    session = ort.InferenceSession(graph, session_options, ["CPUExecutionProvider"])
    binding = session.io_binding()
    for value in session.get_inputs():
        binding.bind_cpu_input(value.name, np.zeros(value.shape, np.int64 if "int64" in value.type else np.float32))
    for value in session.get_outputs():
        binding.bind_output(value.name)
    matrix, vector = np.ones((max(1, size // 256), 256), np.float32), np.ones(256, np.float32)
    block = {
        "step_us": lambda: session.run_with_iobinding(binding),
        "read_us": lambda: matrix @ vector,
    }
    best = {name: float("inf") for name in block}
    for _ in range(rounds):
        for name, action in block.items():
            best[name] = min(best[name], median_us(action, steps))
    ratio = {"weight_mb": size * 4 / 1e6, **best, "gb_per_s": size * 4 / best["read_us"] / 1e3}
    return {key: round(value, 2) for key, value in {**ratio, "ratio": best["step_us"] / best["read_us"]}.items()}


def median_us(action: Callable[[], Any], count: int) -> float:
    """Median time of one call."""
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return float(np.median(times)) * 1e6


def at_game_speed(run: Path, folder: Path, seconds: float) -> dict[str, Any]:
    """Play the exported f32 graph against the stand-in at 60 frames per second."""
    duel = folder / "long.slp"
    generate_replay(duel, seed=2, characters=("fox", "mewtwo"), frames=int(seconds * 60))
    export_run(run)
    report = play_stand_in(PlayOptions(policy=str(run), stand_in=duel), lambda line: None).report
    return report.summary()


def machine() -> dict[str, Any]:
    """Hardware, versions and commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    versions = {"python": platform.python_version(), "torch": torch.__version__, "onnxruntime": ort.__version__}
    return {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "last_cache_mb": last_cache_bytes() >> 20,
        "evicted_mb": evicted_bytes() >> 20,
    } | {
        "versions": versions,
        "commit": commit.stdout.strip(),
    }


def show(backbone: str, row: dict[str, Any]) -> None:
    """Print a table."""
    print(f"{backbone}: {'p50':>20} {'p99':>8} {'- control':>10} {'cpu p50':>8} {'cpu p99':>8}   ms")
    for name, values in row.items():
        if name in ("backbone", "stand_in", "weights_mb"):
            continue
        shown = (values[key] for key in ("p50", "p99", "p50_less_control", "cpu_p50", "cpu_p99"))
        print(f"  {name:12}", *(f"{value:9.3f}" for value in shown))
    print(f"  backbone alone, warm: {row['backbone']}")
    if "stand_in" in row:
        print(f"  at 60 fps: {row['stand_in']}")


if __name__ == "__main__":
    main()
