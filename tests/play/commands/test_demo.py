"""The demo is the whole line: every stage runs, by the commands that users type."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError, ExphilError
from dataset.store.manifest import split_of
from play.commands import demo


@pytest.fixture(scope="module")
def replays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight short duels: two of the test split, two of val, four to train on."""
    folder = tmp_path_factory.mktemp("replays")
    wanted = {"train": 4, "val": 2, "test": 2}
    for seed in range(500):
        split = split_of(f"generated-{seed}", "", 0)
        if wanted[split] > 0:
            wanted[split] -= 1
            generate_replay(folder / f"{seed}.slp", seed=seed, frames=1900)
    return folder


def within(*arguments: str) -> tuple[dict[str, Any], list[str]]:
    """Run a command as ``run_child`` does, but in this process, which has loaded all that commands need."""
    app = typer.Typer()
    for stage in ("ingest", "dataset", "train", "play"):
        import_module(f"{stage}.cli").register(app)
    done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    sys.stderr.write(done.stderr)
    *lines, answer = done.stdout.splitlines()
    return json.loads(answer), lines


def test_the_demo_runs_every_stage_and_plays_an_unseen_replay(
    replays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PLAY_SECONDS", 2)
    monkeypatch.setattr(demo, "run_child", within)
    monkeypatch.setattr("play.runtime.load.FRAME_BUDGET_MS", 1e4)
    monkeypatch.setattr(demo, "HIDDEN_SIZES", "16,16")
    said: list[str] = []
    stages = demo.run_demo(folder=tmp_path / "demo", replays=replays, character="mewtwo", minutes=0, say=said.append)
    results = {stage.name: stage.result for stage in stages}
    assert [stage.name for stage in stages] == ["ingest", "stats", "find", "train", "eval", "play"]
    assert (results["ingest"]["replays_ingested"], results["ingest"]["frames"]) == (8, 8 * 1900)
    assert results["train"]["best_epoch"] == 1
    assert results["eval"]["frames"] == 2 * 1899
    assert results["play"]["replayed"] is True
    assert 0 < results["play"]["frames"] < 1900, "how many come in two seconds depends on the machine"
    assert "8 replays of mewtwo: 4 train, 2 val, 2 test" in said
    assert any("win rate" in text and "mewtwo" in text and "15,200" in text for text in said), "stats shows its rows"
    assert any("came late" in text and "one policy step" in text for text in said), "play shows its figures"


def test_a_stage_that_fails_ends_the_demo_and_is_named(
    replays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "HIDDEN_SIZES", "0")
    with pytest.raises(ExphilError, match="ended at its stage 'train'"):
        demo.run_demo(folder=tmp_path / "demo", replays=replays, character="mewtwo", minutes=0, say=lambda line: None)


def test_the_demo_writes_over_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(ConfigError, match="must be new or empty"):
        demo.run_demo(folder=tmp_path, replays=None, character=None, minutes=1, say=print)


def test_too_few_replays_to_train_on_are_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "run_child", within)
    (tmp_path / "few").mkdir()
    generate_replay(tmp_path / "few" / "one.slp", seed=0, frames=1900)
    with pytest.raises(ExphilError, match="in the train split and another in val, found 1 and 0; give more replays"):
        demo.run_demo(folder=tmp_path / "demo", replays=tmp_path / "few", character=None, minutes=0, say=print)
    assert "error" not in capfd.readouterr().err


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_replays_that_are_not_there_are_told_before_anything_is_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=f"{name}: must"):
        demo.run_demo(folder=tmp_path / "demo", replays=tmp_path / name, character=None, minutes=0, say=pytest.fail)
    assert not (tmp_path / "demo").exists()
