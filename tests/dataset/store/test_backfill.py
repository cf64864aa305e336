from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from dataset.errors import ConfigError, SchemaError
from dataset.io.atomic import sha256_of
from dataset.schema import Columns
from dataset.store.backfill import derive, encode_quality
from dataset.store.location import REPLAYS_NAME
from dataset.store.manifest import Manifest
from dataset.store.quality import QUALITY_SCHEMA
from dataset.store.reencode import encode_windows
from dataset.store.replay_table import save_replays
from dataset.store.store import Store
from dataset.verify.verify import verify


def rows_of(store: Path) -> list[dict[str, Any]]:
    return Store(store).replays().collect().to_dicts()


def test_a_store_made_before_there_was_quality_gets_it_without_its_replays(store: Path) -> None:
    expected, manifest = rows_of(store), Manifest.load(store)
    old = pl.read_parquet(store / REPLAYS_NAME).drop(QUALITY_SCHEMA.names)
    old.write_parquet(store / REPLAYS_NAME)
    changed = Manifest.from_json(
        manifest.to_json().replace(manifest.replays_sha256, sha256_of(store / REPLAYS_NAME)), ""
    )
    changed.save(store)
    report = encode_quality(store)
    assert (report.replays, report.left, report.frames) == (6, 0, 14_400)
    assert rows_of(store) == expected
    renewed = Manifest.load(store)
    assert (renewed.digest, renewed.shards) == (manifest.digest, manifest.shards)
    assert {check.name for check in verify(store).checks if not check.ok} <= {"leak"}


def test_any_column_is_computed_from_a_replays_own_rows(store: Path) -> None:
    def frames_in_air(columns: Columns, row: Mapping[str, Any]) -> dict[str, Any]:
        assert len(columns["frame"]) == row["frames"]
        return {"sds_a": int(columns["a_y"].any()), "detail": f"{columns['stage'][0]} {row['stage']}"}

    derive(store, frames_in_air)
    assert all(len(set(row["detail"].split())) == 1 for row in rows_of(store))


def test_rows_without_frames_are_left_as_they_are(store: Path) -> None:
    rows, manifest = rows_of(store), Manifest.load(store)
    rejected = dict.fromkeys(rows[0]) | {
        "id": "0" * 32,
        "source": "x",
        "status": "rejected",
        "reason": "teams",
    }
    save_replays(store, [*rows, rejected], manifest, manifest)
    assert encode_quality(store).left == 1
    assert [row for row in rows_of(store) if row["status"] == "rejected"] == [rejected]


def test_a_frame_shard_that_is_not_the_listed_one_is_refused_before_anything_is_written(store: Path) -> None:
    before = (store / REPLAYS_NAME).read_bytes()
    shard = store / "frames/frames-00001.parquet"
    pq.write_table(pq.read_table(shard), shard, compression="gzip")
    with pytest.raises(SchemaError, match=r"shard frames/frames-00001\.parquet: must be the file the manifest lists"):
        encode_quality(store)
    assert (store / REPLAYS_NAME).read_bytes() == before


def test_a_store_whose_condition_would_choose_other_replays_is_refused_and_left_alone(store: Path) -> None:
    shortest = min(row["inputs_per_minute_a"] for row in rows_of(store))
    encode_windows(store, where=f"inputs_per_minute_a > {shortest}")
    before, manifest = (store / REPLAYS_NAME).read_bytes(), Manifest.load(store)
    assert encode_quality(store).replays == 6  # the same columns choose the same replays
    assert Manifest.load(store).left_replays == manifest.left_replays > 0
    with pytest.raises(ConfigError, match="found others that pass by the new columns; run 'exphil encode"):
        derive(store, lambda columns, row: {"inputs_per_minute_a": shortest})
    assert (store / REPLAYS_NAME).read_bytes() == before
