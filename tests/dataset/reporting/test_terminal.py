"""Commands to paste, and progress in lines."""

import shlex

import pytest

from dataset.reporting import terminal
from dataset.reporting.terminal import ProgressLines, command_line, with_progress


def test_words_that_need_no_quotes_have_none() -> None:
    assert command_line("verify", "--store", "data/mewtwo") == "exphil verify --store data/mewtwo"


def test_a_space_takes_double_quotes_since_hints_stand_in_single_ones() -> None:
    assert command_line("export", "runs/a b") == 'exphil export "runs/a b"'
    assert command_line("encode", "--where", "") == 'exphil encode --where ""'


@pytest.mark.parametrize("word", ["", "a b", "it's", 'a "b"', "$HOME/a", "a!b", "x\\y", "character = 'fox'", "`a`"])
def test_a_shell_reads_back_the_same_words(word: str) -> None:
    assert shlex.split(command_line("stats", word)) == ["exphil", "stats", word]


def test_lines_in_between_are_dropped_but_the_last_is_said() -> None:
    said: list[str] = []
    lines = ProgressLines(said.append)
    for done in range(1, 4):
        lines(f"{done} of 3", is_last=done == 3)
    assert said == ["3 of 3"]


def test_lines_go_to_stderr_once_it_is_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "LINE_EVERY_S", 0.0)
    ProgressLines()("frames: 1 of 2 shards")
    assert capsys.readouterr() == ("", "frames: 1 of 2 shards\n")


def test_work_passed_on_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "LINE_EVERY_S", 0.0)
    said: list[str] = []
    assert list(with_progress("abc", 3, "first, test", said.append)) == ["a", "b", "c"]
    assert said == [f"first, test: {done} of 3 batches" for done in range(3)]
