"""Columns of the table of replays computed again from the frame table: how a new one comes into a store without its replays.

In: a store and a function from a replay's columns and row to more of its row. Out: the same store with that in its table.
``encode_quality`` is the first user. The surprise: games kept under ``exphil ingest --keep-all`` are computed too, those whose
frames were not kept are left as they are, and neither frames, windows nor the data digest change.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dataset.errors import ConfigError
from dataset.io.atomic import writing
from dataset.reporting.command_lines import command_line
from dataset.schema import Columns
from dataset.store.frame_table import REPLAY_SCHEMA, columns_from_table
from dataset.store.location import frame_shard_path, replays_path, require_folder
from dataset.store.manifest import Manifest, check_schema
from dataset.store.quality import quality_of
from dataset.store.replay_table import save_replays
from dataset.store.row_filter import left_out
from dataset.store.rows import rows_by_shard, shard_tables

Compute = Callable[[Columns, Mapping[str, Any]], dict[str, Any]]
"""From columns and row of one replay to values for that row, under names of ``REPLAY_SCHEMA``."""


@dataclass(frozen=True, kw_only=True)
class DeriveReport:
    """What a run computed."""

    replays: int
    """Whose frames were read."""
    left: int
    """Whose frames the store does not hold: rejected, failed, duplicate."""
    frames: int
    seconds: float


def encode_quality(folder: Path | str, on_progress: Callable[[int, int], None] | None = None) -> DeriveReport:
    """Write the columns of ``dataset.store.quality`` again; raises as ``derive`` does."""
    return derive(folder, quality_of, on_progress)


def derive(folder: Path | str, compute: Compute, on_progress: Callable[[int, int], None] | None = None) -> DeriveReport:
    """Update the row of every replay whose frames are stored.

    Args:
        folder: the store.
        compute: what to write.
        on_progress: told frame shards done and in all.

    Raises:
        SchemaError: the frame table is of another schema version, or not the files the manifest lists.
        BusyError: another process writes to the store.
        ConfigError: the store's ``where`` would now choose other replays.
        ExphilError: the disk is full, or the folder may not be written to.
    """
    start = time.perf_counter()
    folder = require_folder(folder)
    Manifest.load(folder)  # a folder that is no store gets no lock file
    with writing(folder):
        manifest = Manifest.load(folder)
        check_schema(folder, manifest)
        rows = pl.read_parquet(replays_path(folder, manifest)).to_dicts()
        stored = [row for row in rows if row["shard"] is not None]
        ok = [row for row in stored if row["status"] == "ok"]
        left = left_out(ok, manifest.where)
        _compute_all(folder, manifest, stored, compute, on_progress)
        if left_out(ok, manifest.where) != left:
            raise ConfigError(
                f"store {folder}: its windows hold the replays that pass --where {manifest.where!r}, found others that pass "
                f"by the new columns; run '{command_line('encode', '--store', folder, '--where', '')}' first, this again, then "
                "encode with the condition"
            )
        save_replays(folder, rows, manifest, manifest)
    frames = sum(row["frames"] for row in stored)
    seconds = time.perf_counter() - start
    return DeriveReport(replays=len(stored), left=len(rows) - len(stored), frames=frames, seconds=seconds)


def _compute_all(
    folder: Path,
    manifest: Manifest,
    stored: list[dict[str, Any]],
    compute: Compute,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    members = rows_by_shard(sorted(stored, key=lambda row: row["row_start"]))
    shards = manifest.of_kind("frames")
    for done, shard in enumerate(shards):
        path = frame_shard_path(folder, shard)
        for row, table in shard_tables(path, members.get(shard.path, [])):
            found = compute(columns_from_table(table), row)
            assert found.keys() <= set(REPLAY_SCHEMA.names), "a derived column is one of REPLAY_SCHEMA"
            row.update(found)
        if on_progress is not None:
            on_progress(done + 1, len(shards))
