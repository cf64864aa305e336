from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from dataset.errors import ConfigError
from dataset.store.replay_table import (
    MAX_TEXT,
    REPLAY_SCHEMA,
    check_where,
    fitted,
    ingested_rows,
    left_out,
    passing,
    rows_by_shard,
)

ROWS: list[dict[str, Any]] = [
    {
        "id": "r0",
        "frames": 3000,
        "quality_a": 0.25,
        "ranks": "master-diamond",
        "is_handwarmer": False,
        "version": "3.9.0",
    },
    {"id": "r1", "frames": 7000, "quality_a": 0.75, "ranks": None, "is_handwarmer": True, "version": "3.18.0"},
    {"id": "r2", "frames": 9000, "quality_a": None, "ranks": "gold-gold", "is_handwarmer": False, "version": None},
]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("", [True, True, True]),
        ("frames > 3000", [False, True, True]),
        ("quality_a > 0.5", [False, True, False]),
        ("quality_a is null or quality_a < 0.5", [True, False, True]),
        ("coalesce(quality_a, 1) > 0.5 and not is_handwarmer", [False, False, True]),
        ("ranks like 'master%' or frames between 8000 and 10000", [True, False, True]),
        ("id in ('r0', 'r2')", [True, False, True]),
        ("case when frames > 8000 then true else false end", [False, False, True]),
        ("1 = 1", [True, True, True]),
    ],
)
def test_a_replay_passes_where_the_condition_is_true_of_its_row(where: str, expected: list[bool]) -> None:
    assert passing(ROWS, where) == expected
    assert [passing([row], where)[0] for row in ROWS] == expected
    check_where(ROWS, where)


def test_what_does_not_pass_is_told_with_its_frames() -> None:
    assert left_out(ROWS, "frames = 7000") == {"r0": 3000, "r2": 9000}
    assert left_out(ROWS, "") == {}
    assert left_out([], "frames > 1") == {}


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("quality > 0.5", r'--where \'quality > 0.5\': must be .* unable to find column "quality"'),
        ("quality_a >", "unable to parse"),
        ("quality_a", "found a value of type Float32"),
        ("frames = 3; drop table x", "unexpected token"),
        ("frames > (select max(frames) from replays)", "relation 'replays' was not found"),
        ("version = 3", "cannot compare string with numeric"),
        ("mtime > 0", 'unable to find column "mtime"'),
        ("row_start = 0", 'unable to find column "row_start"'),
    ],
)
def test_what_is_no_condition_over_a_replay_is_refused_and_the_columns_are_listed(where: str, words: str) -> None:
    for check in (passing, check_where):
        with pytest.raises(ConfigError, match=words) as caught:
            check(ROWS, where)
        assert "the columns are id (string), " in str(caught.value)
        assert str(caught.value).count("quality_b") == 1


@pytest.mark.parametrize(
    "where", ["1" + "+1" * 400 + " > 0", "frames = 1" + " or frames = 2" * 200, "frames > 1" + " " * 10_000]
)
def test_a_condition_that_polars_would_take_minutes_for_is_refused_at_once(where: str) -> None:
    with pytest.raises(ConfigError, match=r"--where: must be .* at most 400 words and signs"):
        passing(ROWS, where)


def test_a_condition_may_list_many_replays() -> None:
    assert passing(ROWS, "id not in (" + ", ".join(f"'{number:032}'" for number in range(250)) + ")") == [True] * len(
        ROWS
    )


def test_a_condition_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(ConfigError, match="--where: must be Unicode"):
        passing(ROWS, "\udcff")


def test_a_condition_on_which_polars_panics_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be a condition as SQL writes it"):
        passing(ROWS, "greatest() > 1")


@pytest.mark.parametrize("where", ["frames >= avg(frames)", "row_number() over (order by frames) < 3"])
def test_a_condition_that_compares_replays_is_refused(where: str) -> None:
    with pytest.raises(ConfigError, match="must judge each replay by its own row, found one that compares"):
        check_where(ROWS, where)


def test_a_condition_that_nothing_passes_is_refused() -> None:
    with pytest.raises(ConfigError, match="let at least one of 3 replays pass, found none; widen it"):
        check_where(ROWS, "frames > 10000")


def test_ingested_rows_are_those_in_the_store_in_stored_order() -> None:
    replays = pl.LazyFrame(
        {
            "id": ["late", "rejected", "early", "other"],
            "status": ["ok", "rejected", "ok", "ok"],
            "shard": [
                "frames/frames-00000.parquet",
                None,
                "frames/frames-00000.parquet",
                "frames/frames-00001.parquet",
            ],
            "row_start": [100, None, 0, 0],
            "split": ["train", None, "val", "test"],
            "frames": [50, 20, 100, 7],
            "rows_digest": ["x", None, "y", "z"],
        }
    )
    rows = ingested_rows(replays)
    assert [row["id"] for row in rows] == ["early", "late", "other"]
    shards = {shard: [row["id"] for row in members] for shard, members in rows_by_shard(rows).items()}
    assert shards == {"frames/frames-00000.parquet": ["early", "late"], "frames/frames-00001.parquet": ["other"]}


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("started_at", "2026-01-01", "2026-01-01"),
        ("started_at", 5, None),
        ("started_at", {"a": 1}, None),
        ("detail", "a\ud800\udc83", "a\\ud800\\udc83"),
        ("detail", "x" * (MAX_TEXT + 1), "x" * MAX_TEXT),
        ("game_number", 2**31 - 1, 2**31 - 1),
        ("game_number", 2**31, None),
        ("tiebreaker", -(2**31) - 1, None),
        ("mtime", 2**63, None),
        ("size", -1, -1),
        ("stage", -1, None),
        ("stocks_a", np.uint8(4), 4),
        ("stocks_a", 256, None),
        ("frames", True, None),
        ("frames", 1.0, None),
        ("seconds", np.float32(0.5), 0.5),
        ("seconds", 7, 7.0),
        ("damage_a", float("nan"), None),
        ("damage_a", 1e39, None),
        ("damage_a", "12", None),
        ("is_pal", True, True),
        ("is_pal", 1, None),
        ("winner", None, None),
    ],
)
def test_a_row_is_fitted_to_what_the_table_can_hold(column: str, value: object, expected: object) -> None:
    found = fitted({column: value})
    assert found == {column: expected}
    pa.Table.from_pylist([found], schema=REPLAY_SCHEMA)
