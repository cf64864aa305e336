"""The demo is the whole line: every stage runs, by the commands that users type."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError, ExphilError
from dataset.store.manifest import split_of
from ingest.jobs.job import content_id
from play.commands import demo
from tests.child import within


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


def test_the_demo_runs_every_stage_and_plays_an_unseen_replay(
    replays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PLAY_SECONDS", 2)
    monkeypatch.setattr(demo, "ARENA_GAMES", 2)
    monkeypatch.setattr(demo, "ARENA_SECONDS", 3)
    monkeypatch.setattr(demo, "run_child", within)
    monkeypatch.setattr("play.runtime.load.FRAME_BUDGET_MS", 1e4)
    monkeypatch.setattr(demo, "HIDDEN_SIZES", "16,16")
    said: list[str] = []
    stages = demo.run_demo(folder=tmp_path / "demo", replays=replays, character="mewtwo", minutes=0, say=said.append)
    results = {stage.name: stage.result for stage in stages}
    assert [stage.name for stage in stages] == ["ingest", "stats", "find", "train", "eval", "play", "arena"]
    assert (results["ingest"]["replays_ingested"], results["ingest"]["frames"]) == (8, 8 * 1900)
    assert results["train"]["best_epoch"] == 1
    assert results["eval"]["frames"] == 2 * 1899
    assert results["play"]["replayed"] is True
    assert 0 < results["play"]["frames"] < 1900, "how many come in two seconds depends on the machine"
    assert "8 replays of mewtwo: 4 train, 2 val, 2 test" in said
    assert any("win rate" in text and "mewtwo" in text and "15,200" in text for text in said), "stats shows its rows"
    row = results["arena"]["rows"][0]
    assert (row["against"], row["games"], row["minutes"]) == ("scripted", 2, pytest.approx(0.1))
    shown = f"{row['stocks_taken']} stocks taken, {row['stocks_lost']} lost, {row['net_stocks_per_minute']:+.2f} net"
    assert "the arena's scripted mewtwo, in 2 duels of 3 seconds" in said[-1]
    assert shown in said[-1]
    assert any("came late" in text and "one policy step" in text for text in said), "play shows its figures"


ROW = {
    "games": 32,
    "stocks_taken": 5,
    "stocks_lost": 9,
    "net_stocks_per_minute": -0.25,
    "net_stocks_interval": [-0.5, 0.1],
}


def answers(folder: Path, asked: list[list[str]]) -> Callable[..., tuple[dict[str, Any], list[str]]]:
    """Answers to all commands of the demo in ``folder`` without running any; ``asked`` gets each command's words."""

    def run_child(*arguments: str) -> tuple[dict[str, Any], list[str]]:
        asked.append(list(arguments))
        ids = [content_id(path.read_bytes()) for path in (folder / "replays").iterdir()]
        splits = [{"id": one, "split": split} for one in ids for split in ("train", "val", "test")]
        rows = {"arena": [ROW], "stats": splits if "--sql" in arguments else [{"character": "mewtwo"}]}
        found = {"frames": 0, "run": "runs/demo", "rows": rows.get(arguments[0])}
        return found, []

    return run_child


def test_the_demo_ends_in_duels_against_the_player_that_it_imitates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    said: list[str] = []
    monkeypatch.setattr(demo, "NUM_GENERATED", 1)
    monkeypatch.setattr(demo, "run_child", answers(tmp_path, asked))
    demo.run_demo(folder=tmp_path, replays=None, character=None, minutes=0, say=said.append)
    assert asked[-1][:6] == ["arena", "runs/demo", "--world", "duel", "--opponent-character", "mewtwo"]
    assert asked[-1][6:] == ["--games", "32", "--seconds", "30"]
    assert said[-1] == (
        "Against the scripted mewtwo that it imitates, in 32 duels of 30 seconds: 5 stocks taken, 9 lost, -0.25 net stocks "
        "per minute (95 %: -0.50 to +0.10); a perfect imitation scores 0."
    )


def test_a_character_that_duels_lack_plays_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    said: list[str] = []
    for name in ("replays", "demo"):
        (tmp_path / name).mkdir()
    generate_replay(tmp_path / "replays" / "one.slp", seed=0, frames=200)
    monkeypatch.setattr(demo, "run_child", answers(tmp_path, asked))
    demo.run_demo(
        folder=tmp_path / "demo", replays=tmp_path / "replays", character="captain_falcon", minutes=0, say=said.append
    )
    assert asked[-1][0] == "play"
    assert said[-1] == (
        "\nNo games in the arena: its duels have mewtwo, fox, falco, marth, sheik, peach, and this run plays captain_falcon."
    )


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
