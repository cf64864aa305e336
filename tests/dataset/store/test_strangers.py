"""Stores whose tables a stranger wrote, with the very hashes that their manifest lists: an error, or a check that fails."""

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.errors import ExphilError, SchemaError
from dataset.stats import queries
from dataset.store.manifest import Manifest
from dataset.store.reencode import encode_quality, encode_windows
from dataset.store.replay_table import REPLAYS_NAME, readable
from dataset.store.store import Store
from dataset.verify.verify import verify

FRAMES = "frames/frames-00000.parquet"


def relist(store: Path) -> None:
    """Make the manifest list the files as they are."""
    manifest = Manifest.load(store)

    def listed(path: str) -> dict[str, object]:
        data = (store / path).read_bytes()
        return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    shards = tuple(replace(shard, **listed(shard.path)) for shard in manifest.shards)  # type: ignore[arg-type]
    table = hashlib.sha256((store / REPLAYS_NAME).read_bytes()).hexdigest()
    replace(manifest, shards=shards, replays_sha256=table).save(store)


def column(name: str, value: object, kind: pl.DataType | type[pl.DataType] | None = None) -> pl.Expr:
    return pl.lit(value, kind).alias(name)


TABLES = {
    "split that leads out": column("split", "../../victim"),
    "split of the root": column("split", "/tmp/victim"),
    "no split": column("split", None, pl.String),
    "shard that leads out": column("shard", "../victim.parquet"),
    "shard of another store": column("shard", "frames/frames-00099.parquet"),
    "row_start below 0": column("row_start", -1, pl.Int64),
    "no row_start": column("row_start", None, pl.Int64),
    "row_start without end": column("row_start", 2**62, pl.Int64),
    "frames below 0": column("frames", -1, pl.Int32),
    "no frames": column("frames", None, pl.Int32),
    "frames 2^31": column("frames", 2**31 - 1, pl.Int32),
    "frames of text": column("frames", "many"),
    "no id": column("id", None, pl.String),
    "version of words": column("version", "x.y"),
    "no version": column("version", None, pl.String),
    "stage 255": column("stage", 255, pl.UInt8),
    "no ports": column("port_a", None, pl.UInt8),
    "character 255": column("character_a", 255, pl.UInt8),
    "non_finite that is no JSON": column("non_finite", "[" * 3000),
}


@pytest.mark.parametrize("change", TABLES.values(), ids=TABLES)
def test_a_table_of_replays_that_lies_is_refused_and_nothing_is_written_elsewhere(store: Path, change: pl.Expr) -> None:
    pl.read_parquet(store / REPLAYS_NAME).with_columns(change).write_parquet(store / REPLAYS_NAME)
    relist(store)
    id_ = Store(store).manifest.digest
    with suppress(ExphilError):
        id_ = str(Store(store).replays().select("id").collect().item(0, 0))
    with suppress(ExphilError):
        assert change.meta.output_name() == "non_finite" or not verify(store).ok
    around = set(store.parent.rglob("*")) - set(store.rglob("*"))
    for ask in (
        lambda: Store(store).columns(id_),
        *(
            lambda name=name: queries.query(Store(store), name)
            for name in ("summary", "characters", "quality", "actions")
        ),
        lambda: encode_quality(store),
        lambda: encode_windows(store),
    ):
        with suppress(ExphilError):
            ask()
    assert set(store.parent.rglob("*")) - set(store.rglob("*")) == around
    assert not Path("/tmp/victim-000002.tar").exists()


def put(table: pa.Table, name: str, value: int) -> pa.Table:
    values = pa.array(np.full(len(table), value), pa.int64()).cast(table[name].type, safe=False)
    return table.set_column(table.column_names.index(name), table.schema.field(name), values)


SHARDS: dict[str, Callable[[pa.Table], pa.Table]] = {
    "stage 255": lambda table: put(table, "stage", 255),
    "action state 65535": lambda table: put(table, "a_action_state", 65535),
    "character 255": lambda table: put(table, "b_character", 255),
    "item kind 65535": lambda table: put(table, "item0_kind", 65535),
    "frames that stand still": lambda table: put(table, "frame", -123),
    "sticks beyond": lambda table: put(table, "a_main_x", -128),
    "frame of text": lambda table: table.set_column(1, "frame", table["frame"].cast(pa.string())),
    "a stage of floats": lambda table: table.set_column(
        table.column_names.index("stage"), "stage", table["stage"].cast(pa.float64())
    ),
    "no frame column": lambda table: table.drop_columns(["frame"]),
    "no column of a side": lambda table: table.drop_columns([n for n in table.column_names if n.startswith("a_")]),
    "a column more": lambda table: table.append_column("b_luck", table["a_x"]),
    "half the rows": lambda table: table.slice(0, len(table) // 2),
    "no rows": lambda table: table.slice(0, 0),
}


@pytest.mark.parametrize("change", SHARDS.values(), ids=SHARDS)
def test_a_frame_shard_that_lies_is_an_error_or_fails_a_check(
    store: Path, change: Callable[[pa.Table], pa.Table]
) -> None:
    table = pq.read_table(store / FRAMES)
    pq.write_table(change(table), store / FRAMES, row_group_size=len(table))
    relist(store)
    assert not verify(store).ok
    opened = Store(store)
    for id_ in opened.replays().select("id").collect()["id"]:
        with suppress(ExphilError):
            opened.columns(id_)
    for ask in (lambda: queries.query(opened, "actions"), lambda: encode_quality(store), lambda: encode_windows(store)):
        with suppress(ExphilError):
            ask()


@pytest.mark.parametrize("name", [FRAMES, REPLAYS_NAME])
@pytest.mark.parametrize("place", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0], ids=str)
def test_flipped_bytes_of_a_parquet_file_are_an_error_whatever_the_hash_says(
    store: Path, name: str, place: float
) -> None:
    data = bytearray((store / name).read_bytes())
    start = int(place * (len(data) - 40))
    data[start : start + 40] = bytes(byte ^ 0xFF for byte in data[start : start + 40])
    (store / name).write_bytes(data)
    relist(store)
    for ask in (
        lambda: verify(store),
        lambda: queries.query(Store(store), "actions"),
        lambda: queries.query(Store(store), "summary"),
        lambda: encode_quality(store),
        lambda: encode_windows(store),
    ):
        with suppress(ExphilError):
            ask()


@pytest.mark.parametrize("name", [FRAMES, REPLAYS_NAME])
def test_what_is_no_parquet_is_named(store: Path, name: str) -> None:
    (store / name).write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    relist(store)
    with pytest.raises(SchemaError, match="must be Parquet as exphil writes it, found damage"):
        Store(store).frames() if name == FRAMES else Store(store).replays()


def test_an_error_of_pyarrow_that_is_none_of_the_disk_is_damage() -> None:
    with pytest.raises(SchemaError, match="the table: must be Parquet"), readable("the table"):
        raise OSError("Invalid flatbuffers message.")
    with pytest.raises(PermissionError), readable("the table"):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_panic_of_polars_prints_no_backtrace(capfd: pytest.CaptureFixture[str]) -> None:
    def panic() -> None:
        os.write(2, b"thread panicked at lib.rs:1\n")
        raise pl.exceptions.PanicException("range.end")

    with pytest.raises(SchemaError, match="the table: must be Parquet"), readable("the table"):
        panic()
    os.write(2, b"after it\n")
    assert capfd.readouterr().err == "after it\n"
