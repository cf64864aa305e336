from typing import Any

import pytest

from train.measure.report import next_step, show_reports


def report(
    run: str, *, codec: str = "axis17", delay: int = 0, character: str = "falco", lookup: bool = True
) -> dict[str, Any]:
    keys = ("nll", "accuracy", "exact", "change_nll", "change_accuracy", "change_exact", "stick_accuracy")
    numbers = {key: 0.1 * i for i, key in enumerate(keys)}
    return {
        "run": run,
        "codec": codec,
        "delay": delay,
        "character": character,
        "replays": 3,
        "frames": 1000,
        "change_frames": 250,
        **numbers,
        "persistence": dict.fromkeys(keys, 2.0),
        "lookup": dict.fromkeys(keys, 1.5) if lookup else None,
        "ece": 0.01,
        "diversity": {"distinct_true": 2414, "distinct_sampled": 6, "entropy_true": 1.0, "entropy_sampled": 1.1},
        "intervals": {"nll": (0.95, 1.05), "accuracy": None},
        "seconds_per_million_frames": 123.4,
        "cpu_seconds_per_million_frames": 45.6,
    }


def shown(capsys: pytest.CaptureFixture[str], *reports: dict[str, Any], differences: Any = ()) -> str:
    show_reports(reports, differences, is_detailed=False, to_stderr=False)
    return capsys.readouterr().out


def row(text: str, name: str) -> list[str]:
    return next(line for line in text.splitlines() if line.strip().startswith(name)).split()


def test_one_run_stands_beside_both_baselines_with_its_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, report("gru"))
    assert text.splitlines()[0] == "3 replays, 1,000 frames, 250 change frames"
    assert row(text, "NLL")[-6:] == ["2.0000", "1.5000", "0.0000", "0.9500", "…", "1.0500"]
    assert row(text, "accuracy")[-3:] == ["2.0000", "1.5000", "0.1000"]
    assert "different controllers (players: 2,414)" in text
    assert "seconds per million frames: gru 123 (46 of CPU)" in text


def test_several_runs_are_rows_and_what_is_real_has_a_star(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = ("nll", "accuracy", "change_nll", "change_accuracy", "stick_accuracy")
    found = dict.fromkeys(metrics) | {
        "nll": {"value": -0.1, "low": -0.2, "high": -0.05, "is_real": True},
        "accuracy": {"value": 0.0, "low": -0.1, "high": 0.1, "is_real": False},
    }
    text = shown(capsys, report("gru"), report("mlp"), differences=[{"run": "mlp", "than": "gru", **found}])
    assert row(text, "lookup")[1:] == ["1.5000"] * 7
    assert row(text, "mlp")[1:3] == ["0.0000", "0.1000"]
    assert [line.split()[-1] for line in text.splitlines() if "mlp less gru" in line] == ["*", "+0.1000"]
    assert max(map(len, text.splitlines())) <= 100


def test_a_run_without_a_lookup_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, report("old", lookup=False))
    assert row(text, "NLL")[-5] == "none"
    assert "old keeps no lookup" in text


def test_runs_of_two_codecs_are_told_not_to_compare(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, report("one"), report("two", codec="joint"))
    assert "These runs differ in their codecs" in text


def test_runs_of_two_delays_or_characters_are_told_what_that_means(capsys: pytest.CaptureFixture[str]) -> None:
    notes = ("The delays differ", "The characters differ")
    for other, expected in (({}, [False, False]), ({"delay": 2}, [True, False]), ({"character": "fox"}, [False, True])):
        text = shown(capsys, report("one"), report("two", **other))
        assert [note in text for note in notes] == expected


def test_the_next_step_of_a_run_whose_name_has_a_space_can_be_pasted() -> None:
    step = next_step({"is_interrupted": False, "run": "runs/my first"}, "my store", "test")
    assert step == 'exphil eval --policy "runs/my first" --store "my store" --split test'
