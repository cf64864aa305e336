from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.errors import ReplayError
from dataset.schema import COLUMNS, Columns
from dataset.store import frame_table as arrow
from dataset.store.frame_table import FRAME_SCHEMA, FrameWriter, columns_from_table, rows_digest, wrong_nulls
from tests.dataset.builders import random_columns

OLD = (0, 1, 0)
NEW = (3, 19, 0)


def write(path: Path, replays: list[Columns], oldest: tuple[int, int, int] = OLD) -> list[int]:
    with FrameWriter(str(path), oldest) as writer:
        return [writer.write(str(number), columns) for number, columns in enumerate(replays)]


def assert_same(found: Columns, expected: Columns) -> None:
    assert found.keys() == expected.keys()
    for name, column in expected.items():
        assert found[name].dtype == column.dtype, name
        np.testing.assert_array_equal(found[name], column, err_msg=name)


@pytest.mark.parametrize("version", [OLD, (2, 0, 1), (3, 4, 0), NEW])
def test_columns_of_every_version_come_back_from_parquet(tmp_path: Path, version: tuple[int, int, int]) -> None:
    replays = [random_columns(50, seed, version) for seed in range(3)]
    starts = write(tmp_path / "f.parquet", replays, version)
    table = pq.read_table(tmp_path / "f.parquet")
    assert starts == [0, 50, 100]
    assert table.schema.names == FRAME_SCHEMA.names
    for start, columns in zip(starts, replays, strict=True):
        assert_same(columns_from_table(table.slice(start, 50)), columns)


def test_what_a_version_lacks_is_null_and_what_it_has_is_not(tmp_path: Path) -> None:
    write(tmp_path / "f.parquet", [random_columns(20, 0, NEW), random_columns(20, 1, OLD)])
    frames = pl.read_parquet(tmp_path / "f.parquet")
    nulls = frames.filter(pl.col("replay") == "1").null_count().row(0, named=True)
    for column in COLUMNS:
        if "_nana_" not in column.name:
            assert nulls[column.name] == (20 if column.since > OLD else 0), column.name
    new = frames.filter(pl.col("replay") == "0")
    assert new.select(pl.exclude("^._nana_.*$")).null_count().sum_horizontal().item() == 0
    assert new.filter(pl.col("a_nana_x").is_null() == pl.col("a_nana_exists")).height == 0


def test_nulls_stand_where_there_is_nothing_to_tell_and_others_are_named(tmp_path: Path) -> None:
    write(tmp_path / "f.parquet", [random_columns(20, 0, NEW)])
    table = pq.read_table(tmp_path / "f.parquet")
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
    monkeypatch.setattr(arrow, "ROW_GROUP_ROWS", 100)
    lengths = (60, 60, 10, 120, 5)
    write(tmp_path / "f.parquet", [random_columns(length, i) for i, length in enumerate(lengths)])
    metadata = pq.ParquetFile(tmp_path / "f.parquet").metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [120, 130, 5]


def test_a_replay_that_lacks_what_its_version_records_is_refused(tmp_path: Path) -> None:
    columns = random_columns(10, 0, NEW)
    del columns["a_hitlag"]
    with pytest.raises(ReplayError, match="records a_hitlag, found nothing there"):
        write(tmp_path / "f.parquet", [columns], NEW)
    assert write(tmp_path / "f.parquet", [columns], (3, 7, 0)) == [0]


def test_the_id_is_plain_text_for_every_reader(tmp_path: Path) -> None:
    write(tmp_path / "f.parquet", [random_columns(10, 0)])
    assert pl.read_parquet(tmp_path / "f.parquet").schema["replay"] == pl.String


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
