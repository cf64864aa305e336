from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dataset.errors import SchemaError
from dataset.schema import Columns
from dataset.store.frame_table import FrameWriter, columns_from_table
from dataset.store.rows import ReplayRow, ingested_rows, rows_by_shard, shard_tables
from tests.dataset.builders import random_columns

LENGTHS = (40_000, 40_000, 30, 70_000, 5)
"""Two replays fill the first row group, two the second, one the last."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frame shard of five replays in three row groups; each replay's percent is its number."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / "frames").mkdir()
    with FrameWriter(str(folder / "frames" / "frames-00000.parquet"), (0, 1, 0)) as writer:
        for number, length in enumerate(LENGTHS):
            columns = random_columns(length, seed=number, version=(0, 1, 0))
            writer.write(f"r{number}", {**columns, "a_percent": np.full(length, number, dtype=np.float32)})
    return folder


def stored_replays(folder: Path, rows: list[ReplayRow]) -> Iterator[tuple[ReplayRow, Columns]]:
    for shard, members in rows_by_shard(rows).items():
        for row, table in shard_tables(folder / shard, members):
            yield row, columns_from_table(table)


def _rows() -> list[dict[str, object]]:
    starts = np.cumsum([0, *LENGTHS[:-1]]).tolist()
    return [
        {"id": f"r{n}", "shard": "frames/frames-00000.parquet", "row_start": start, "frames": length}
        for n, (start, length) in enumerate(zip(starts, LENGTHS, strict=True))
    ]


def test_every_replay_comes_with_its_own_rows_across_row_groups(folder: Path) -> None:
    found = [
        (row["id"], len(columns["frame"]), np.unique(columns["a_percent"]).tolist())
        for row, columns in stored_replays(folder, _rows())
    ]
    assert found == [(f"r{n}", length, [float(n)]) for n, length in enumerate(LENGTHS)]


def test_replays_left_out_are_skipped(folder: Path) -> None:
    found = [row["id"] for row, _ in stored_replays(folder, _rows()[1::2])]
    assert found == ["r1", "r3"]


@pytest.mark.parametrize("change", [{"row_start": 60_000}, {"frames": 50_000}, {"row_start": 999_999}])
def test_a_replay_that_lies_across_row_groups_or_beyond_is_refused_by_name(
    folder: Path, change: dict[str, int]
) -> None:
    rows = [*_rows()[:1], {**_rows()[1], **change}]
    with pytest.raises(SchemaError, match=r"shard frames-00000\.parquet: replay r1 must lie in rows"):
        list(shard_tables(folder / "frames" / "frames-00000.parquet", rows))


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
        }
    )
    rows = ingested_rows(replays)
    assert [row["id"] for row in rows] == ["early", "late", "other"]
    shards = {shard: [row["id"] for row in members] for shard, members in rows_by_shard(rows).items()}
    assert shards == {"frames/frames-00000.parquet": ["early", "late"], "frames/frames-00001.parquet": ["other"]}


def test_random_columns_come_back_from_a_shard_as_they_went_in(tmp_path: Path) -> None:
    columns = random_columns(200, seed=7)
    with FrameWriter(str(tmp_path / "one.parquet"), (3, 19, 0)) as writer:
        writer.write("r0", columns)
    row = {"id": "r0", "shard": "one.parquet", "row_start": 0, "frames": 200}
    _, back = next(stored_replays(tmp_path, [row]))
    assert back.keys() == columns.keys()
    assert [name for name in columns if not np.array_equal(back[name], columns[name])] == []
    assert [name for name in columns if back[name].dtype != columns[name].dtype] == []
