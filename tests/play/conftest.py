"""Fixtures shared by play's tests."""

import pytest


@pytest.fixture
def patient_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy may take its time: on a busy machine even the smallest one takes longer than a frame."""
    monkeypatch.setattr("play.runner.FRAME_BUDGET_MS", 10_000.0)
