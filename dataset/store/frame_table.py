"""The frame table as Parquet, one row a frame and replay after replay, and the writer of all shards of a store.

A frame shard holds replays that record the same columns. What their Slippi version lacks is left out of the file, since null
columns would double the time it takes to write. Readers insert it as null: ``scan_frames`` here, ``union_by_name`` in DuckDB.
Row groups never cut a replay, so that one replay can be read without the others.
"""

import re
import tarfile
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from dataset.codecs.base import Codec
from dataset.errors import SchemaError, ShardError
from dataset.features.encoder import controller_matrix, encode_columns
from dataset.features.layout import kept_columns
from dataset.io.atomic import replacing, sha256_of
from dataset.schema import COLUMNS, SIDES, Columns, Version
from dataset.store.manifest import SPLITS, ShardInfo
from dataset.store.manifest_rules import LAST_NUMBER, SHARD_NAME
from dataset.stream.window_shards import About, Packed, Sample, add_packed, add_sample, open_shard

ROW_GROUP_ROWS = 65_536
"""A row group is closed by the replay that fills it to this many rows."""

_TYPES = {column.name: pa.from_numpy_dtype(np.dtype(column.dtype)) for column in COLUMNS}

FRAME_SCHEMA = pa.schema([("replay", pa.string()), *_TYPES.items()])
"""Columns of the frame table; ``replay`` is the id. A shard in ``frames/`` has those that its replays record, in this order."""

_POLARS_SCHEMA = pl.DataFrame(FRAME_SCHEMA.empty_table()).schema

_PRESENT_WHERE = {
    column.name: f"{side}_nana_exists"
    for side in SIDES
    for column in COLUMNS
    if column.name.startswith(f"{side}_nana_") and column.name != f"{side}_nana_exists"
}
"""Columns with nulls, and the column that is true where they hold a value."""

_OFTEN_ABSENT = {*_PRESENT_WHERE, *(f"{side}_trigger_{which}" for side in SIDES for which in "lr")}
"""Columns that a replay of any version may lack."""

_ALWAYS_HELD, _DENSEST, _WIDEST = 2**24, 64, 2048
"""Rows or bytes that any frame shard may announce, rows for each of its bytes, and bytes of each row."""

_STATISTICS = ["replay", "frame", "stage", *(f"{side}_{name}" for side in SIDES for name in ("character", "stocks"))]
"""Columns by which a query may skip row groups; on the others statistics only cost time."""

_BYTE_STREAM_SPLIT = re.compile(
    "frame|([ab]_|item._)(nana_)?"
    "(x|shield|speed_air_x|speed_attack_[xy]|action_state|main_[xy]|raw_[xy]|trigger(_[lr])?|buttons(_processed)?)"
)
"""Columns stored as all first bytes, then all second ones, and so on. With these 22.6 bytes per frame of Falco games, with none
26.2, with all 23.4. Dictionaries, Arrow's default, take half as long again, and floats take more bytes in them."""


def missing_columns(columns: Container[str], version: Version) -> list[str]:
    """Columns that every replay of ``version`` records and this one lacks."""
    recorded = (column.name for column in COLUMNS if column.since <= version and column.name not in _OFTEN_ABSENT)
    return [name for name in recorded if name not in columns]


def scan_frames(paths: Sequence[Path | str]) -> pl.LazyFrame:
    """The rows of frame shards under all columns of ``FRAME_SCHEMA``; those that a shard lacks are null."""
    return pl.scan_parquet(list(map(str, paths)), schema=_POLARS_SCHEMA, missing_columns="insert")


def frame_shard_faults(path: Path, shard: ShardInfo) -> list[str]:
    """How the Parquet of a frame shard differs from what ``FrameWriter`` writes, in words; none of its rows is read.

    Raises:
        ShardError: it is no Parquet, or announces more than its bytes can hold.
    """
    try:
        about = pq.read_metadata(path)
        found = about.schema.to_arrow_schema()
        size = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
    except (OSError, pa.ArrowException, ValueError) as error:
        raise _damaged(shard.path, error) from error
    if about.num_rows > _ALWAYS_HELD + _DENSEST * path.stat().st_size or size > _ALWAYS_HELD + _WIDEST * about.num_rows:
        raise ShardError(
            f"shard {shard.path}: must hold what it announces, found {about.num_rows:,} rows of {size:,} bytes in a file of "
            f"{path.stat().st_size:,}; copy the store again or run 'exphil ingest --rebuild'"
        )
    faults = [f"has {about.num_rows} rows, not {shard.frames}"] if about.num_rows != shard.frames else []
    known = [FRAME_SCHEMA.field(name) for name in FRAME_SCHEMA.names if name in found.names]
    is_known = found.names == [field.name for field in known] and not missing_columns(
        dict.fromkeys(found.names), (0, 1, 0)
    )
    if not is_known or any(not _is_alike(found.field(field.name).type, field.type) for field in known):
        faults.append("has other columns than the frame table")
    return faults


def require_frame_shard(path: Path, shard: ShardInfo) -> Path:
    """The path itself.

    Raises:
        ShardError: what lies there is no frame shard as exphil writes it.
    """
    if faults := frame_shard_faults(path, shard):
        raise ShardError(
            f"shard {shard.path}: must be what the manifest lists, found that it {faults[0]}; copy the store again or run "
            "'exphil ingest --rebuild'"
        )
    return path


def _is_alike(found: pa.DataType, kind: pa.DataType) -> bool:
    return found == kind or {found, kind} <= {pa.string(), pa.large_string()}


def _damaged(path: str, error: Exception) -> ShardError:
    return ShardError(
        f"shard {path}: must be Parquet as exphil writes it, found damage ({' '.join(str(error).split())[:200]}); copy it again "
        "or run 'exphil ingest --rebuild'"
    )


def read_replays(path: Path, rows: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], pa.Table]]:
    """The frames of some replays of a frame shard, one row group in memory at a time.

    Args:
        path: the shard.
        rows: their rows of the table of replays, by ascending ``row_start``.

    Raises:
        SchemaError: a replay's rows are not inside one row group, or are damaged.
    """
    waiting = deque(rows)
    with pq.ParquetFile(path) as file:
        last = 0
        for group in range(file.metadata.num_row_groups):
            first, last = last, last + file.metadata.row_group(group).num_rows
            try:
                table = file.read_row_group(group) if waiting and waiting[0]["row_start"] < last else None
            except (OSError, pa.ArrowException) as error:
                raise _damaged(path.name, error) from error
            while table is not None and waiting and first <= waiting[0]["row_start"] <= last - waiting[0]["frames"]:
                row = waiting.popleft()
                yield row, table.slice(row["row_start"] - first, row["frames"])
    if waiting:
        row = waiting[0]
        raise SchemaError(
            f"shard {path.name}: replay {row['id']} must lie in rows {row['row_start']}…{row['row_start'] + row['frames']}, "
            f"inside one row group, found {last} rows grouped otherwise; run 'exphil ingest --rebuild'"
        )


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
    """Columns of one replay's rows with a null where a value belongs, or a value where none does."""

    def is_wrong(name: str) -> bool:
        column, flag = table[name], _PRESENT_WHERE.get(name)
        if column.null_count == len(column):
            return False
        return column.null_count > 0 if flag is None else not column.is_valid().equals(table[flag])

    return [name for name in table.column_names if is_wrong(name)]


def rows_digest(columns: Columns) -> str:
    """Hash of one replay's rows: which columns are there, and every value."""
    names = [column.name for column in COLUMNS if column.name in columns]
    hasher = xxhash.xxh3_128(f"{len(columns['frame'])} {' '.join(names)}".encode())
    for name in names:
        hasher.update(np.ascontiguousarray(columns[name]).data)
    return hasher.hexdigest()


class FrameWriter:
    """Writes replays that record the same columns into a Parquet file; a context manager."""

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        """Open ``path`` for replays whose ``Columns`` have these ``names``."""
        self._schema = _shard_schema(frozenset(names))
        self._file = path.open("wb")  # an error of a file that Arrow opened would not carry the system's own words
        self._writer = pq.ParquetWriter(
            self._file,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=["replay"],
            column_encoding={
                name: "BYTE_STREAM_SPLIT" for name in self._schema.names if _BYTE_STREAM_SPLIT.fullmatch(name)
            },
            write_statistics=[name for name in _STATISTICS if name in self._schema.names],
            store_schema=False,  # whoever reads the file takes the types from Parquet's own
        )
        self._waiting: list[pa.Table] = []
        self.num_rows = 0

    def write(self, replay: str, columns: Columns) -> int:
        """Append a replay; returns the row at which it starts."""
        start, length = self.num_rows, len(columns["frame"])
        arrays = [pa.repeat(replay, length), *(_array(name, columns) for name in self._schema.names[1:])]
        self._waiting.append(pa.Table.from_arrays(arrays, schema=self._schema))
        self.num_rows += length
        if sum(map(len, self._waiting)) >= ROW_GROUP_ROWS:
            self._flush()
        return start

    def _flush(self) -> None:
        if self._waiting:
            table = pa.concat_tables(self._waiting)
            self._writer.write_table(table, row_group_size=len(table))
            self._waiting = []

    def __enter__(self) -> "FrameWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._file, self._writer:
            if kind is None:
                self._flush()


def _shard_schema(names: frozenset[str]) -> pa.Schema:
    """Those of the frame table's columns, which hold nulls only where Nana comes and goes."""
    kept = ("replay", *(name for name in _TYPES if name in names))
    return pa.schema([FRAME_SCHEMA.field(name).with_nullable(name in _PRESENT_WHERE) for name in kept])


def _array(name: str, columns: Columns) -> pa.Array:
    flag = _PRESENT_WHERE.get(name)
    return pa.array(columns[name], type=_TYPES[name], mask=None if flag is None else ~columns[flag].astype(np.bool_))


def shard_number(path: str) -> int | None:
    """The number of the shard at ``path`` below its store; ``None`` where that is no shard's name."""
    found = SHARD_NAME.fullmatch(path)
    return None if found is None else int(found["frames"] or found["windows"])


def next_number(paths: Iterable[str]) -> int:
    """The least number above those of all shards among ``paths``.

    Raises:
        SchemaError: there is none left that fits a shard's name.
    """
    following = max((number + 1 for number in map(shard_number, paths) if number is not None), default=0)
    if following > LAST_NUMBER:
        raise SchemaError(
            f"store: shards are numbered up to {LAST_NUMBER}, found that number taken; run 'exphil ingest --rebuild'"
        )
    return following


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


class ShardWriter:
    """Writes the shards of one number: a frame shard for each set of columns, a window shard for each split.

    A context manager that leaves nothing behind on an error. The files are whole and durable when it closes, but readers ignore
    them until the manifest lists them.
    """

    def __init__(self, folder: Path, number: int) -> None:
        """Write into the store at ``folder``."""
        self._folder, self._number = folder, number
        self._files = ExitStack()
        self._frames: dict[frozenset[str], tuple[str, FrameWriter]] = {}
        self._windows: dict[str, tuple[str, tarfile.TarFile]] = {}
        self._lengths: dict[str, list[int]] = {}
        self.shards: tuple[ShardInfo, ...] = ()
        """What was written; filled when the context closes."""

    def add_frames(self, replay: str, columns: Columns) -> tuple[str, int]:
        """Append a replay to the frame shard of its columns; returns the shard's path and the row at which it starts."""
        names = frozenset(columns)
        if names not in self._frames:
            more = f"_{len(self._frames)}" if self._frames else ""
            name = f"frames/frames-{self._number:05d}{more}.parquet"
            self._frames[names] = name, self._files.enter_context(FrameWriter(self._open(name), names))
        name, writer = self._frames[names]
        self._lengths[name].append(len(columns["frame"]))
        return name, writer.write(replay, columns)

    def add_window(self, sample: Sample, split: str) -> None:
        """Append an encoded replay to the window shard of its split."""
        add_sample(self._window_shard(split, sample.num_frames), sample)

    def add_packed(self, about: About, packed: Packed, split: str) -> None:
        """Append a replay as another window shard holds it."""
        add_packed(self._window_shard(split, about.num_frames), about.id, packed)

    def _window_shard(self, split: str, num_frames: int) -> tarfile.TarFile:
        """The window shard of a split, which gets a sample of so many frames."""
        if split not in SPLITS:
            raise SchemaError(
                f"window shard: the split of a replay must be one of {', '.join(SPLITS)}, found {split[:40]!a}"
            )
        if split not in self._windows:
            name = f"windows/{split}-{self._number:06d}.tar"
            file = self._files.enter_context(self._open(name).open("wb"))
            self._windows[split] = name, self._files.enter_context(open_shard(file))
        name, shard = self._windows[split]
        self._lengths[name].append(num_frames)
        return shard

    def _open(self, name: str) -> Path:
        """Where to write the shard of that name until it is whole."""
        self._lengths[name] = []
        return self._files.enter_context(replacing(self._folder / name))

    def _info(self, name: str, split: str | None) -> ShardInfo:
        path = self._folder / name
        return ShardInfo(
            path=name,
            kind="frames" if split is None else "windows",
            split=split,
            sha256=sha256_of(path),
            bytes=path.stat().st_size,
            samples=len(self._lengths[name]),
            frames=sum(self._lengths[name]),
        )

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, traceback)
        if kind is None:
            frames = [self._info(name, None) for name, _ in self._frames.values()]
            windows = [self._info(name, split) for split, (name, _) in self._windows.items()]
            self.shards = (*frames, *windows)
