from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.errors import SchemaError
from dataset.schema import COLUMNS, Columns, Version
from dataset.store import frame_table
from dataset.store.frame_table import (
    FRAME_SCHEMA,
    FrameWriter,
    columns_from_table,
    missing_columns,
    read_replays,
    rows_digest,
    scan_frames,
    wrong_nulls,
)
from tests.dataset.builders import random_columns

OLD = (0, 1, 0)
NEW = (3, 19, 0)
LENGTHS = (40_000, 40_000, 30, 70_000, 5)
"""Two replays fill the first row group, two the second, one the last."""


def write(path: Path, replays: list[Columns]) -> list[int]:
    with FrameWriter(path, replays[0]) as writer:
        return [writer.write(str(number), columns) for number, columns in enumerate(replays)]


def assert_same(found: Columns, expected: Columns) -> None:
    assert found.keys() == expected.keys()
    for name, column in expected.items():
        assert found[name].dtype == column.dtype, name
        np.testing.assert_array_equal(found[name], column, err_msg=name)


@pytest.fixture(scope="module")
def long_shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frame shard of five replays in three row groups; each replay's percent is its number."""
    path = tmp_path_factory.mktemp("frames") / "frames-00000.parquet"
    columns = [random_columns(length, seed=number, version=OLD) for number, length in enumerate(LENGTHS)]
    write(path, [{**one, "a_percent": np.full_like(one["a_percent"], n)} for n, one in enumerate(columns)])
    return path


@pytest.fixture(scope="module")
def old_and_new(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two shards, one of Slippi 0.1 and one of Slippi 3.19."""
    folder = tmp_path_factory.mktemp("frames")
    paths = [folder / "old.parquet", folder / "new.parquet"]
    for path, version in zip(paths, (OLD, NEW), strict=True):
        with FrameWriter(path, random_columns(20, 0, version)) as writer:
            writer.write(path.stem, random_columns(20, 0, version))
    return paths


def rows_of_long_shard() -> list[dict[str, Any]]:
    starts = np.cumsum([0, *LENGTHS[:-1]]).tolist()
    return [
        {"id": str(n), "row_start": start, "frames": length}
        for n, (start, length) in enumerate(zip(starts, LENGTHS, strict=True))
    ]


def stored_replays(path: Path, rows: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Columns]]:
    return ((row, columns_from_table(table)) for row, table in read_replays(path, rows))


@pytest.mark.parametrize("version", [OLD, (2, 0, 1), (3, 4, 0), NEW])
def test_columns_of_every_version_come_back_from_parquet(tmp_path: Path, version: Version) -> None:
    replays = [random_columns(50, seed, version) for seed in range(3)]
    assert write(tmp_path / "f.parquet", replays) == [0, 50, 100]
    rows = [{"id": str(n), "row_start": 50 * n, "frames": 50} for n in range(3)]
    for (_, found), columns in zip(stored_replays(tmp_path / "f.parquet", rows), replays, strict=True):
        assert_same(found, columns)


def test_a_shard_has_the_columns_that_its_replays_record_in_the_order_of_the_schema(old_and_new: list[Path]) -> None:
    for path, version in zip(old_and_new, (OLD, NEW), strict=True):
        recorded = random_columns(1, 0, version)
        assert pq.read_schema(path).names == ["replay", *(c.name for c in COLUMNS if c.name in recorded)]


def test_only_what_tells_of_nana_may_be_null_in_a_shard(old_and_new: list[Path]) -> None:
    for field in pq.read_schema(old_and_new[1]):
        assert field.nullable == ("_nana_" in field.name and not field.name.endswith("nana_exists")), field.name


def test_polars_reads_what_a_version_lacks_as_null_and_what_it_has_not(old_and_new: list[Path]) -> None:
    frames = scan_frames(old_and_new).collect()
    assert frames.columns == FRAME_SCHEMA.names
    assert frames.schema == pl.DataFrame(FRAME_SCHEMA.empty_table()).schema
    nulls = frames.filter(pl.col("replay") == "old").null_count().row(0, named=True)
    for column in COLUMNS:
        if "_nana_" not in column.name:
            assert nulls[column.name] == (20 if column.since > OLD else 0), column.name
    new = frames.filter(pl.col("replay") == "new")
    assert new.select(pl.exclude("^._nana_.*$")).null_count().sum_horizontal().item() == 0
    assert new.filter(pl.col("a_nana_x").is_null() == pl.col("a_nana_exists")).height == 0


def test_a_condition_on_a_column_that_some_shards_lack_finds_the_rows_of_the_others(old_and_new: list[Path]) -> None:
    found = scan_frames(old_and_new).filter(pl.col("a_hitlag") > -1e9).select("replay").collect()
    assert found["replay"].unique().to_list() == ["new"]


def test_duckdb_reads_the_same_rows_by_the_names_of_the_columns(old_and_new: list[Path]) -> None:
    names = ", ".join(FRAME_SCHEMA.names)
    found = duckdb.execute(
        f"SELECT {names} FROM read_parquet($paths, union_by_name=true) ORDER BY replay DESC, frame",
        {"paths": [str(path) for path in old_and_new]},
    )
    assert (
        found.fetchall() == scan_frames(old_and_new).sort("replay", "frame", descending=[True, False]).collect().rows()
    )


def test_numbers_are_stored_without_dictionaries_and_statistics_where_a_query_may_use_them(
    old_and_new: list[Path],
) -> None:
    group = pq.ParquetFile(old_and_new[1]).metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    assert [name for name, column in columns.items() if column.has_dictionary_page] == ["replay"]
    split = [name for name, column in columns.items() if "BYTE_STREAM_SPLIT" in column.encodings]
    assert {"frame", "a_x", "b_nana_x", "item4_x", "a_shield", "b_main_y", "a_trigger_l", "b_buttons"} <= set(split)
    assert not {"a_y", "a_speed_y", "a_character", "a_nana_exists"} & set(split)
    assert [name for name, column in columns.items() if column.is_stats_set and column.statistics.has_min_max] == [
        *("replay", "frame", "stage", "a_character", "a_stocks", "b_character", "b_stocks")
    ]


def test_nulls_stand_where_there_is_nothing_to_tell_and_others_are_named(old_and_new: list[Path]) -> None:
    table = pq.read_table(old_and_new[1])
    assert wrong_nulls(table) == []
    exists = table["a_nana_exists"].to_numpy()
    for name, values in (
        ("a_percent", pa.array(np.zeros(20, np.float32), mask=np.arange(20) == 3)),
        ("a_nana_x", pa.array(np.zeros(20, np.float32))),
        ("a_nana_percent", pa.array(np.zeros(20, np.float32), mask=exists)),
    ):
        place = table.schema.get_field_index(name)
        assert wrong_nulls(table.set_column(place, pa.field(name, pa.float32()), values)) == [name]


def test_row_groups_never_cut_a_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_table, "ROW_GROUP_ROWS", 100)
    lengths = (60, 60, 10, 120, 5)
    write(tmp_path / "f.parquet", [random_columns(length, i) for i, length in enumerate(lengths)])
    metadata = pq.ParquetFile(tmp_path / "f.parquet").metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [120, 130, 5]


def test_every_replay_comes_with_its_own_rows_across_row_groups(long_shard: Path) -> None:
    found = [
        (row["id"], len(columns["frame"]), np.unique(columns["a_percent"]).tolist())
        for row, columns in stored_replays(long_shard, rows_of_long_shard())
    ]
    assert found == [(str(n), length, [float(n)]) for n, length in enumerate(LENGTHS)]


def test_replays_that_are_not_asked_for_are_skipped(long_shard: Path) -> None:
    assert [row["id"] for row, _ in read_replays(long_shard, rows_of_long_shard()[1::2])] == ["1", "3"]


@pytest.mark.parametrize("change", [{"row_start": 60_000}, {"frames": 50_000}, {"row_start": 999_999}])
def test_a_replay_that_lies_across_row_groups_or_beyond_is_refused_by_name(
    long_shard: Path, change: dict[str, int]
) -> None:
    first, second, *_ = rows_of_long_shard()
    with pytest.raises(SchemaError, match=r"shard frames-00000\.parquet: replay 1 must lie in rows"):
        list(read_replays(long_shard, [first, {**second, **change}]))


def test_a_column_that_a_replays_version_records_and_it_lacks_is_named() -> None:
    columns = random_columns(10, 0, NEW)
    assert missing_columns(columns, NEW) == []
    del columns["a_hitlag"], columns["b_nana_x"], columns["a_trigger_l"]
    assert missing_columns(columns, NEW) == ["a_hitlag"]
    assert missing_columns(columns, (3, 7, 0)) == []


def test_the_rows_digest_sees_every_value_and_every_missing_column() -> None:
    columns = random_columns(10, 0)
    changed = dict(columns)
    changed["b_y"] = columns["b_y"].copy()
    changed["b_y"][-1] += 1
    lacking = {name: column for name, column in columns.items() if name != "b_y"}
    reordered = dict(reversed(columns.items()))
    digests = [rows_digest(found) for found in (columns, changed, lacking)]
    assert len(set(digests)) == 3
    assert rows_digest(reordered) == digests[0]
