from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.schema import Columns
from dataset.store.quality import QUALITY_SCHEMA
from dataset.store.store import Store
from dataset.verify.row_audit import contradictions
from tests.dataset.builders import exchange_sides


@pytest.fixture(scope="module")
def game(generated_store: Path) -> tuple[dict[str, Any], Columns]:
    """Row and columns of Mewtwo (side a) against Marth."""
    store = Store(generated_store)
    row = next(row for row in store.replays().collect().to_dicts() if row["character_b"] == 18)
    return row, store.columns(row["id"])


def test_a_row_as_ingest_wrote_it_is_what_its_frames_tell(game: tuple[dict[str, Any], Columns]) -> None:
    assert contradictions(*game) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("stocks_a", 9, "stocks_a is 9, its frames tell"),
        ("damage_b", 0.5, "damage_b is 0.5, its frames tell"),
        ("seconds", 41.0, "seconds is 41.0, its frames tell 40.0"),
        ("frame_gaps", 2, "frame_gaps is 2, its frames tell 0"),
        ("frames_resimulated", 1, "frames_resimulated is 1, its frames tell 0"),
        ("stocks_b", None, "stocks_b is None, its frames tell"),
        ("character_a", 1, "character_a is 1, its frames tell [16]"),
        ("quality_b", 2.0, "'exphil encode --quality' writes it again"),
        ("version", "3.2.0", "version is 3.2.0, which has no "),
        ("version", "3.4.0", "version is 3.4.0, which has no a_speed_air_x"),
    ],
)
def test_a_value_that_the_frames_tell_otherwise_is_named(
    game: tuple[dict[str, Any], Columns], name: str, value: object, words: str
) -> None:
    row, columns = game
    assert words in contradictions({**row, name: value}, columns)[0]


def test_a_winner_whom_the_stocks_contradict_is_named(game: tuple[dict[str, Any], Columns]) -> None:
    row, columns = game
    stocks = {"a_stocks": np.full(row["frames"], 2, np.uint8), "b_stocks": np.zeros(row["frames"], np.uint8)}
    told = contradictions({**row, "winner": "b"}, {**columns, **stocks})
    assert "winner is b, its frames tell a" in told


def test_exchanged_players_are_noticed(game: tuple[dict[str, Any], Columns]) -> None:
    row, columns = game
    assert contradictions(row, exchange_sides(columns))[:2] == [
        "character_a is 16, its frames tell [18]",
        "character_b is 18, its frames tell [16]",
    ]


def test_zelda_may_become_sheik_and_nobody_else_anyone(game: tuple[dict[str, Any], Columns]) -> None:
    row, columns = game
    both = {**columns, "a_character": np.where(columns["frame"] < 300, 19, 7).astype(np.uint8)}
    assert contradictions({**row, "character_a": 7}, both) == []
    assert contradictions(row, both) == ["character_a is 16, its frames tell [7, 19]"]


def test_a_column_that_the_version_records_and_the_frames_lack_is_named(game: tuple[dict[str, Any], Columns]) -> None:
    row, columns = game
    cut = {name: column for name, column in columns.items() if name != "b_hitlag"}
    assert contradictions(row, cut) == ["version is 3.18.0, which has b_hitlag"]


def test_quality_that_was_never_written_is_no_contradiction(game: tuple[dict[str, Any], Columns]) -> None:
    row, columns = game
    assert contradictions({**row, **dict.fromkeys(QUALITY_SCHEMA.names)}, columns) == []
    assert contradictions({name: row[name] for name in row if name not in QUALITY_SCHEMA.names}, columns) == []
