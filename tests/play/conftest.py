"""Fixtures shared by play's tests."""

from pathlib import Path

import pytest

from tests.play.builders import random_run
from train.graph.export import export_run


@pytest.fixture
def patient_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy may take its time: on a busy machine even the smallest one takes longer than a frame."""
    monkeypatch.setattr("play.runner.FRAME_BUDGET_MS", 10_000.0)


@pytest.fixture(scope="session")
def exported_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its graph, not to be changed: an export takes seconds."""
    run = random_run(tmp_path_factory.mktemp("runs") / "random", delay=2)
    export_run(run)
    return run
