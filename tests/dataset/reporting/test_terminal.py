"""Commands to paste, and progress in lines."""

import io
import shlex

import pytest
from rich.console import Console
from rich.table import Table

from dataset.reporting import terminal
from dataset.reporting.terminal import ProgressLines, command_line, make_rich_printable, printable, with_progress


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


def test_what_a_terminal_would_obey_is_spelt_out_and_all_else_stays() -> None:
    assert printable("a\x1b[2J\x07\r\x7f\x9b\u202e\u2066\udcff") == r"a\x1b[2J\x07\x0d\x7f\x9b\u202e\u2066\udcff"
    assert printable("Ünï ファルコ 🦊\tand\nmore") == "Ünï ファルコ 🦊\tand\nmore"
    assert printable("and\nmore", is_one_line=True) == r"and\nmore"
    assert command_line("verify", "--store", "a\x1b[2J") == r"exphil verify --store 'a\x1b[2J'"


def test_rich_spells_it_out_too() -> None:
    make_rich_printable()
    table = Table("name\x1b[2J")
    table.add_row("row\x1b]0;title\x07 🦊")
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system="truecolor", width=80)
    console.print(table)
    console.print("line\x9b2J\udcff", style="bold red")
    assert not {"\x07", "\x9b", "\udcff"} & set(stream.getvalue())
    assert r"name\x1b[2J" in stream.getvalue()
    assert "\x1b[2J" not in stream.getvalue()
    assert "🦊" in stream.getvalue()
    assert "\x1b[1;31m" in stream.getvalue(), "rich's own colours stay"
