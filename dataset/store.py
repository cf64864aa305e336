"""A store, opened for reading: replays, frames and window samples, checked against the manifest before use.

In: the folder that ``exphil ingest`` wrote. Out: polars frames, numpy columns, encoded samples. The surprise: nothing is
read that the manifest does not list, and a window shard whose bytes do not hash to what it says is refused before its first
sample, because a truncated or flipped shard otherwise passes unnoticed.
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dataset.arrow import columns_from_table
from dataset.codec import CODECS
from dataset.encode import ENCODER_DIGEST
from dataset.errors import ConfigError, SchemaError
from dataset.manifest import Manifest, ShardInfo
from dataset.schema import SCHEMA_VERSION
from dataset.shards import Sample, read_shard

REPLAYS_NAME = "replays.parquet"
PREVIOUS_REPLAYS_NAME = "replays.previous.parquet"
"""The table of replays before the latest commit; the true one if a kill fell between that table and its manifest."""


class Store:
    """A store on disk, read only."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.manifest = Manifest.load(self.path)
        _check_versions(self.manifest, self.path)

    def replays(self) -> pl.LazyFrame:
        """One row for every file ever looked at (``dataset.arrow.REPLAY_SCHEMA``)."""
        return pl.scan_parquet(replays_path(self.path, self.manifest))

    def frames(self, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """All rows of the frame table, in order within each replay; ``replay`` is the id."""
        paths = [self.path / shard.path for shard in self.manifest.of_kind("frames")]
        if not paths:
            raise SchemaError(
                f"store {self.path}: the frame table needs at least one replay, found none; ingest some replays first"
            )
        frames = pl.scan_parquet(paths)
        return frames if columns is None else frames.select(columns)

    def samples(
        self, split: Literal["train", "val", "test", "all"], ids: Collection[str] | None = None
    ) -> Iterator[Sample]:
        """Encoded replays of a split, shard by shard, only those in ``ids`` if given.

        Raises:
            SchemaError: a shard's bytes are not those the manifest lists; raised before any of its samples.
        """
        for shard in self.manifest.of_kind("windows", None if split == "all" else split):
            for sample in read_shard(self.shard_bytes(shard)):
                if ids is None or sample.id in ids:
                    yield sample

    def shard_bytes(self, shard: ShardInfo) -> bytes:
        """The bytes of a shard, checked against the manifest."""
        path = self.path / shard.path
        data = path.read_bytes() if path.is_file() else b""
        if len(data) != shard.bytes or hashlib.sha256(data).hexdigest() != shard.sha256:
            raise SchemaError(
                f"shard {shard.path}: the manifest lists {shard.bytes} bytes with SHA-256 {shard.sha256[:12]}…, found "
                f"{len(data)} bytes that differ; copy the shard again or run 'exphil ingest --rebuild'"
            )
        return data

    def columns(self, replay_id: str) -> dict[str, NDArray[np.generic]]:
        """Frame-table columns of one replay; columns that are null throughout are absent, single nulls are zeros."""
        found = self.replays().filter((pl.col("id") == replay_id) & (pl.col("status") == "ok")).collect()
        if found.is_empty():
            raise ConfigError(
                f"replay '{replay_id}': must be the id of an ingested replay of {self.path}, found none; "
                "list them with 'exphil stats --sql \"select id from replays\"'"
            )
        row = found.row(0, named=True)
        return columns_from_table(_read_rows(self.path / row["shard"], row["row_start"], row["frames"]))


def replays_path(folder: Path, manifest: Manifest) -> Path:
    """Where the table of replays lies that ``manifest`` belongs to."""
    for name in (REPLAYS_NAME, PREVIOUS_REPLAYS_NAME):
        path = folder / name
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == manifest.replays_sha256:
            return path
    raise SchemaError(
        f"store {folder}: {REPLAYS_NAME} must be the file its manifest lists (SHA-256 {manifest.replays_sha256[:12]}…), "
        "found another or none; copy the store again or run 'exphil ingest --rebuild'"
    )


def _read_rows(path: Path, start: int, count: int) -> pa.Table:
    with pq.ParquetFile(path) as file:
        ends = np.cumsum([file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)])
        group = int(np.searchsorted(ends, start, side="right"))  # replays never cross row groups
        first = int(ends[group]) - file.metadata.row_group(group).num_rows
        return file.read_row_group(group).slice(start - first, count)


def _check_versions(manifest: Manifest, path: Path) -> None:
    codec = CODECS.get(manifest.codec)
    checks = (
        ("schema version", manifest.schema_version, SCHEMA_VERSION, "ingest --rebuild"),
        ("encoder", manifest.encoder_digest, ENCODER_DIGEST, "encode"),
        (f"codec '{manifest.codec}'", manifest.codec_digest, "none" if codec is None else codec.digest, "encode"),
    )
    for what, found, here, command in checks:
        if found != here:
            raise SchemaError(
                f"store {path}: {what} must be {here}, the one of this exphil, found {found}; "
                f"run 'exphil {command} --store {path}'"
            )
