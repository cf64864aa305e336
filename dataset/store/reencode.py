"""What follows from the frame table, written again without the replays: window shards, and the quality of each game.

Readers never meet a half-written store. New window shards take new numbers, and the manifest that lists them is replaced last.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from dataset.codecs.base import Codec
from dataset.codecs.registry import get_codec
from dataset.errors import ConfigError, SchemaError
from dataset.features.layout import encoder_digest, parse_features
from dataset.io.atomic import writing
from dataset.reporting.terminal import command_line
from dataset.schema import SIDES, Columns
from dataset.store.frame_table import (
    ShardWriter,
    columns_from_table,
    next_number,
    read_replays,
    sample_of,
    shard_number,
)
from dataset.store.location import frame_shard_path, remove_leftovers, shard_files
from dataset.store.manifest import Manifest, ShardInfo, check_schema, require_folder
from dataset.store.quality import damage_taken, decided_winner, quality_of
from dataset.store.replay_table import (
    ReplayRow,
    all_rows,
    check_where,
    ingested_rows,
    left_out,
    replays_path,
    rows_by_shard,
    save_replays,
    scan_replays,
)

Progress = Callable[[int, int], None]
"""Called with the frame shards done and their total."""


@dataclass(frozen=True, kw_only=True)
class EncodeReport:
    """What ``encode_windows`` wrote."""

    frames: int
    replays: int
    left: int
    """Replays that did not pass the condition."""
    shards: int
    codec: str
    features: str
    """Feature groups that the windows hold."""
    encoder_digest: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """What ``encode_quality`` computed."""

    replays: int
    """Whose frames were read."""
    left: int
    """Whose frames the store does not hold: rejected, failed, duplicate."""
    frames: int
    seconds: float


def encode_windows(
    folder: Path | str,
    codec: str | None = None,
    on_progress: Progress | None = None,
    *,
    features: str | None = None,
    where: str | None = None,
) -> EncodeReport:
    """Write every window shard again.

    Args:
        folder: the store.
        codec: name of the codec to encode controllers with; ``None`` keeps the store's.
        on_progress: called after every frame shard.
        features: feature groups that windows hold, now and when replays are ingested; ``None`` keeps the store's.
        where: condition that replays must pass (``dataset.store.replay_table``), now and when new ones are ingested; empty lets
            all pass, ``None`` keeps the store's.

    Raises:
        SchemaError: the frame table is of another schema version, or not the files the manifest lists.
        BusyError: another process writes to the store.
        ConfigError: the codec or a feature group is unknown, or the condition cannot be read or lets nothing pass.
        ExphilError: the disk is full, or the folder may not be written to.
    """
    start = time.perf_counter()
    with _locked(folder) as (folder, old):
        chosen = get_codec(codec or old.codec)
        features = parse_features(old.features if features is None else features)
        where = old.where if where is None else where.strip()
        rows = ingested_rows(scan_replays(replays_path(folder, old)))
        check_where(rows, where)
        left = left_out(rows, where)
        wanted = [row for row in rows if row["id"] not in left]
        written = _write_windows(folder, old, wanted, chosen, features, on_progress)
        renewed = replace(
            old,
            encoder_digest=encoder_digest(features),
            codec=chosen.name,
            codec_digest=chosen.digest,
            features=features,
            where=where,
            left_replays=len(left),
            left_frames=sum(left.values()),
            shards=tuple(sorted((*old.of_kind("frames"), *written), key=lambda shard: shard.path)),
        )
        replace(renewed, digest=renewed.data_digest(rows, left)).save(folder)
        remove_leftovers(folder, renewed)
    return EncodeReport(
        frames=sum(shard.frames for shard in written),
        replays=len(wanted),
        left=len(left),
        shards=len(written),
        codec=chosen.name,
        features=features,
        encoder_digest=renewed.encoder_digest,
        seconds=time.perf_counter() - start,
    )


def encode_quality(folder: Path | str, on_progress: Progress | None = None) -> QualityReport:
    """Write the columns of ``dataset.store.quality`` again, winners and damage, for every replay whose frames are stored.

    Games kept under ``exphil ingest --keep-all`` are among them. Frames, windows and the data digest do not change.

    Raises:
        SchemaError: the frame table is of another schema version, or not the files the manifest lists.
        BusyError: another process writes to the store.
        ConfigError: by the new columns, the store's ``where`` would choose other replays.
        ExphilError: the disk is full, or the folder may not be written to.
    """
    start = time.perf_counter()
    with _locked(folder) as (folder, manifest):
        rows = all_rows(scan_replays(replays_path(folder, manifest)))
        stored = [row for row in rows if row["shard"] is not None]
        ok = [row for row in stored if row["status"] == "ok"]
        left = left_out(ok, manifest.where)
        for row, columns in _replays(folder, manifest, stored, on_progress):
            with _encodable(row):
                dealt = {f"damage_{side}": damage_taken(columns, other) for side, other in (SIDES, SIDES[::-1])}
                row.update(
                    quality_of(columns, row) | decided_winner(columns, row["end_method"], row["quitter"]) | dealt
                )
        if left_out(ok, manifest.where) != left:
            raise ConfigError(
                f"store {folder}: its windows hold the replays that pass --where {manifest.where!r}, found others that pass "
                f"by the new columns; run '{command_line('encode', '--store', folder, '--where', '')}' first, this again, then "
                "encode with the condition"
            )
        save_replays(folder, rows, manifest, manifest)
    frames, seconds = sum(row["frames"] for row in stored), time.perf_counter() - start
    return QualityReport(replays=len(stored), left=len(rows) - len(stored), frames=frames, seconds=seconds)


@contextmanager
def _locked(folder: Path | str) -> Iterator[tuple[Path, Manifest]]:
    """A store's folder and manifest, while nobody else writes to it."""
    path = require_folder(folder)
    Manifest.load(path)  # a folder that is no store gets no lock file
    with writing(path):
        manifest = Manifest.load(path)
        check_schema(path, manifest)
        remove_leftovers(path, manifest)
        yield path, manifest


def _write_windows(
    folder: Path, manifest: Manifest, rows: list[ReplayRow], codec: Codec, features: str, on_progress: Progress | None
) -> list[ShardInfo]:
    """For each split one window shard of what one job of ingest wrote, which are the frame shards of one number."""
    listed = [shard.path for shard in manifest.of_kind("windows")]  # a listed one may be missing, and is deleted later
    first = next_number((*listed, *(path for path in shard_files(folder) if path.startswith("windows/"))))
    replays = _replays(folder, manifest, rows, on_progress)
    written: list[ShardInfo] = []
    for number, (_, of_job) in enumerate(groupby(replays, key=lambda pair: shard_number(pair[0]["shard"])), first):
        with ShardWriter(folder, number) as writer:
            for row, columns in of_job:
                with _encodable(row):
                    sample = sample_of(row, columns, codec, features)
                writer.add_window(sample, row["split"])
        written += writer.shards
    return written


@contextmanager
def _encodable(row: ReplayRow) -> Iterator[None]:
    """Rows that a stranger wrote may hold what no table of the encoder does."""
    try:
        yield
    except (LookupError, ValueError, TypeError) as error:
        raise SchemaError(
            f"shard {row['shard']}: replay {row['id']} must hold frames that can be encoded, found others ({error}); "
            "run 'exphil verify' on the store"
        ) from error


def _replays(
    folder: Path, manifest: Manifest, rows: list[ReplayRow], on_progress: Progress | None
) -> Iterator[tuple[ReplayRow, Columns]]:
    """Each of ``rows`` with its columns, in the order in which they lie in the frame shards, which are all hashed."""
    members = rows_by_shard(sorted(rows, key=lambda row: row["row_start"]))
    shards = manifest.of_kind("frames")
    if unlisted := sorted(members.keys() - {shard.path for shard in shards}):
        raise SchemaError(
            f"store {folder}: replays must lie in frame shards that the manifest lists, found {len(unlisted)} others, first "
            f"{unlisted[0][:80]!a}; copy the store again or run 'exphil ingest --rebuild'"
        )
    for done, shard in enumerate(shards):
        path = frame_shard_path(folder, shard)
        for row, table in read_replays(path, members.get(shard.path, [])):
            yield row, columns_from_table(table)
        if on_progress is not None:
            on_progress(done + 1, len(shards))
