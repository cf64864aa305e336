"""Window shards written again from the frame table: how features and codecs change without parsing a replay.

In: a store, whose encoder and codec may be those of another exphil. Out: the same store with windows of this encoder and the
wanted codec, for the replays that pass a condition. The surprise: the new shards take new numbers, so until the manifest is
replaced, last, every reader still sees the old ones whole.
"""

import re
import tarfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from dataset.codecs.base import Codec
from dataset.codecs.registry import get_codec
from dataset.features.layout import encoder_digest, parse_features
from dataset.io.atomic import replacing, sha256_of, writing
from dataset.schema import SCHEMA_VERSION
from dataset.store.frame_table import columns_from_table
from dataset.store.location import frame_shard_path, replays_path, require_folder
from dataset.store.manifest import Manifest, ShardInfo, check_schema, data_digest
from dataset.store.row_filter import check_where, left_out
from dataset.store.rows import ReplayRow, ingested_rows, rows_by_shard, sample_of, shard_tables
from dataset.stream.window_shards import Sample, add_sample, open_shard

Progress = Callable[[int, int], None]
"""Told frame shards done and in all."""


@dataclass(frozen=True, kw_only=True)
class EncodeReport:
    """What a run wrote."""

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
        features: feature groups that windows hold, now and when replays are ingested; ``None``
            keeps the store's.
        where: condition that replays must pass (``dataset.store.row_filter``), now and when new ones are ingested; empty lets all
            pass, ``None`` keeps the store's.

    Raises:
        SchemaError: the frame table is of another schema version, or not the files the manifest lists.
        BusyError: another process writes to the store.
        ConfigError: the codec or a feature group is unknown, or the condition cannot be read or lets nothing pass.
        ExphilError: the disk is full, or the folder may not be written to.
    """
    start = time.perf_counter()
    folder = require_folder(folder)
    Manifest.load(folder)  # a folder that is no store gets no lock file
    with writing(folder):
        manifest = Manifest.load(folder)
        check_schema(folder, manifest)
        chosen = get_codec(codec or manifest.codec)
        rows = ingested_rows(pl.scan_parquet(replays_path(folder, manifest)))
        manifest = replace(
            manifest,
            features=parse_features(manifest.features if features is None else features),
            where=manifest.where if where is None else where.strip(),
        )
        check_where(rows, manifest.where)
        left = left_out(rows, manifest.where)
        wanted = [row for row in rows if row["id"] not in left]
        written = _write_all(folder, manifest, wanted, chosen, on_progress)
        _commit(folder, manifest, rows, left, chosen, written)
    return EncodeReport(
        frames=sum(shard.frames for shard in written),
        replays=len(wanted),
        left=len(left),
        shards=len(written),
        codec=chosen.name,
        features=manifest.features,
        encoder_digest=encoder_digest(manifest.features),
        seconds=time.perf_counter() - start,
    )


def _write_all(
    folder: Path, manifest: Manifest, rows: list[ReplayRow], codec: Codec, on_progress: Progress | None
) -> list[ShardInfo]:
    number = _next_number(folder)
    members = rows_by_shard(rows)
    written: list[ShardInfo] = []
    shards = manifest.of_kind("frames")
    for done, shard in enumerate(shards):
        path = frame_shard_path(folder, shard)
        written += _write_windows(
            folder, number + done, _shard_samples(path, members.get(shard.path, []), codec, manifest.features)
        )
        if on_progress is not None:
            on_progress(done + 1, len(shards))
    return written


def _next_number(folder: Path) -> int:
    """Above every window shard in the folder, listed or left by a killed run."""
    found = (re.fullmatch(r"\w+-(\d+)\.tar", path.name) for path in (folder / "windows").glob("*.tar"))
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _shard_samples(path: Path, rows: list[ReplayRow], codec: Codec, features: str) -> Iterable[tuple[str, Sample]]:
    """(split, sample) of every replay of one frame shard, encoded afresh."""
    for row, table in shard_tables(path, rows):
        yield row["split"], sample_of(row, columns_from_table(table), codec, features)


def _write_windows(folder: Path, number: int, samples: Iterable[tuple[str, Sample]]) -> list[ShardInfo]:
    """One shard for each split among the samples."""
    held: dict[str, list[int]] = {}
    with ExitStack() as stack:
        files: dict[str, tarfile.TarFile] = {}
        for split, sample in samples:
            if split not in files:
                path = stack.enter_context(replacing(folder / _path(split, number)))
                files[split] = stack.enter_context(open_shard(stack.enter_context(path.open("wb"))))
            add_sample(files[split], sample)
            held.setdefault(split, []).append(sample.num_frames)
    return [_info(folder, split, number, frames) for split, frames in held.items()]


def _path(split: str, number: int) -> str:
    return f"windows/{split}-{number:06d}.tar"


def _info(folder: Path, split: str, number: int, frames: list[int]) -> ShardInfo:
    path = folder / _path(split, number)
    return ShardInfo(
        path=_path(split, number),
        kind="windows",
        split=split,
        sha256=sha256_of(path),
        bytes=path.stat().st_size,
        samples=len(frames),
        frames=sum(frames),
    )


def _commit(
    folder: Path,
    manifest: Manifest,
    rows: list[ReplayRow],
    left: dict[str, int],
    codec: Codec,
    written: list[ShardInfo],
) -> None:
    """Replace the manifest, then delete the windows it no longer lists."""
    digest = data_digest(
        ((row["id"], row["split"], row["rows_digest"]) for row in rows),
        schema_version=SCHEMA_VERSION,
        encoder_digest=encoder_digest(manifest.features),
        codec_digest=codec.digest,
        rollback=manifest.rollback,
        left=left,
    )
    shards = sorted((*manifest.of_kind("frames"), *written), key=lambda shard: shard.path)
    renewed = replace(
        manifest,
        encoder_digest=encoder_digest(manifest.features),
        codec=codec.name,
        codec_digest=codec.digest,
        digest=digest,
        left_replays=len(left),
        left_frames=sum(left.values()),
        shards=tuple(shards),
    )
    renewed.save(folder)
    for shard in manifest.of_kind("windows"):
        (folder / shard.path).unlink(missing_ok=True)
