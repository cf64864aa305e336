import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dataset.errors import ExphilError
from dataset.reporting import terminal
from tests.train.builders import tiny_config, tiny_splits, write_store
from train.callbacks import ProgressReport, collapse_signs
from train.config.run_config import OptimConfig
from train.fit.optim import training_loss
from train.fit.train_run import train_run


def fit(folder: Path) -> None:
    store = write_store(folder / "store", tiny_splits())
    train_run(tiny_config(), store, "run", runs=folder / "runs", callbacks=[ProgressReport()])


def test_away_from_a_terminal_facts_steps_and_epochs_are_plain_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "LINE_EVERY_S", 0.0)
    fit(tmp_path)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len([line for line in lines if " step " in line]) == 45
    epochs = [line for line in lines if "persistence nll" in line]
    assert [line.split()[:2] for line in epochs] == [["epoch", "1"], ["epoch", "2"], ["epoch", "3"]]
    assert epochs[0].endswith("(best)")


def test_steps_are_counted_to_the_last_one_that_will_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "LINE_EVERY_S", 0.0)
    store = write_store(tmp_path / "store", tiny_splits())
    config = replace(tiny_config(), optim=OptimConfig(epochs=3, max_steps=17))
    train_run(config, store, "run", runs=tmp_path / "runs", callbacks=[ProgressReport()])
    steps = [line.split(" step ")[1] for line in capsys.readouterr().err.splitlines() if " step " in line]
    assert steps == [*(f"{step}/15" for step in range(1, 16)), "1/2", "2/2"]


def test_on_a_terminal_a_bar_is_drawn_on_stderr_and_taken_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    fit(tmp_path)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "frames/s" in captured.err
    assert captured.err.rstrip().endswith("\x1b[2K")  # the bar's line is erased


def test_a_run_that_breaks_takes_its_bar_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> Any:
        return training_loss(*args) * float("inf")

    monkeypatch.setattr("train.fit.loop.training_loss", broken)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(ExphilError, match="step 1: the loss must be finite"):
        fit(tmp_path)
    assert capsys.readouterr().err.rstrip().endswith("\x1b[2K")


def test_a_collapsing_policy_is_told_of_after_its_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = write_store(tmp_path / "store", tiny_splits())
    wild = tiny_config(optim=OptimConfig(epochs=1, lr=30.0, lr_schedule="constant"))
    train_run(wild, store, "run", runs=tmp_path / "runs", callbacks=[ProgressReport()])
    assert "collapse: val NLL" in capsys.readouterr().err.splitlines()[-1]


def numbers(*, nll: float = 1.0, entropy: float = 3.0) -> dict[str, object]:
    diversity = {"distinct_sampled": 7, "distinct_true": 90, "entropy_sampled": entropy, "entropy_true": 4.0}
    return {"nll": nll, "persistence_nll": 2.0, "diversity": diversity}


def test_a_policy_that_learns_shows_no_sign_of_collapse() -> None:
    assert collapse_signs(numbers()) == []
    assert collapse_signs(numbers(nll=2.0, entropy=1.0)) == []


def test_a_policy_that_plays_few_controllers_is_reported() -> None:
    (sign,) = collapse_signs(numbers(entropy=0.99))
    assert "7 different controllers where the players play 90 (entropy 0.99 of 4.00 nats)" in sign


def test_a_policy_that_does_worse_than_a_copycat_is_reported() -> None:
    (sign,) = collapse_signs(numbers(nll=2.5))
    assert "val NLL 2.500 is above the 2.000 of copying the previous controller" in sign
