"""Fixtures shared by play's tests."""

from pathlib import Path

import pytest

from dataset.duels.generate import generate_replay
from play.options import PlayOptions
from tests.play.builders import export, free_port, random_run
from tests.play.fake_dolphin import write_fake_dolphin, write_fake_iso


@pytest.fixture
def patient_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy may take its time: on a busy machine even the smallest one takes longer than a frame."""
    monkeypatch.setattr("play.runtime.load.FRAME_BUDGET_MS", 10_000.0)


@pytest.fixture(scope="session")
def exported_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its graph, not to be changed: an export takes seconds."""
    return export(random_run(tmp_path_factory.mktemp("runs") / "random", delay=2))


@pytest.fixture
def wanted(tmp_path: Path) -> PlayOptions:
    """Mewtwo on port 1 against a CPU on port 2, in lock step; the disc has two games."""
    games = [tmp_path / f"{seed}.slp" for seed in (1, 2)]
    for seed, path in enumerate(games):
        generate_replay(path, seed=seed, frames=120)
    return PlayOptions(
        dolphin=write_fake_dolphin(tmp_path).parent,
        iso=write_fake_iso(tmp_path / "melee.iso", *games),
        replay_dir=tmp_path / "replays",
        slippi_port=free_port(),
        sync=True,
    )
