"""Checks everything a store claims: files, counts, order, ids, lattices, splits, windows, codec, and the leak.

Every check runs to its end, so one damaged file does not hide another. Windows are compared number by number with a fresh
encoding of their Parquet rows, because compressed bytes differ between zstd releases; their bytes are checked by the hashes.
"""

import re
from collections import Counter
from collections.abc import Callable, Container
from pathlib import Path

import numpy as np
import pyarrow as pa

from dataset.codecs.base import Codec
from dataset.codecs.registry import CODECS
from dataset.errors import SchemaError
from dataset.features.align import leak_from_counts
from dataset.io.atomic import sha256_of
from dataset.reporting.terminal import command_line
from dataset.store.frame_table import (
    columns_from_table,
    frame_shard_faults,
    read_replays,
    rows_digest,
    sample_of,
    wrong_nulls,
)
from dataset.store.manifest import Manifest, ShardInfo, require_folder
from dataset.store.replay_table import (
    ReplayRow,
    ingested_rows,
    kept_rows,
    left_out,
    replays_data,
    rows_by_shard,
    scan_replays,
)
from dataset.stream.window_shards import read_shard
from dataset.verify.checks import (
    Check,
    Verdict,
    codec_check,
    fault_check,
    filter_check,
    leak_check,
    replay_check,
    split_check,
    version_check,
)
from dataset.verify.frame_audit import Faults, FrameAudit, contradictions
from dataset.verify.window_audit import WindowAudit

UNREADABLE = (
    SchemaError,
    OSError,
    pa.ArrowException,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
)
"""What reading a damaged file raises."""

Progress = Callable[[str, int, int], None]
"""Called with the name of the pass, the shards done and their total."""


def verify(folder: Path | str, *, quick: bool = False, on_progress: Progress | None = None) -> Verdict:
    """Check a store.

    Args:
        folder: the store.
        quick: do not read the frame table: neither its hashes nor its rows, nor what follows from them.
        on_progress: called after every shard.

    Raises:
        ConfigError: the store is a URL, whose files are verified whenever they are used.
        SchemaError: there is no readable manifest or table of replays, so nothing can be checked.
    """
    folder = require_folder(folder)
    manifest = Manifest.load(folder)
    replays = scan_replays(replays_data(folder, manifest))
    rows, kept = ingested_rows(replays), kept_rows(replays)
    report = on_progress or (lambda name, done, total: None)
    damaged = _damaged_shards(folder, manifest, quick, report)
    codec = CODECS.get(manifest.codec)
    checks = [
        version_check(manifest, codec),
        _files(manifest, damaged, quick),
        replay_check(manifest, rows, kept),
        split_check(manifest, rows),
        filter_check(manifest, rows),
    ]
    if not (manifest.shards or rows or kept):
        more = f"; run '{command_line('ingest', 'SOURCE', '--store', folder)}'"
        nothing = Check("frames", False, f"none, so nothing about frames and windows can be checked{more}")
        return Verdict((*checks, nothing), leak_from_counts(np.zeros(3, int)))
    if codec is None:
        unknown = Check("leak", False, "not taken: the codec is unknown")
        return Verdict((*checks, unknown), leak_from_counts(np.zeros(3, int)))
    windows = _read_windows(folder, manifest, damaged, codec, report)
    if not quick:
        stored = sorted((*rows, *kept), key=lambda row: (row["shard"], row["row_start"]))
        checks += _frame_checks(folder, manifest, stored, damaged, codec, windows, report)
    left = left_out(rows, manifest.where)
    checks += [_windows(rows, left, windows, quick), codec_check(codec), leak_check(leak_from_counts(windows.leak))]
    return Verdict(tuple(checks), leak_from_counts(windows.leak))


def _damaged_shards(folder: Path, manifest: Manifest, quick: bool, report: Progress) -> dict[str, str]:
    """What is wrong with each shard that is not the file the manifest lists, by path."""
    damaged = {}
    for done, shard in enumerate(manifest.shards):
        path = folder / shard.path
        if not path.is_file():
            damaged[shard.path] = "is missing"
        elif path.stat().st_size != shard.bytes:
            damaged[shard.path] = f"has {path.stat().st_size:,} bytes, not {shard.bytes:,}"
        elif not (quick and shard.kind == "frames") and sha256_of(path) != shard.sha256:
            damaged[shard.path] = "has another SHA-256 than the manifest lists"
        report("files", done + 1, len(manifest.shards))
    return damaged


def _files(manifest: Manifest, damaged: dict[str, str], quick: bool) -> Check:
    size = sum(shard.bytes for shard in manifest.shards)
    good = f"{len(manifest.shards)} shards, {size:,} bytes" + ("; SHA-256 of frame shards skipped" if quick else "")
    return Check("files", not damaged, "; ".join(f"{path} {fault}" for path, fault in damaged.items()) or good)


def _read_windows(
    folder: Path, manifest: Manifest, damaged: dict[str, str], codec: Codec, report: Progress
) -> WindowAudit:
    windows = WindowAudit()
    shards = manifest.of_kind("windows")
    for done, shard in enumerate(shards):
        if shard.path not in damaged:
            _add_shard(folder, shard, codec, windows)
        report("windows", done + 1, len(shards))
    return windows


def _add_shard(folder: Path, shard: ShardInfo, codec: Codec, windows: WindowAudit) -> None:
    found = (0, 0)
    try:
        for sample in read_shard((folder / shard.path).read_bytes()):
            windows.add(sample, str(shard.split), codec)
            found = (found[0] + 1, found[1] + sample.num_frames)
    except UNREADABLE as error:
        windows.faults.add(1, f"{shard.path} cannot be read: {error}")
        return
    windows.faults.add(
        int(found != (shard.samples, shard.frames)),
        f"{shard.path} holds {found[0]} samples of {found[1]} frames, the manifest says {shard.samples} of {shard.frames}",
    )


def _windows(rows: list[ReplayRow], left: Container[str], windows: WindowAudit, quick: bool) -> Check:
    """Every ingested replay that is not left out once, in a shard of its split, equal to a fresh encoding."""
    splits = {row["id"]: row["split"] for row in rows if row["id"] not in left}
    for replay, split in windows.splits.items():
        listed = splits.get(replay)
        windows.faults.add(
            int(listed != split),
            f"sample {replay} is in a {split} shard, the table of replays says {listed or 'in none'}",
        )
    missing = sorted(splits.keys() - windows.splits.keys())
    windows.faults.add(len(missing), f"replay {missing[0]} is in no window shard that could be read" if missing else "")
    good = f"{len(windows.splits):,} samples" + (
        "; encoding again skipped" if quick else " equal their rows encoded again"
    )
    constant = f"; features that never vary: {_listing(windows.constant)}" if windows.constant else ""
    return fault_check("windows", windows.faults, "faults", good + constant)


def _frame_checks(
    folder: Path,
    manifest: Manifest,
    rows: list[ReplayRow],
    damaged: dict[str, str],
    codec: Codec,
    windows: WindowAudit,
    report: Progress,
) -> list[Check]:
    """One pass over the frame table; each replay is audited and compared with its window sample."""
    frames, content = FrameAudit(), Faults()
    members = rows_by_shard(rows)
    shards = [shard for shard in manifest.of_kind("frames") if shard.path not in damaged]
    for done, shard in enumerate(shards):
        try:
            rows = members.get(shard.path, [])
            _audit_shard(folder / shard.path, shard, rows, codec, manifest.features, frames, content, windows)
        except UNREADABLE as error:
            content.add(1, f"{shard.path} cannot be read: {error}")
        report("frames", done + 1, len(shards))
    return _frame_verdicts(frames, content)


def _audit_shard(
    path: Path,
    shard: ShardInfo,
    rows: list[ReplayRow],
    codec: Codec,
    features: str,
    frames: FrameAudit,
    content: Faults,
    windows: WindowAudit,
) -> None:
    for fault in frame_shard_faults(path, shard):
        content.add(1, f"{shard.path} {fault}")
    for row, table in read_replays(path, rows):
        named = set(table["replay"].unique().to_pylist())
        content.add(int(named != {row["id"]}), f"rows of replay {row['id']} are marked {sorted(named, key=str)[:2]}")
        columns = columns_from_table(table)
        is_as_ingested = rows_digest(columns) == row["rows_digest"]
        content.add(int(not is_as_ingested), f"rows of replay {row['id']} are not those that were ingested")
        nulls = wrong_nulls(table)
        content.add(
            len(nulls),
            f"replay {row['id']}: {''.join(nulls[:1])} is null where it has a value, or not where it has none",
        )
        differing = contradictions(row, columns)
        content.add(len(differing), f"replay {row['id']}: {''.join(differing[:1])}")
        frames.add(row, columns, codec)
        if row["status"] == "ok":
            windows.compare(sample_of(row, columns, codec, features))


def _frame_verdicts(frames: FrameAudit, content: Faults) -> list[Check]:
    lattice = f"on Melee's lattice in {frames.num_frames:,} frames of both players"
    cpu = f"; computer players' sticks stand off it in {frames.cpu_sticks:,} frames" if frames.cpu_sticks else ""
    non_finite = ", ".join(f"{name} {count:,}" for name, count in sorted(frames.non_finite.items()) if count)
    return [
        fault_check(
            "rows", content, "faults", f"{frames.num_frames:,} frames lie where the table says and tell what it says"
        ),
        fault_check("order", frames.order, "steps back", "frame numbers strictly increase in every replay"),
        fault_check("ids", frames.ids, "values out of range", "every id fits its table"),
        fault_check("sticks", frames.sticks, "frames off the lattice", lattice + cpu),
        fault_check("triggers", frames.triggers, "frames off the lattice", lattice),
        fault_check(
            "recorded controllers",
            frames.codec,
            "change when encoded twice",
            "all encode, decode and encode again alike",
        ),
        Check("finite", True, f"recorded as not finite, encoded as 0: {non_finite}" if non_finite else "all values"),
        Check("variance", True, f"columns that never vary: {_listing(frames.constant) or 'none'}"),
    ]


def _listing(names: list[str]) -> str:
    """Names, those of one Nana or item slot as one: ``a_nana_* (18)``."""
    groups = Counter(re.sub(r"^([ab]_nana|item\d)_.*", r"\1_*", name) for name in names)
    return ", ".join(f"{group} ({count})" if group.endswith("*") else group for group, count in groups.items())
