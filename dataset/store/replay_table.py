"""The table of replays, ``replays.parquet``: its columns, its rows, and SQL conditions over one of them.

It has a row for every file ever looked at, and is always replaced together with the manifest that lists its hash.
"""

import hashlib
import io
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from dataset.errors import ConfigError, SchemaError
from dataset.io.atomic import replacing, sha256_of
from dataset.io.quiet import silent_panics
from dataset.schema import SIDES
from dataset.store.manifest import SPLITS, Manifest
from dataset.store.manifest_rules import WHERE_WORDS, is_short_condition
from dataset.store.quality import QUALITY_SCHEMA

REPLAYS_NAME = "replays.parquet"
PREVIOUS_REPLAYS_NAME = "replays.previous.parquet"
"""The table of replays before the latest commit; the true one if a kill fell between that table and its manifest."""

ReplayRow = dict[str, Any]
"""One row of the table by column name."""

REPLAY_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("source", pa.string()),
        ("member", pa.string()),
        ("size", pa.int64()),
        ("mtime", pa.int64()),
        ("archive_size", pa.int64()),
        ("crc", pa.int64()),
        ("version", pa.string()),
        ("stage", pa.uint8()),
        *((f"port_{side}", pa.uint8()) for side in SIDES),
        *((f"character_{side}", pa.uint8()) for side in SIDES),
        *((f"type_{side}", pa.string()) for side in SIDES),
        *((f"cpu_level_{side}", pa.uint8()) for side in SIDES),
        *((f"name_hash_{side}", pa.string()) for side in SIDES),
        *((f"code_hash_{side}", pa.string()) for side in SIDES),
        ("match_id", pa.string()),
        ("game_number", pa.int32()),
        ("tiebreaker", pa.int32()),
        ("random_seed", pa.int64()),
        ("frames", pa.int32()),
        ("frames_resimulated", pa.int32()),
        ("frame_gaps", pa.int32()),
        ("non_finite", pa.string()),
        ("off_lattice", pa.int32()),
        ("repaired", pa.string()),
        ("winner", pa.string()),
        *((f"stocks_{side}", pa.uint8()) for side in SIDES),
        *((f"damage_{side}", pa.float32()) for side in SIDES),
        ("seconds", pa.float32()),
        ("split", pa.string()),
        ("shard", pa.string()),
        ("row_start", pa.int64()),
        ("rows_digest", pa.string()),
        ("started_at", pa.string()),
        ("end_method", pa.string()),
        ("quitter", pa.string()),
        ("ranks", pa.string()),
        ("is_pal", pa.bool_()),
        ("is_frozen_stadium", pa.bool_()),
        *QUALITY_SCHEMA,
    ]
)
"""Columns of ``replays.parquet``, one row for every file ever looked at.

``mtime`` is nanoseconds of the file or of the archive it lies in, ``archive_size`` and ``crc`` (zip) are null for loose
files. ``source``, ``member`` and the players' names are salted hashes unless the store keeps names. ``damage`` is what
the side dealt, ``seconds`` the length at 60 frames/s, ``non_finite`` a JSON object of column to count, ``repaired`` what
was wrong before the file was mended (words of ``dataset.slippi.repair.REASONS``, joined by commas), ``quitter`` the side that
pressed L+R+A+Start, ``ranks`` both players' as the file name gives them, in its order (``master-diamond``, which does not say
which side has which). The columns after ``is_frozen_stadium`` are ``dataset.store.quality``'s.
"""

MAX_TEXT = 2**16
"""Characters of a text that a row keeps: more than any name of a file has, and not as much as a stranger's replay may hold."""


def fitted(row: Mapping[str, Any]) -> ReplayRow:
    """``row`` with values that the table can hold: null stands for those of another type, out of range or not finite.

    Replays are strangers' files, and their metadata may hold anything where a date or a number is expected.
    """
    return {name: None if value is None else _FITTING[name](value) for name, value in row.items()}


def _fitted_text(value: Any) -> str | None:
    """Parquet takes only Unicode, of which surrogates are no part."""
    return value[:MAX_TEXT].encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else None


def _fitted_truth(value: Any) -> bool | None:
    return bool(value) if isinstance(value, bool | np.bool_) else None


def _fitted_float(value: Any) -> float | None:
    is_number = isinstance(value, float | int | np.floating | np.integer) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= _LARGEST_FLOAT else None


def _fitted_integer(value: Any, smallest: int, largest: int) -> int | None:
    is_number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return int(value) if is_number and smallest <= value <= largest else None


def _fitting(kind: pa.DataType) -> Callable[[Any], Any]:
    """What fits a value to a column of that type."""
    if pa.types.is_integer(kind):
        about = np.iinfo(str(kind))
        return partial(_fitted_integer, smallest=int(about.min), largest=int(about.max))
    return {pa.string(): _fitted_text, pa.bool_(): _fitted_truth, pa.float32(): _fitted_float}[kind]


_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_FITTING = {field.name: _fitting(field.type) for field in REPLAY_SCHEMA}


_POLARS_SCHEMA = pl.DataFrame(REPLAY_SCHEMA.empty_table()).schema


def replays_path(folder: Path, manifest: Manifest) -> Path:
    """Where the table of replays lies that ``manifest`` belongs to; whoever writes to the store may replace it at any time."""
    return _replays_of(folder, manifest)[0]


def replays_data(folder: Path, manifest: Manifest) -> bytes:
    """The bytes of that table, which stay what they are while somebody writes to the store."""
    return _replays_of(folder, manifest)[1]


def _replays_of(folder: Path, manifest: Manifest) -> tuple[Path, bytes]:
    for name in (REPLAYS_NAME, PREVIOUS_REPLAYS_NAME):
        path = folder / name
        with suppress(FileNotFoundError):
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() == manifest.replays_sha256:
                return path, data
    raise SchemaError(
        f"store {folder}: {REPLAYS_NAME} must be the file its manifest lists (SHA-256 {manifest.replays_sha256[:12]}…), "
        "found another or none; copy the store again or run 'exphil ingest --rebuild'"
    )


def scan_replays(table: Path | str | bytes) -> pl.LazyFrame:
    """The table of replays in a file, or in its bytes; a column that came after it was written is null.

    Raises:
        SchemaError: it is no such table.
    """
    place = REPLAYS_NAME if isinstance(table, bytes) else str(table)
    size = len(table) if isinstance(table, bytes) else Path(table).stat().st_size
    with readable(place):
        found = pl.read_parquet_schema(io.BytesIO(table) if isinstance(table, bytes) else table)
        rows = pq.read_metadata(io.BytesIO(table) if isinstance(table, bytes) else table).num_rows
    wrong = [f"{name} of {kind}" for name, kind in found.items() if _POLARS_SCHEMA.get(name, kind) != kind]
    if rows > size:
        wrong.append(f"{rows:,} rows in fewer bytes")
    if wrong:
        raise _unreadable_table(place, wrong[0])
    return pl.scan_parquet(table, schema=_POLARS_SCHEMA, missing_columns="insert", extra_columns="ignore")


def ingested_rows(replays: pl.LazyFrame) -> list[ReplayRow]:
    """Rows with status ``ok`` in the order in which their frames lie in the store; raises as ``all_rows`` does."""
    return all_rows(replays.filter(pl.col("status") == "ok").sort("shard", "row_start"))


def kept_rows(replays: pl.LazyFrame) -> list[ReplayRow]:
    """Rows that are not ``ok`` but whose frames lie in the store all the same (``exphil ingest --keep-all``), in order."""
    kept = (pl.col("status") != "ok") & pl.col("shard").is_not_null()
    return all_rows(replays.filter(kept).sort("shard", "row_start"))


def all_rows(replays: pl.LazyFrame) -> list[ReplayRow]:
    """Every row.

    Raises:
        SchemaError: the file is damaged, or a row does not say where its frames lie.
    """
    with readable(REPLAYS_NAME):
        rows = replays.collect().to_dicts()
    for row in rows:
        if not _is_whole(row):
            found = {name: row[name] for name in ("id", "split", "shard", "frames", "row_start", "rows_digest")}
            raise _unreadable_table(REPLAYS_NAME, f"a replay that was let in without saying where: {str(found)[:200]}")
    return rows


def _is_whole(row: ReplayRow) -> bool:
    """Whether a row says what others rely on: files are named after splits, and rows are read where it says."""
    is_ok, is_stored = row["status"] == "ok", row["shard"] is not None
    is_named = row["id"] is not None and row["frames"] is not None and row["frames"] > 0
    is_placed = row["rows_digest"] is not None and row["row_start"] is not None and row["row_start"] >= 0
    return (
        (is_named or not (is_ok or is_stored))
        and (is_placed or not is_stored)
        and (row["split"] in SPLITS or not is_ok)
    )


@contextmanager
def readable(place: str) -> Iterator[None]:
    """Turn what polars and pyarrow raise on damaged Parquet files into a ``SchemaError`` that names the ``place``."""
    try:
        with silent_panics():
            yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's; pyarrow's own have no number
        raise _unreadable_table(place, f"damage ({' '.join(str(error).split())[:200]})") from error


def _unreadable_table(place: str, found: str) -> SchemaError:
    return SchemaError(
        f"{place}: must be Parquet as exphil writes it, found {found}; copy the store again, or run 'exphil verify' on it"
    )


def rows_by_shard(rows: Iterable[ReplayRow]) -> dict[str, list[ReplayRow]]:
    """The same rows under the frame shard that holds them."""
    shards: dict[str, list[ReplayRow]] = {}
    for row in rows:
        shards.setdefault(str(row["shard"]), []).append(row)
    return shards


def save_replays(folder: Path, rows: Iterable[ReplayRow], manifest: Manifest, on_disk: Manifest | None) -> Manifest:
    """Write ``rows`` and ``manifest``, which follows ``on_disk``; returns it as written.

    The table is replaced first, and the one before it is kept as ``replays.previous.parquet``. So a kill between the two leaves
    a manifest whose table is the previous one.
    """
    current = folder / REPLAYS_NAME
    if on_disk is not None and replays_path(folder, on_disk) == current:
        with replacing(folder / PREVIOUS_REPLAYS_NAME) as temporary:
            shutil.copyfile(current, temporary)
    ordered = sorted(rows, key=lambda row: (row["id"] or "", row["source"], row["member"] or ""))
    table = pa.Table.from_pylist(ordered, schema=REPLAY_SCHEMA)
    with replacing(current) as temporary, temporary.open("wb") as file:  # whose errors say what the system said
        pq.write_table(table, file, compression="zstd")
    written = replace(manifest, replays_sha256=sha256_of(current))
    written.save(folder)
    return written


_NOT_IN_CONDITIONS = ("status", "reason", "detail", "size", "mtime", "archive_size", "crc", "shard", "row_start")
"""Columns that change when a file is touched or a store encoded again, or that are alike in all replays let in."""

_CONDITION_SCHEMA = pa.schema([field for field in REPLAY_SCHEMA if field.name not in _NOT_IN_CONDITIONS])


def passing(rows: Sequence[ReplayRow], where: str) -> list[bool]:
    """Whether each of ``rows`` passes the SQL condition of ``exphil encode --where``; where it is null, a row does not pass.

    An empty condition lets all pass. Each replay is judged by its own row, because ingest judges a new one before it knows
    the others.

    Raises:
        ConfigError: the condition cannot be read.
    """
    if not where:
        return [True] * len(rows)
    return _passing(_table(rows), where)


def left_out(rows: Sequence[ReplayRow], where: str) -> dict[str, int]:
    """Frames of each of ``rows`` that does not pass, by id; raises as ``passing`` does."""
    pairs = zip(rows, passing(rows, where), strict=True)
    return {row["id"]: row["frames"] for row, passes in pairs if not passes}


def check_where(rows: Sequence[ReplayRow], where: str) -> None:
    """Refuse a condition that compares replays with each other, or that none of them passes.

    Raises:
        ConfigError: it is such a condition, or cannot be read.
    """
    if not where:
        return
    table = _table(rows)
    together = _passing(table, where)
    if together != [_passing(table[row], where)[0] for row in range(len(rows))]:
        raise ConfigError(
            f"--where {where!r}: must judge each replay by its own row, found one that compares replays; ask 'exphil stats "
            "--sql' for the figure and write it as a number"
        )
    if not any(together):
        raise ConfigError(f"--where {where!r}: must let at least one of {len(rows)} replays pass, found none; widen it")


def _table(rows: Sequence[ReplayRow]) -> pl.DataFrame:
    return pl.DataFrame(pa.Table.from_pylist(list(rows), schema=_CONDITION_SCHEMA))


def _passing(table: pl.DataFrame, where: str) -> list[bool]:
    if not is_short_condition(where):
        raise ConfigError(
            f"--where: must be {WHERE_WORDS}, found {where[:60]!r} and so on; shorten it, or write a list with IN"
        )
    try:
        with silent_panics():
            found = table.with_columns(pl.sql_expr(where).alias("_passes"))["_passes"]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        fault = re.split("; valid columns|This error occurred", str(error))[
            0
        ]  # the columns are listed below, with types
        raise _unreadable(where, " ".join(fault.split())) from error
    if found.dtype != pl.Boolean:
        raise _unreadable(where, f"a value of type {found.dtype}")
    return found.fill_null(value=False).to_list()


def _unreadable(where: str, found: str) -> ConfigError:
    columns = ", ".join(f"{field.name} ({field.type})" for field in _CONDITION_SCHEMA)
    return ConfigError(
        f"--where {where!r}: must be a condition as SQL writes it after WHERE, over columns of one replay, found {found}; "
        f"the columns are {columns}"
    )
