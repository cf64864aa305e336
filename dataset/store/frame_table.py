"""The pyarrow view of the frame table, and the table of replays.

In: ``Columns`` of one replay. Out: Parquet row groups of about 64k rows that never cut a replay, and ``Columns`` again. The
surprise: which cells are null is not said apart but follows from the columns: one that is absent is null throughout, Nana's
are null where ``nana_exists`` is false.
"""

from types import TracebackType

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from dataset.errors import ReplayError
from dataset.schema import COLUMNS, SIDES, Columns, Version
from dataset.store.parquet import Chunk, Field, ParquetFile
from dataset.store.quality import QUALITY_SCHEMA

ROW_GROUP_ROWS = 65_536
"""A row group is closed by the replay that fills it to this many rows."""

_DTYPES = {column.name: np.dtype(column.dtype) for column in COLUMNS}
_TYPES = {column.name: pa.from_numpy_dtype(np.dtype(column.dtype)) for column in COLUMNS}

FRAME_SCHEMA = pa.schema([("replay", pa.string()), *_TYPES.items()])
"""Columns of ``frames/*.parquet``; ``replay`` is the id."""

_VALID_WHERE = {
    column.name: f"{side}_nana_exists"
    for side in SIDES
    for column in COLUMNS
    if column.name.startswith(f"{side}_nana_") and column.name != f"{side}_nana_exists"
}
_OFTEN_NULL = {*_VALID_WHERE, *(f"{side}_trigger_{which}" for side in SIDES for which in "lr")}
"""Columns that a replay of any version may lack."""

_STATISTICS = ["frame", "stage", *(f"{side}_{name}" for side in SIDES for name in ("character", "stocks"))]
"""Columns by which a query may skip row groups; on the others statistics only cost time."""


def required_columns(oldest: Version) -> frozenset[str]:
    """Columns that no replay of version ``oldest`` or newer lacks."""
    return frozenset(column.name for column in COLUMNS if column.since <= oldest) - _OFTEN_NULL


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
        ("frames", pa.int32()),
        ("frames_resimulated", pa.int32()),
        ("frame_gaps", pa.int32()),
        ("non_finite", pa.string()),
        ("off_lattice", pa.int32()),
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
the side dealt, ``seconds`` the length at 60 frames/s, ``non_finite`` a JSON object of column to count, ``quitter`` the side
that pressed L+R+A+Start, ``ranks`` both players' as the file name gives them, in its order (``master-diamond``; which side
has which is not told). The columns after ``is_frozen_stadium`` are ``dataset.store.quality``'s.
"""


def columns_from_table(table: pa.Table) -> dict[str, NDArray[np.generic]]:
    """``Columns`` of one replay's rows: columns that are null throughout are absent, single nulls are zeros."""
    columns: dict[str, NDArray[np.generic]] = {}
    for name, kind in _TYPES.items():
        if name not in table.column_names or table[name].null_count == len(table):
            continue
        array = table[name].combine_chunks()
        if array.null_count:
            array = array.fill_null(False if kind == pa.bool_() else 0)
        columns[name] = array.to_numpy(zero_copy_only=False)
    return columns


def wrong_nulls(table: pa.Table) -> list[str]:
    """Columns of one replay's rows, not null throughout, whose nulls are not where there is nothing to tell."""

    def is_wrong(name: str) -> bool:
        column, teller = table[name], _VALID_WHERE.get(name)
        if column.null_count == len(column):
            return False
        return column.null_count > 0 if teller is None else not column.is_valid().equals(table[teller])

    return [name for name in table.column_names if is_wrong(name)]


def rows_digest(columns: Columns) -> str:
    """Hash of one replay's rows: which columns are there, and every value."""
    names = [column.name for column in COLUMNS if column.name in columns]
    hasher = xxhash.xxh3_128(f"{len(columns['frame'])} {' '.join(names)}".encode())
    for name in names:
        hasher.update(np.ascontiguousarray(columns[name]).data)
    return hasher.hexdigest()


class FrameWriter:
    """Writes replays one after the other into a Parquet file; a context manager."""

    def __init__(self, path: str, oldest: Version) -> None:
        """Open ``path`` for replays of version ``oldest`` and newer."""
        self._required = required_columns(oldest)
        self._file = ParquetFile(path, _fields(self._required))
        self._ids: list[str] = []
        self._waiting: list[Columns] = []
        self._lengths: list[int] = []
        self.num_rows = 0

    def write(self, replay: str, columns: Columns) -> int:
        """Append a replay; returns the row at which it starts.

        Raises:
            ReplayError: it lacks a column that its version records.
        """
        if not self._required <= columns.keys():
            missing = ", ".join(sorted(self._required - columns.keys()))
            raise ReplayError("missing_columns", f"replay: its version records {missing}, found nothing there")
        start = self.num_rows
        self._ids.append(replay)
        self._waiting.append(columns)
        self._lengths.append(len(columns["frame"]))
        self.num_rows += self._lengths[-1]
        if sum(self._lengths) >= ROW_GROUP_ROWS:
            self._flush()
        return start

    def _flush(self) -> None:
        if not self._ids:
            return
        self._file.write(sum(self._lengths), self._chunk)
        self._ids, self._waiting, self._lengths = [], [], []

    def _chunk(self, name: str) -> Chunk:
        if name == "replay":
            return Chunk(np.array(self._ids, dtype=object), runs=self._lengths)
        return _chunk(name, self._waiting, self._lengths)

    def __enter__(self) -> "FrameWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._file.__exit__(kind, error, traceback)


def _fields(required: frozenset[str]) -> list[Field]:
    replay = Field(name="replay", dtype="string", is_required=True, has_statistics=True)
    return [
        replay,
        *(
            Field(name=c.name, dtype=c.dtype, is_required=c.name in required, has_statistics=c.name in _STATISTICS)
            for c in COLUMNS
        ),
    ]


def _chunk(name: str, replays: list[Columns], lengths: list[int]) -> Chunk:
    """A column of several replays."""
    dtype, teller = _DTYPES[name], _VALID_WHERE.get(name)
    found = [columns[name] for columns in replays if name in columns]
    if not found:
        return Chunk(np.zeros(0, dtype=dtype), valid=False)
    if teller is None and len(found) == len(replays):
        return Chunk(np.concatenate(found).astype(dtype, copy=False))
    parts = [
        columns[name] if name in columns else np.zeros(length, dtype=dtype)
        for columns, length in zip(replays, lengths, strict=True)
    ]
    valid = [
        np.zeros(length, dtype=np.bool_) if name not in columns else _present(columns, teller, length)
        for columns, length in zip(replays, lengths, strict=True)
    ]
    return Chunk(np.concatenate(parts).astype(dtype, copy=False), np.concatenate(valid))


def _present(columns: Columns, teller: str | None, length: int) -> NDArray[np.bool_]:
    return np.ones(length, dtype=np.bool_) if teller is None else columns[teller].astype(np.bool_)
