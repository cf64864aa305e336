"""Many players of one policy: each gets what it would get alone, bit for bit, however many there are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dataset.codecs.registry import get_codec
from dataset.errors import ConfigError
from dataset.features.layout import FEATURES, INDICES
from dataset.melee.controller import Classes
from play.agent.agent import PolicyInput
from play.runtime.load import LoadedRun, load
from play.runtime.rows import ROWS, RowsStepper, load_rows
from tests.play.builders import export, random_run
from train.export.export import export_run
from train.export.folded_step import leaves_of
from train.runs.checkpoint import load_policy

FRAMES, MOST = 8, 2 * ROWS + 5


@pytest.fixture(scope="module")
def given() -> list[PolicyInput]:
    """Inputs of some frames for many players."""
    random = np.random.default_rng(0)

    def ids(sizes: list[int]) -> NDArray[np.int64]:
        return np.stack([random.integers(0, size, MOST) for size in sizes], axis=1)

    components = [size for _, size in get_codec("axis17").components]
    return [
        PolicyInput(
            continuous=random.normal(size=(MOST, len(FEATURES))).astype(np.float16),
            indices=ids([size for _, size in INDICES]).astype(np.uint16),
            previous=ids(components).astype(np.uint8),
            delay=0,
            noise=random.random((MOST, len(components)), dtype=np.float32),
        )
        for _ in range(FRAMES)
    ]


@pytest.fixture(scope="module", params=["gru", "sliding_window"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows") / request.param
    return export(random_run(folder, backbone=request.param, hidden=64))


def of_players(frame: PolicyInput, players: list[int]) -> PolicyInput:
    return frame._replace(
        **{name: getattr(frame, name)[players] for name in ("continuous", "indices", "previous", "noise")}
    )


def played(stepper: RowsStepper, given: list[PolicyInput], players: list[int]) -> list[list[list[int]]]:
    """Classes by frame, player and component."""
    stepper.reset()
    return [stepper.step(of_players(frame, players)).tolist() for frame in given]


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
@pytest.mark.parametrize("players", [[0], [20], [3, 0], [36, 5, 7], list(range(ROWS)), list(range(1, ROWS + 2))])
def test_a_player_among_others_is_the_same_player_alone(
    run: Path, given: list[PolicyInput], runtime: str, players: list[int]
) -> None:
    _, rows = load_rows(str(run), 1.0, runtime)
    everybody = played(rows(MOST), given, list(range(MOST)))
    assert played(rows(len(players)), given, players) == [[frame[player] for player in players] for frame in everybody]
    assert len({str(frame[0]) for frame in everybody}) > 1


def test_a_row_is_the_same_to_the_last_bit_in_any_place_among_any_others(run: Path, given: list[PolicyInput]) -> None:
    """Classes are samples, so they hardly show a last bit; states do. As many rows as in play."""
    _, stepper = load(str(run), 1.0, "onnx", ROWS)
    policy = load_policy(run).policy
    player = ROWS + 2

    def memory(place: int, others: int) -> list[NDArray[np.float32]]:
        rows = [(others + row) % MOST for row in range(ROWS)]
        rows[place] = player
        stepper.reset()
        state = policy.initial_state(ROWS)
        for frame in given:
            own = of_players(frame, rows)
            stepper.step(own)
            with torch.inference_mode():
                state = policy.step(*_tensors(own), state)[1]
        kept = [value for name, value in stepper.outputs().items() if name.startswith("next_")]  # type: ignore[attr-defined]
        return [np.array(value[place]) for value in (*kept, *(leaf.numpy() for leaf in leaves_of(state)))]

    first = memory(0, 0)
    for place, others in ((0, 9), (5, 0), (ROWS - 1, 20)):
        assert all(np.array_equal(*pair) for pair in zip(first, memory(place, others), strict=True))


def _tensors(given: PolicyInput) -> list[torch.Tensor]:
    return [
        torch.from_numpy(given.continuous.astype(np.float32)),
        torch.from_numpy(given.indices.astype(np.int64)),
        torch.from_numpy(given.previous.astype(np.int64)),
        torch.full((ROWS,), given.delay),
        torch.from_numpy(given.noise),
    ]


def test_new_games_begin_with_a_new_memory_in_every_block(run: Path, given: list[PolicyInput]) -> None:
    stepper = load_rows(str(run), 1.0, "onnx")[1](MOST)
    assert played(stepper, given, list(range(MOST))) == played(stepper, given, list(range(MOST)))


def test_an_int8_graph_steps_one_player_at_a_time(
    tmp_path: Path, given: list[PolicyInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = random_run(tmp_path / "int8", hidden=128)
    monkeypatch.setattr("train.export.export.CHECKED_FRAMES", 5)
    export_run(run, is_int8=True)
    loaded, rows = load_rows(str(run), 1.0, "auto")
    assert loaded.is_int8
    together = played(rows(ROWS), given, list(range(ROWS)))
    _, alone = load(str(run), 1.0, "onnx", 1)
    for player in range(ROWS):
        alone.reset()
        sent = [alone.step(of_players(frame, [player]))[0].tolist() for frame in given]
        assert sent == [frame[player] for frame in together]


def test_a_runtime_that_is_not_checked_for_many_players_is_refused(run: Path) -> None:
    with pytest.raises(ConfigError, match=r"--runtime 'openvino'.*auto, onnx, torch"):
        load_rows(str(run), 1.0, "openvino")


class Shapes:
    """A stepper that writes down how many rows it is given."""

    def __init__(self, seen: list[int]) -> None:
        self.seen = seen

    def twin(self) -> "Shapes":
        return Shapes(self.seen)

    def reset(self) -> None:
        pass

    def step(self, given: PolicyInput) -> Classes:
        self.seen += {len(part) for part in (given.continuous, given.indices, given.previous, given.noise)}
        return given.previous


@pytest.mark.parametrize("num_players", [1, ROWS, ROWS + 1, MOST])
def test_every_inference_has_the_same_number_of_rows(given: list[PolicyInput], num_players: int) -> None:
    seen: list[int] = []
    stepper = RowsStepper(Shapes(seen), ROWS, num_players)
    frame = of_players(given[0], list(range(num_players)))
    assert np.array_equal(stepper.step(frame), frame.previous)
    assert seen == [ROWS] * -(-num_players // ROWS)


def test_of_an_int8_graph_every_inference_has_one_row(
    given: list[PolicyInput], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    int8 = LoadedRun(
        folder=Path("run"), codec=get_codec("axis17"), delay=0, character=None, runtime="ONNX Runtime", is_int8=True
    )
    monkeypatch.setattr("play.runtime.rows.load", lambda *arguments: (int8, Shapes(seen)))
    load_rows("run", 1.0, "auto")[1](3).step(of_players(given[0], [0, 1, 2]))
    assert seen == [1, 1, 1]
