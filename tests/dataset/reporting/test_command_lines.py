"""Commands as they are typed."""

import shlex

import pytest

from dataset.reporting.command_lines import typed


def test_words_that_need_no_quotes_have_none() -> None:
    assert typed("verify", "--store", "data/mewtwo") == "exphil verify --store data/mewtwo"


def test_a_space_takes_double_quotes_since_hints_stand_in_single_ones() -> None:
    assert typed("export", "runs/a b") == 'exphil export "runs/a b"'
    assert typed("encode", "--where", "") == 'exphil encode --where ""'


@pytest.mark.parametrize("word", ["", "a b", "it's", 'a "b"', "$HOME/a", "a!b", "x\\y", "character = 'fox'", "`a`"])
def test_a_shell_reads_back_the_same_words(word: str) -> None:
    assert shlex.split(typed("stats", word)) == ["exphil", "stats", word]
