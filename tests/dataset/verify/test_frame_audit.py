from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.codecs.registry import get_codec
from dataset.schema import Columns
from dataset.store.quality import QUALITY_SCHEMA
from dataset.store.store import Store
from dataset.verify.frame_audit import FrameAudit, contradictions
from tests.dataset.builders import exchange_sides, random_columns

CODEC = get_codec("axis17")
HINT = "; 'exphil encode --quality' writes it again"
FAULTS = ("order", "ids", "sticks", "triggers", "codec")


def _audit(changes: dict[str, tuple[int, Any]], **row: object) -> FrameAudit:
    """The audit of 40 random frames with single values changed: column name to (row, value)."""
    columns = random_columns(40, seed=3)
    columns["stage"][:] = 4
    for side in ("a", "b"):  # what no game records: Z with another trigger than its own
        columns[f"{side}_buttons"] = columns[f"{side}_buttons"] & ~np.uint16(0x0010)
    for name, (at, value) in changes.items():
        columns[name][at] = value
    audit = FrameAudit()
    audit.add({"id": "r1", "stage": 4, "type_a": "human", "type_b": "human", **row}, columns, CODEC)
    return audit


def _faults(audit: FrameAudit) -> dict[str, str]:
    return {name: getattr(audit, name).first for name in FAULTS if getattr(audit, name).count}


def test_frames_as_games_record_them_have_no_faults() -> None:
    audit = _audit({})
    assert (_faults(audit), audit.num_frames, audit.cpu_sticks) == ({}, 40, 0)


@pytest.mark.parametrize(
    ("changes", "rule", "words"),
    [
        ({"frame": (5, -119)}, "order", "replay r1, frame -119 is followed by -119"),
        ({"frame": (0, -124)}, "order", "replay r1 begins at frame -124"),
        ({"stage": (7, 3)}, "ids", "replay r1, frame -116: stage 3"),
        ({"a_character": (7, 33)}, "ids", "replay r1, frame -116: a_character 33"),
        ({"b_nana_action_state": (7, 1024)}, "ids", "replay r1, frame -116: b_nana_action_state 1024"),
        ({"item2_owner": (7, 2)}, "ids", "replay r1, frame -116: item2_owner 2"),
        ({"b_facing": (7, -2)}, "ids", "replay r1, frame -116: b_facing -2"),
        ({"a_main_x": (7, 22), "a_main_y": (7, 0)}, "sticks", "replay r1, side a: sticks [22, 0,"),
        ({"b_main_x": (7, 60), "b_main_y": (7, -54)}, "sticks", "replay r1, side b: sticks [60, -54,"),
        ({"b_c_x": (7, -128), "b_c_y": (7, 0)}, "sticks", ", -128, 0]/80"),
        ({"a_trigger": (7, 42), "a_buttons": (7, 0)}, "triggers", "replay r1, side a: trigger [42]/140"),
        ({"a_trigger": (7, 255), "a_buttons": (7, 0)}, "triggers", "replay r1, side a: trigger [255]/140"),
        ({"a_trigger": (7, 70), "a_buttons": (7, 0x0040)}, "codec", "replay r1, side a: controller [["),
    ],
)
def test_a_broken_rule_is_counted_and_told_in_words(changes: dict[str, tuple[int, Any]], rule: str, words: str) -> None:
    faults = _faults(_audit(changes))
    assert words in faults[rule]
    assert faults.keys() == {rule}


def test_a_computer_players_stick_is_counted_apart() -> None:
    audit = _audit({"a_main_x": (7, 5), "a_main_y": (7, 0)}, type_a="cpu")
    assert (_faults(audit), audit.cpu_sticks) == ({}, 1)


def test_non_finite_values_are_counted_by_column() -> None:
    audit = _audit({"a_x": (3, np.nan), "b_misc": (4, np.inf)})
    assert {name: count for name, count in audit.non_finite.items() if count} == {"a_x": 1, "b_misc": 1}


def test_a_column_is_constant_only_if_no_replay_varies_it() -> None:
    columns = random_columns(40, seed=3)
    columns["stage"][:] = 4
    audit = FrameAudit()
    for percent in (0.0, 7.0):
        columns["a_percent"] = np.full(40, percent, dtype=np.float32)
        columns["b_percent"] = np.full(40, 3.0, dtype=np.float32)
        columns.pop("b_hitlag", None)
        audit.add({"id": "r1", "stage": 4, "type_a": "human", "type_b": "human"}, columns, CODEC)
    assert {"b_percent", "b_hitlag", "stage"} <= set(audit.constant)
    assert {"a_percent", "a_x", "frame"}.isdisjoint(audit.constant)


@pytest.fixture(scope="module")
def game(generated_store: Path) -> tuple[dict[str, Any], Columns]:
    """Row and columns of Mewtwo (side a) against Marth."""
    store = Store(generated_store)
    row = next(row for row in store.replays().collect().to_dicts() if row["character_b"] == 18)
    return row, store.columns(row["id"])


def test_a_row_as_ingest_wrote_it_agrees_with_its_frames(game: tuple[dict[str, Any], Columns]) -> None:
    assert contradictions(*game) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("stocks_a", 9, "stocks_a is 9, its frames say"),
        ("damage_b", 0.5, "damage_b is 0.5, its frames say"),
        ("seconds", 41.0, "seconds is 41.0, its frames say 40.0"),
        ("frame_gaps", 2, "frame_gaps is 2, its frames say 0"),
        ("frames_resimulated", 1, "frames_resimulated is 1, its frames say 0"),
        ("stocks_b", None, "stocks_b is None, its frames say"),
        ("character_a", 1, "character_a is 1, its frames say [16]"),
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


def test_a_repaired_replay_may_have_lost_frames_behind_its_last(game: tuple[dict[str, Any], Columns]) -> None:
    row, columns = game
    found = contradictions({**row, "frame_gaps": row["frame_gaps"] + 2, "repaired": "events"}, columns)
    assert [words for words in found if words.startswith("frame_gaps")] == []
    assert "frame_gaps is -1" in contradictions({**row, "frame_gaps": -1, "repaired": "events"}, columns)[0]


@pytest.mark.parametrize(
    ("ending", "stocks", "percents", "winner"),
    [
        ({}, (2, 0), (0, 0), "a"),
        ({"end_method": "game"}, (0, 0), (0, 0), None),
        ({"end_method": "time"}, (2, 1), (150, 0), "a"),
        ({"end_method": "time"}, (2, 2), (45.9, 45.2), None),
        ({"end_method": "time"}, (2, 2), (46.0, 45.9), "b"),
        ({"end_method": "nocontest", "quitter": "b"}, (1, 4), (0, 0), "a"),
    ],
)
def test_a_winner_whom_the_frames_contradict_is_named(
    game: tuple[dict[str, Any], Columns],
    ending: dict[str, str],
    stocks: tuple[int, int],
    percents: tuple[float, float],
    winner: str | None,
) -> None:
    row, columns = game
    at_end = {name: columns[name].copy() for name in ("a_stocks", "b_stocks", "a_percent", "b_percent")}
    for side in (0, 1):
        at_end[f"{'ab'[side]}_stocks"][-1], at_end[f"{'ab'[side]}_percent"][-1] = stocks[side], percents[side]
    row = {**row, "end_method": None, "quitter": None, **ending}
    for other in ("a", "b", None):
        found = [
            words for words in contradictions({**row, "winner": other}, {**columns, **at_end}) if "winner" in words
        ]
        assert found == ([] if other == winner else [f"winner is {other}, its frames say {winner}{HINT}"])


def test_exchanged_players_are_noticed(game: tuple[dict[str, Any], Columns]) -> None:
    row, columns = game
    assert contradictions(row, exchange_sides(columns))[:2] == [
        "character_a is 16, its frames say [18]",
        "character_b is 18, its frames say [16]",
    ]


def test_zelda_may_become_sheik_and_nobody_else_anyone(game: tuple[dict[str, Any], Columns]) -> None:
    row, columns = game
    both = {**columns, "a_character": np.where(columns["frame"] < 300, 19, 7).astype(np.uint8)}
    assert contradictions({**row, "character_a": 7}, both) == []
    assert contradictions(row, both) == ["character_a is 16, its frames say [7, 19]"]


def test_a_column_that_the_version_records_and_the_frames_lack_is_named(game: tuple[dict[str, Any], Columns]) -> None:
    row, columns = game
    cut = {name: column for name, column in columns.items() if name != "b_hitlag"}
    assert contradictions(row, cut) == ["version is 3.18.0, which has b_hitlag"]


def test_quality_that_was_never_written_is_no_contradiction(game: tuple[dict[str, Any], Columns]) -> None:
    row, columns = game
    assert contradictions({**row, **dict.fromkeys(QUALITY_SCHEMA.names)}, columns) == []
    assert contradictions({name: row[name] for name in row if name not in QUALITY_SCHEMA.names}, columns) == []
