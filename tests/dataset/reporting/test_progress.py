import pytest

from dataset.reporting import progress
from dataset.reporting.progress import ProgressLines, with_progress


def test_lines_in_between_are_dropped_but_the_last_is_said() -> None:
    said: list[str] = []
    lines = ProgressLines(said.append)
    for done in range(1, 4):
        lines(f"{done} of 3", is_last=done == 3)
    assert said == ["3 of 3"]


def test_lines_go_to_stderr_once_it_is_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    ProgressLines()("frames: 1 of 2 shards")
    assert capsys.readouterr() == ("", "frames: 1 of 2 shards\n")


def test_work_passed_on_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    said: list[str] = []
    assert list(with_progress("abc", 3, "first, test", said.append)) == ["a", "b", "c"]
    assert said == [f"first, test: {done} of 3 batches" for done in range(3)]
