"""A store's replays one after the other: what verify and encode walk over.

In: a store's folder and manifest. Out: for every ingested replay its row of the table of replays and its columns, one
Parquet row group in memory at a time. The surprise: nothing here asks whether the windows still fit this encoder, so a store
whose encoder has changed can be walked and encoded again.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from dataset.codecs.base import Codec
from dataset.errors import SchemaError
from dataset.features.encoder import encode_columns
from dataset.features.layout import kept_columns
from dataset.schema import SIDES, Columns, controller_matrix
from dataset.stream.window_shards import Sample

ReplayRow = dict[str, Any]
"""One row of ``replays.parquet`` by column name."""


def ingested_rows(replays: pl.LazyFrame) -> list[ReplayRow]:
    """Rows with status ``ok`` in the order in which their frames lie in the store."""
    return replays.filter(pl.col("status") == "ok").sort("shard", "row_start").collect().to_dicts()


def kept_rows(replays: pl.LazyFrame) -> list[ReplayRow]:
    """Rows that are not ``ok`` but whose frames lie in the store all the same (``exphil ingest --keep-all``), in order."""
    kept = (pl.col("status") != "ok") & pl.col("shard").is_not_null()
    return replays.filter(kept).sort("shard", "row_start").collect().to_dicts()


def rows_by_shard(rows: list[ReplayRow]) -> dict[str, list[ReplayRow]]:
    """The same rows under the frame shard that holds them."""
    shards: dict[str, list[ReplayRow]] = {}
    for row in rows:
        shards.setdefault(str(row["shard"]), []).append(row)
    return shards


def shard_tables(path: Path, rows: list[ReplayRow]) -> Iterator[tuple[ReplayRow, pa.Table]]:
    """The frames of every replay of one frame shard, as Arrow.

    Raises:
        SchemaError: a replay's rows are not inside one row group.
    """
    waiting = deque(rows)
    with pq.ParquetFile(path) as file:
        last = 0
        for group in range(file.metadata.num_row_groups):
            first, last = last, last + file.metadata.row_group(group).num_rows
            table = file.read_row_group(group) if waiting and waiting[0]["row_start"] < last else None
            while table is not None and waiting and first <= waiting[0]["row_start"] <= last - waiting[0]["frames"]:
                row = waiting.popleft()
                yield row, table.slice(row["row_start"] - first, row["frames"])
    if waiting:
        row = waiting[0]
        raise SchemaError(
            f"shard {path.name}: replay {row['id']} must lie in rows {row['row_start']}…{row['row_start'] + row['frames']}, "
            f"inside one row group, found {last} rows grouped otherwise; run 'exphil ingest --rebuild'"
        )


def sample_of(row: Mapping[str, Any], columns: Columns, codec: Codec, features: str) -> Sample:
    """A replay as window shards hold it.

    Args:
        row: its row of the table of replays, or the id, ports, characters and stage of one.
        columns: its frame-table columns.
        codec: of the controllers.
        features: choice of feature groups (``dataset.features.layout``).
    """
    controllers = [controller_matrix(columns, side) for side in SIDES]
    return Sample(
        id=row["id"],
        ports=(row["port_a"], row["port_b"]),
        characters=(row["character_a"], row["character_b"]),
        stage=row["stage"],
        frames=columns["frame"].astype(np.int32, copy=False),
        encoded=encode_columns(kept_columns(columns, features)),
        classes=np.stack([codec.encode(side).T for side in controllers]),
    )
