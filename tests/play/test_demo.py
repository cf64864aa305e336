"""The demo is the whole line: every stage runs, by the commands that users type."""

from pathlib import Path

import pytest

from dataset.duel import generate_replay
from dataset.errors import ConfigError
from dataset.split import split_of
from play import demo


@pytest.fixture(scope="module")
def replays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight short duels: two of the test split, two of val, four to train on."""
    folder = tmp_path_factory.mktemp("replays")
    wanted = {"train": 4, "val": 2, "test": 2}
    for seed in range(500):
        split = split_of(f"generated-{seed}", 0)
        if wanted[split] > 0:
            wanted[split] -= 1
            generate_replay(folder / f"{seed}.slp", seed=seed, frames=1900)
    return folder


def test_the_demo_runs_every_stage_and_plays_an_unseen_replay(
    replays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PLAY_SECONDS", 2)
    monkeypatch.setattr(demo, "HIDDEN_SIZES", "16,16")
    stages = demo.run_demo(
        folder=tmp_path / "demo", replays=replays, character="mewtwo", minutes=0, say=lambda line: None
    )
    results = {stage.name: stage.result for stage in stages}
    assert [stage.name for stage in stages] == ["ingest", "stats", "train", "find", "eval", "play"]
    assert (results["ingest"]["replays_ingested"], results["ingest"]["frames"]) == (8, 8 * 1900)
    assert results["train"]["best_epoch"] == 1
    assert results["eval"]["frames"] == 2 * 1899
    assert results["play"]["replayed"] is True
    assert results["play"]["frames"] in range(118, 124)


def test_the_demo_writes_over_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(ConfigError, match="must be new or empty"):
        demo.run_demo(folder=tmp_path, replays=None, character=None, minutes=1, say=print)
