import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import ingest.inspect
from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError
from dataset.store.replay_table import ingested_rows
from dataset.store.store import Store
from ingest.jobs.pipeline import ingest as run_ingest
from ingest.options import IngestOptions


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)  # one command alone would lose its name
    ingest.inspect.register(app)
    return app


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("replay") / "duel.slp"
    generate_replay(path, seed=0, frames=900)
    return path


@pytest.fixture(scope="module")
def store(replay: Path) -> Path:
    folder = replay.parent / "store"
    run_ingest([replay], folder, IngestOptions(workers=1, min_frames=1))
    return folder


def _json(app: typer.Typer, *arguments: object) -> dict[str, list[dict[str, object]]]:
    result = CliRunner().invoke(app, ["inspect", *map(str, arguments), "--json"])
    found: dict[str, list[dict[str, object]]] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_a_file_and_the_store_made_of_it_show_the_same_frames(app: typer.Typer, replay: Path, store: Path) -> None:
    chosen = ("--frames", "-5:40")
    from_file, from_store = _json(app, "--replay", replay, *chosen), _json(app, "--store", store, *chosen)
    assert from_file["frames"] == from_store["frames"]
    assert from_file["layout"] == from_store["layout"]
    assert [row["frame"] for row in from_file["frames"]] == [*range(-5, 40)] * 2


def test_the_first_jump_shows_its_target_one_row_above_the_knee_bend(app: typer.Typer, replay: Path) -> None:
    rows = _json(app, "--replay", replay)["frames"]
    bends = [i for i, row in enumerate(rows) if row["action"] == "knee bend" and rows[i - 1]["action"] != "knee bend"]
    assert bends
    jumps = [{"X", "Y"} & set(str(rows[i - 1]["target"]).split()) for i in bends]
    assert all(jumps)


def test_a_table_names_the_replay_and_both_players(app: typer.Typer, store: Path) -> None:
    replay_id = ingested_rows(Store(store).replays())[0]["id"]
    result = CliRunner().invoke(app, ["inspect", "--store", str(store), "--id", replay_id])
    assert result.exit_code == 0
    for text in (f"replay {replay_id}", "side a: mewtwo", "side b: fox", "continuous features", "codec axis17"):
        assert text in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "exactly one of --store STORE and --replay FILE"),
        (["--store", "STORE", "--replay", "REPLAY"], "exactly one of --store STORE and --replay FILE"),
        (["--replay", "REPLAY", "--id", "x"], "--id: names a replay of a store"),
        (["--store", "STORE", "--rollback", "first"], "a store has its own"),
        (["--store", "STORE", "--codec", "axis17"], "a store has its own"),
        (["--store", "STORE", "--id", "x"], "replay 'x': must be the id of an ingested replay"),
        (["--replay", "REPLAY", "--rollback", "middle"], "--rollback: must be 'last' or 'first'"),
        (["--replay", "REPLAY", "--codec", "axis18"], "codec 'axis18': unknown"),
        (["--replay", "REPLAY", "--frames", "5"], "--frames: must be A:B"),
        (["--replay", "absent.slp"], "must be a .slp file, found none"),
    ],
)
def test_settings_that_cannot_take_effect_are_errors(
    app: typer.Typer, replay: Path, store: Path, arguments: list[str], message: str
) -> None:
    paths = {"STORE": str(store), "REPLAY": str(replay)}
    result = CliRunner().invoke(app, ["inspect", *(paths.get(argument, argument) for argument in arguments)])
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
