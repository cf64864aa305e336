"""What a run is stepped with: the exported graph does what PyTorch does, and nothing else is ever played unseen."""

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.codecs.registry import get_codec
from dataset.duels.generate import generate_replay
from dataset.errors import CheckpointError, ConfigError
from dataset.melee.controller import Classes
from ingest.replay.parse import parse_columns
from play.agent.agent import Agent, Players, PolicyInput
from play.options import PlayOptions
from play.runtime.load import check_budget, load, load_players, warm_up
from play.runtime.onnx_stepper import OnnxStepper, zeros
from play.runtime.torch_stepper import TorchStepper
from tests.dataset.builders import stack
from tests.play.builders import export, random_run
from tests.play.loop.test_runner import CODEC, Counting

pytestmark = pytest.mark.usefixtures("patient_budget")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def run(exported_run: Path, tmp_path: Path) -> Path:
    """An exported run that a test may damage."""
    return Path(shutil.copytree(exported_run, tmp_path / "run"))


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("duel") / "duel.slp"
    generate_replay(path, seed=3, characters=("fox", "mewtwo"), frames=400)
    return path


@pytest.fixture(scope="module")
def columns(replay: Path) -> NDArray[np.float32]:
    return stack(parse_columns(replay, rollback="first").columns)


def controllers(run: Path, columns: NDArray[np.float32], runtime: str, temperature: float = 1.0) -> NDArray[np.int32]:
    options = PlayOptions(policy=str(run), temperature=temperature, seed=5, runtime=runtime)
    (answers,) = played(load_players(options, silent)[1], columns)
    return answers


def played(players: Players, columns: NDArray[np.float32], side: int = 1) -> NDArray[np.int32]:
    """Controllers [players, frames, 6]."""
    players.start_game(side)
    return np.stack([players.answer(column) for column in columns.T], axis=1)


def silent(line: str) -> None:
    pass


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_both_runtimes_put_the_same_controllers_on_the_pad(
    exported_run: Path, columns: NDArray[np.float32], temperature: float
) -> None:
    by_graph = controllers(exported_run, columns, "onnx", temperature)
    assert np.array_equal(by_graph, controllers(exported_run, columns, "torch", temperature))
    assert len(np.unique(by_graph, axis=0)) > 100


def test_both_runtimes_play_the_joint_codec_alike(tmp_path: Path, columns: NDArray[np.float32]) -> None:
    run = random_run(tmp_path / "joint", delay=2, codec="joint")
    export(run)
    by_graph = controllers(run, columns, "onnx")
    assert np.array_equal(by_graph, controllers(run, columns, "torch"))
    assert len(np.unique(by_graph, axis=0)) > 100


def test_temperature_reaches_the_graph(exported_run: Path, columns: NDArray[np.float32]) -> None:
    few = columns[:, :50]
    assert not np.array_equal(controllers(exported_run, few, "onnx", 1.0), controllers(exported_run, few, "onnx", 0.2))


def test_a_new_game_begins_with_a_new_state(exported_run: Path, columns: NDArray[np.float32]) -> None:
    _, stepper = load(str(exported_run), 1.0, "onnx")
    features = (np.ones((1, 93), np.float16), np.ones((1, 12), np.uint16))
    frame = PolicyInput(*features, np.zeros((1, 13), np.uint8), 2, np.full((1, 13), 0.5, np.float32))

    def game(num_frames: int) -> list[list[int]]:
        stepper.reset()
        return [stepper.step(frame)[0].tolist() for _ in range(num_frames)]

    first = game(9)
    assert game(8) == first[:8]
    assert game(9) == first
    assert len({tuple(row) for row in first}) > 1, "the state matters"


def test_auto_takes_the_graph_if_there_is_one_and_says_so(run: Path) -> None:
    played, stepper = load(str(run), 1.0)
    assert (type(stepper), played.runtime) == (OnnxStepper, "ONNX Runtime, f32")
    assert (played.delay, played.character, played.codec.name, played.folder) == (2, "mewtwo", "axis17", run)
    (run / "policy.onnx").unlink()
    played, stepper = load(str(run), 1.0)
    assert (type(stepper), played.runtime) == (TorchStepper, f"PyTorch; 'exphil export {run}' makes it faster")


def test_the_first_lines_name_the_runtime(run: Path) -> None:
    said: list[str] = []
    load_players(PlayOptions(policy=str(run)), said.append)
    load_players(PlayOptions(policy=str(run), runtime="torch"), said.append)
    assert [line.split(": ")[1].split(", delay")[0] for line in said] == ["ONNX Runtime, f32", "PyTorch"]


@pytest.mark.parametrize("runtime", ["onnx", "openvino", "torch"])
def test_a_policy_too_slow_for_the_game_is_refused_by_how_much_unless_the_game_waits(
    exported_run: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino", reason="needs exphil[openvino]")
    monkeypatch.setattr("play.runtime.load.FRAME_BUDGET_MS", 0.0)
    for opponent in (None, str(exported_run)):
        options = PlayOptions(policy=str(exported_run), opponent=opponent, runtime=runtime)
        with pytest.raises(ConfigError, match=r"must take at most 0\.0 ms .* ms too long"):
            load_players(options, silent)
        load_players(replace(options, sync=True), silent)


def test_one_graph_steps_two_players_as_it_steps_each(exported_run: Path, columns: NDArray[np.float32]) -> None:
    columns = columns[:, :150]
    options = PlayOptions(policy=str(exported_run), runtime="onnx", seed=5)
    _, both = load_players(replace(options, opponent=str(exported_run)), silent)
    own, other = played(both, columns)
    _, alone = load_players(options, silent)
    assert np.array_equal(own, played(alone, columns)[0])
    _, stepper = load(str(exported_run), 1.0, "onnx")
    alone = Players(Agent(stepper, get_codec("axis17"), delay=2, seed=(5, 1)))
    warm_up(alone)  # draws noise, as loading both does
    assert np.array_equal(other, played(alone, columns, side=0)[0])


def test_a_stale_graph_is_refused_until_it_is_exported_again(run: Path) -> None:
    other = random_run(run.with_name("other"), delay=2, hidden=17)
    shutil.copy(other / "best.safetensors", run)
    with pytest.raises(CheckpointError, match=r"policy.onnx: must be exported from best.safetensors.*exphil export"):
        load(str(run), 1.0)
    with pytest.raises(CheckpointError, match="--runtime torch"):
        load(str(run), 1.0, "onnx")


def test_weights_named_outright_need_a_graph_of_their_own(run: Path) -> None:
    last = run / "last.safetensors"
    last.write_bytes((run / "best.safetensors").read_bytes() + b" ")
    with pytest.raises(CheckpointError, match=r"exported from last\.safetensors"):
        load(str(last), 1.0)


def test_a_graph_without_weights_beside_it_plays(run: Path) -> None:
    (run / "best.safetensors").unlink()
    assert load(str(run), 1.0)[0].runtime == "ONNX Runtime, f32"


def test_a_damaged_graph_is_refused(run: Path) -> None:
    (run / "policy.onnx").write_bytes(b"not a graph")
    with pytest.raises(CheckpointError, match="must be an exported graph"):
        load(str(run), 1.0)


def test_onnx_without_a_graph_says_how_to_get_one(run: Path) -> None:
    (run / "policy.onnx").unlink()
    with pytest.raises(ConfigError, match=r"--runtime onnx: needs .*policy.onnx.*exphil export"):
        load(str(run), 1.0, "onnx")


@pytest.mark.parametrize(
    ("temperature", "runtime", "message"),
    [
        (0.0, "auto", "--temperature 0.0: must be a number above 0"),
        (1.0, "jax", "--runtime 'jax'.*auto, onnx, openvino, torch"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    exported_run: Path, temperature: float, runtime: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load(str(exported_run), temperature, runtime)


def without_torch(code: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` where PyTorch, safetensors, onnx and what training needs besides are not installed."""
    block = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'safetensors', 'onnx', 'onnxscript', 'peppi_py', 'wandb'):\n"
        "            raise ModuleNotFoundError(f'No module named {name}', name=name)\n"
        "sys.meta_path.insert(0, Block())\n"
    )
    return subprocess.run([sys.executable, "-c", block + code], capture_output=True, text=True, cwd=ROOT, check=False)


def test_an_exported_run_plays_where_pytorch_is_not_installed(exported_run: Path, replay: Path) -> None:
    done = without_torch(
        "from pathlib import Path\n"
        "from play.launch import play_stand_in\n"
        "from play.options import PlayOptions\n"
        "if __name__ == '__main__':\n"
        f"    options = PlayOptions(policy={str(exported_run)!r}, stand_in=Path({str(replay)!r}), sync=True)\n"
        f"    print(play_stand_in(options, print).report.frames)\n"
    )
    assert done.stdout.split()[-1:] == ["400"], done.stderr


def test_without_a_graph_and_without_pytorch_the_error_names_both_ways_out(run: Path) -> None:
    (run / "policy.onnx").unlink()
    done = without_torch(
        "import importlib.util\n"
        "importlib.util.find_spec = lambda name: None\n"
        "from play.runtime.load import load\n"
        f"load({str(run)!r}, 1.0)\n"
    )
    assert (
        "run 'exphil export' where it was trained and copy the file here, or pip install 'exphil[train]'" in done.stderr
    )


def test_a_policy_trained_on_windows_without_memory_is_not_played(run: Path) -> None:
    record = run / "config.json"
    record.write_text(record.read_text(encoding="utf-8").replace('"contract": "stream"', '"contract": "window"'))
    with pytest.raises(CheckpointError, match="play carries a policy's memory from frame to frame"):
        load(str(run), 1.0)


def test_a_policy_within_the_frame_budget_may_play(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("play.runtime.load.FRAME_BUDGET_MS", 14.0)
    check_budget(14.0)


def test_a_policy_beyond_the_frame_budget_is_refused_with_the_excess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("play.runtime.load.FRAME_BUDGET_MS", 14.0)
    with pytest.raises(ConfigError, match=r"found 20\.5 ms, 6\.5 ms too long"):
        check_budget(20.5)


def test_warming_up_measures_a_step() -> None:
    class Slow(Counting):
        def step(self, given: PolicyInput) -> Classes:
            time.sleep(0.002)
            return super().step(given)

    assert warm_up(Players(Agent(Slow(), CODEC, delay=0))) >= 2.0


@pytest.mark.parametrize("shape", [(None, 8), ("batch", 2**40), ("batch", 0), (-1,), (2**20, 2**20)])
def test_a_buffer_of_a_size_that_no_policy_has_is_refused_before_it_is_made(shape: tuple[int | str, ...]) -> None:
    with pytest.raises(CheckpointError, match="must hold 1 to"):
        zeros(shape, np.float32, 1)
