"""Commands as they are typed."""

import shlex

import pytest

from dataset.reporting.command_lines import command_line


def test_words_that_need_no_quotes_have_none() -> None:
    assert command_line("verify", "--store", "data/mewtwo") == "exphil verify --store data/mewtwo"


def test_a_space_takes_double_quotes_since_hints_stand_in_single_ones() -> None:
    assert command_line("export", "runs/a b") == 'exphil export "runs/a b"'
    assert command_line("encode", "--where", "") == 'exphil encode --where ""'


@pytest.mark.parametrize("word", ["", "a b", "it's", 'a "b"', "$HOME/a", "a!b", "x\\y", "character = 'fox'", "`a`"])
def test_a_shell_reads_back_the_same_words(word: str) -> None:
    assert shlex.split(command_line("stats", word)) == ["exphil", "stats", word]
