"""Writes Parquet files of numpy columns, for the price of their compression.

In: one row group at a time as ``Chunk``s, column by column. Out: a file that every Parquet reader reads (zstd-1, one page a
column and row group; pages and footer as in parquet.thrift of Parquet 2.11). The surprise: Arrow's own writer is not used,
because it spends three quarters of its time on what frame tables have plenty of and what costs nothing here: columns that are
null or one value throughout become a single run, and small integers are stored as their own bytes, which is what indices into
a dictionary of consecutive numbers are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from dataset.store import thrift

MAGIC = b"PAR1"
COMPRESSION_LEVEL = 1

_BOOLEAN, _INT32, _FLOAT, _BYTE_ARRAY = 0, 1, 4, 6
_PHYSICAL = {"bool": _BOOLEAN, "float32": _FLOAT, "string": _BYTE_ARRAY}
_CONVERTED = {"string": 0, "uint8": 11, "uint16": 12, "uint32": 13, "int8": 15, "int16": 16}
"""Parquet's word for what the 32 bits of a column are; others need none."""
_PLAIN, _RLE, _RLE_DICTIONARY, _BYTE_STREAM_SPLIT = 0, 3, 8, 9
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
_ZSTD = 6


@dataclass(frozen=True, kw_only=True)
class Field:
    """One column of a file."""

    name: str
    dtype: str
    """A numpy dtype name of at most 32 bits, or "string"."""
    is_required: bool = False
    """Whether no value may be null."""
    has_statistics: bool = False
    """Whether row groups tell its least and greatest value."""


class Chunk(NamedTuple):
    """One column of one row group."""

    values: NDArray[Any]
    """[N] values, or the distinct ones of ``runs``; what stands where there is none is not stored."""
    valid: NDArray[np.bool_] | bool = True
    """[N] where there is a value; True everywhere, False nowhere."""
    runs: Sequence[int] | None = None
    """How often each of ``values`` is repeated; needed for strings."""


class ParquetFile:
    """A Parquet file being written; a context manager."""

    def __init__(self, path: str | Path, fields: Sequence[Field]) -> None:
        self._file = Path(path).open("wb")  # noqa: SIM115 (closed by the context)
        self._file.write(MAGIC)
        self._fields = fields
        self._groups: list[thrift.Struct] = []
        self._rows = 0
        self._compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)

    def write(self, num_rows: int, chunk_of: Callable[[str], Chunk]) -> None:
        """Append a row group; each field is asked for by name when it is its turn, so that it comes fresh in the cache."""
        start = self._file.tell()
        columns = [self._write_chunk(field, num_rows, chunk_of(field.name)) for field in self._fields]
        size = sum(column[3][6] for column in columns)
        stored = self._file.tell() - start
        self._groups.append(
            {
                1: columns,
                2: thrift.I64(size),
                3: thrift.I64(num_rows),
                5: thrift.I64(start),
                6: thrift.I64(stored),
                7: thrift.I16(len(self._groups)),
            }
        )
        self._rows += num_rows

    def _write_chunk(self, field: Field, num_rows: int, chunk: Chunk) -> thrift.Struct:
        start, size = self._file.tell(), 0
        pages = _pages(field, num_rows, chunk)
        about: thrift.Struct = {
            1: _PHYSICAL.get(field.dtype, _INT32),
            3: [field.name],
            4: _ZSTD,
            5: thrift.I64(num_rows),
        }
        for header, page in pages:
            about[9 if header[1] == _DATA_PAGE else 11] = thrift.I64(self._file.tell())
            size += self._write_page(header, page)
        about |= {2: [pages[-1][0][5][2], _PLAIN, _RLE], 6: thrift.I64(size), 7: thrift.I64(self._file.tell() - start)}
        about[12] = _statistics(field, num_rows, chunk)
        return {2: thrift.I64(start), 3: dict(sorted(about.items()))}

    def _write_page(self, header: thrift.Struct, page: bytes | memoryview) -> int:
        """Append a page; returns its size, header included, before compression."""
        packed = self._compressor.compress(page)
        head = thrift.encode(dict(sorted((header | {2: len(page), 3: len(packed)}).items())))
        self._file.write(head)
        self._file.write(packed)
        return len(head) + len(page)

    def _close(self) -> None:
        footer = thrift.encode(
            {
                1: 2,
                2: [{4: "schema", 5: len(self._fields)}, *(_schema_element(field) for field in self._fields)],
                3: thrift.I64(self._rows),
                4: self._groups,
                6: "exphil",
                7: [{1: {}} for _ in self._fields],  # statistics are ordered as the columns' types are
            }
        )
        self._file.write(footer + len(footer).to_bytes(4, "little") + MAGIC)

    def __enter__(self) -> "ParquetFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._close()
        finally:
            self._file.close()


def _schema_element(field: Field) -> thrift.Struct:
    element: thrift.Struct = {1: _PHYSICAL.get(field.dtype, _INT32), 3: 0 if field.is_required else 1, 4: field.name}
    return element | ({6: _CONVERTED[field.dtype]} if field.dtype in _CONVERTED else {})


def _pages(field: Field, num_rows: int, chunk: Chunk) -> list[tuple[thrift.Struct, bytes | memoryview]]:
    """Headers, less their sizes, and bytes of a chunk's pages: one of data, and before it a dictionary if need be."""
    levels = b"" if field.is_required else _levels(num_rows, chunk.valid)
    values = chunk.values if chunk.runs is not None or isinstance(chunk.valid, bool) else chunk.values[chunk.valid]
    values = values[:0] if chunk.valid is False else values
    encoding, data, dictionary = _encoded(values, chunk.runs)
    page = b"".join((levels, data)) if levels else data
    pages: list[tuple[thrift.Struct, bytes | memoryview]] = [
        ({1: _DATA_PAGE, 5: {1: num_rows, 2: encoding, 3: _RLE, 4: _RLE}}, page)
    ]
    if dictionary is not None:
        pages.insert(0, ({1: _DICTIONARY_PAGE, 7: {1: len(dictionary), 2: _PLAIN}}, _plain(dictionary)))
    return pages


def _encoded(values: NDArray[Any], runs: Sequence[int] | None) -> tuple[int, bytes | memoryview, NDArray[Any] | None]:
    """(encoding, bytes, dictionary) of the values that are there."""
    if runs is not None:
        width = max(1, (len(values) - 1).bit_length())
        repeated = (_run(count, index, width) for index, count in enumerate(runs))
        return _RLE_DICTIONARY, bytes([width]) + b"".join(repeated), values
    if len(values) and _is_constant(values):
        return _RLE_DICTIONARY, b"\x01" + _run(len(values), 0, 1), values[:1]
    if values.dtype == np.bool_:
        return _PLAIN, np.packbits(values, bitorder="little").tobytes(), None
    if values.dtype.itemsize == 1 and len(values):
        least = int(values.min())
        words = np.arange(least, int(values.max()) + 1, dtype=np.int32)
        indices = values.view(np.uint8) - np.uint8(least & 0xFF)  # modulo 256
        return _RLE_DICTIONARY, b"\x08" + _bit_packed(indices.data, len(values), 8), words
    return _BYTE_STREAM_SPLIT, _byte_planes(values), None


def _is_constant(values: NDArray[Any]) -> bool:
    bits = values.view(f"u{values.dtype.itemsize}")  # 0.0 and -0.0 are two values
    few = bits[:: 1 + len(bits) // 1000]  # which tell most columns that are not
    return values.dtype != np.bool_ and bool((few == bits[0]).all()) and bool((bits == bits[0]).all())


def _byte_planes(values: NDArray[Any]) -> memoryview:
    """The first bytes of all values as 32-bit numbers, then all second ones, and so on."""
    bits = (values if values.dtype.itemsize == 4 else values.astype(np.int32)).view(np.uint32)
    planes, shifted = np.empty((4, len(bits)), dtype=np.uint8), np.empty_like(bits)
    planes[0] = bits
    for byte in range(1, 4):
        np.right_shift(bits, 8 * byte, out=shifted)
        planes[byte] = shifted
    return planes.reshape(-1).data


def _plain(words: NDArray[Any]) -> bytes:
    if words.dtype.kind not in "OU":
        return words.astype(words.dtype if words.dtype.itemsize == 4 else np.int32).tobytes()
    texts = [str(word).encode() for word in words]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def _levels(num_rows: int, valid: NDArray[np.bool_] | bool) -> bytes:
    """Which values are there, as definition levels with their length before them."""
    if isinstance(valid, bool):
        levels = _run(num_rows, int(valid), 1)
    else:
        levels = _bit_packed(np.packbits(valid, bitorder="little").tobytes(), num_rows, 1)
    return len(levels).to_bytes(4, "little") + levels


def _run(count: int, value: int, width: int) -> bytes:
    """``value`` of ``width`` bits, ``count`` times."""
    return thrift.varint(count << 1) + value.to_bytes((width + 7) // 8, "little")


def _bit_packed(data: bytes | memoryview, count: int, width: int) -> bytes:
    """``count`` values of ``width`` bits that lie packed in ``data``, filled up to whole groups of eight."""
    groups = -(-count // 8)
    return b"".join((thrift.varint(groups << 1 | 1), data, bytes(groups * width - len(data))))


def _statistics(field: Field, num_rows: int, chunk: Chunk) -> thrift.Struct:
    missing = num_rows - _count(num_rows, chunk.valid)
    if not field.has_statistics or missing:
        return {3: thrift.I64(missing)}
    words = chunk.values if chunk.runs is None else sorted(chunk.values)
    least, greatest = (words.min(), words.max()) if isinstance(words, np.ndarray) else (words[0], words[-1])
    return {3: thrift.I64(0), 5: _plain_value(greatest), 6: _plain_value(least)}


def _count(num_rows: int, valid: NDArray[np.bool_] | bool) -> int:
    return num_rows * valid if isinstance(valid, bool) else int(np.count_nonzero(valid))


def _plain_value(word: Any) -> bytes:
    return str(word).encode() if isinstance(word, str) else int(word).to_bytes(4, "little", signed=int(word) < 0)
