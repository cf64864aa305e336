"""Unpacks archives piece by piece and within bounds, so that a small file from a stranger cannot fill the memory or the day.

Replays pack to between a sixth and a twentieth of their bytes. An archive that unpacks to ``MOST_TIMES`` its own bytes holds
something else: what comes before that counts, and the rest is refused.
"""

import bz2
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import zstandard

T = TypeVar("T")

MAX_MEMBERS = 500_000
"""Of one archive; 100 GB of replays are some 40 000."""

MOST_TIMES = 256
"""What an archive may unpack to, in its own bytes ..."""
FREE_BYTES = 2**28
"""... and these on top, so that small archives may hold a game of any size."""

PIECE_BYTES = 2**15
"""Unpacked at a time; tarfile copies as much for each header."""

_DIRECTORY_BYTES = 2**28
"""Of a zip's list of members; ``MAX_MEMBERS`` take about a third of it."""
_ENTRY = b"PK\x01\x02"
"""What each entry of it begins with."""
_HEADER_BYTES = 2**16
"""Of a tar's extended header, which holds a name and a few attributes, and is read whole."""
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_GZIP_TAIL = 8


class TooLargeError(ValueError):
    """An archive holds more than an archive of replays can."""


class Budget:
    """What may still be unpacked of an archive."""

    def __init__(self, packed_bytes: int) -> None:
        self._left = FREE_BYTES + MOST_TIMES * packed_bytes

    def spend(self, size: int) -> None:
        """Count unpacked bytes.

        Raises:
            TooLargeError: there are too many.
        """
        self._left -= size
        if self._left < 0:
            raise TooLargeError("it unpacks to far more bytes than replays would")


def bounded(members: Iterable[T]) -> Iterator[tuple[int, T]]:
    """Position and member.

    Raises:
        TooLargeError: there are more than ``MAX_MEMBERS``.
    """
    for position, member in enumerate(members):
        if position >= MAX_MEMBERS:
            raise TooLargeError("it has too many members")
        yield position, member


@contextmanager
def open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """A tar, whatever it is compressed by; only a plain one can be read in any order."""
    if path.name.lower().endswith(".tar"):
        with tarfile.open(path, "r:", tarinfo=_TarInfo) as tar:
            yield tar
        return
    with path.open("rb") as file:
        pieces = _pieces(file, is_zstd=path.name.lower().endswith(".zst"))
        stream = cast("IO[bytes]", _Stream(pieces, Budget(path.stat().st_size)))
        with tarfile.open(fileobj=stream, mode="r|", bufsize=PIECE_BYTES, tarinfo=_TarInfo) as tar:
            yield tar


def open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """A zip's member. zipfile unpacks bzip2 without a bound, gigabytes from a few kilobytes, so that is done here."""
    if info.compress_type != zipfile.ZIP_BZIP2:
        return archive.open(info)
    packed = copy(info)
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, info.compress_size
    packed.CRC = cast("int", None)  # bzip2 has checksums of its own
    return io.BufferedReader(_Stream(_by_streams(archive.open(packed), bz2.BZ2Decompressor)))


class _Stream(io.RawIOBase):
    """Unpacked bytes as a file; what comes before damage is given out before the error."""

    def __init__(self, pieces: Iterator[bytes], budget: Budget | None = None) -> None:
        self._pieces, self._budget, self._piece = pieces, budget, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._piece:
            self._piece = memoryview(next(self._pieces, b""))
            if self._budget is not None:
                self._budget.spend(len(self._piece))
        size = min(len(buffer), len(self._piece))
        buffer[:size], self._piece = self._piece[:size], self._piece[size:]
        return size


def _pieces(file: IO[bytes], *, is_zstd: bool) -> Iterator[bytes]:
    """What a compressed file unpacks to, a piece at a time; its first bytes say how."""
    head = file.read(6)
    file.seek(0)
    if is_zstd or head.startswith(b"\x28\xb5\x2f\xfd"):
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        return iter(lambda: reader.read(PIECE_BYTES), b"")
    if head.startswith(b"\x1f\x8b"):
        return _gunzipped(file)
    if head.startswith(b"BZh"):
        return _by_streams(file, bz2.BZ2Decompressor)
    if head.startswith((b"\xfd7zXZ", b"\x5d\0\0\x80")):
        return _by_streams(file, lzma.LZMADecompressor)
    return iter(lambda: file.read(PIECE_BYTES), b"")


def _by_streams(file: IO[bytes], start: Callable[[], Any]) -> Iterator[bytes]:
    """Unpack one stream after the other, as parallel packers write them."""
    data = file.read(PIECE_BYTES)
    while data:
        unpacker = start()
        while not unpacker.eof:
            if unpacker.needs_input:
                data = data or _more(file)
            piece = unpacker.decompress(data, PIECE_BYTES)
            data = b""
            if piece:
                yield piece
        data = (unpacker.unused_data or file.read(PIECE_BYTES)).lstrip(b"\0")


def _gunzipped(file: IO[bytes]) -> Iterator[bytes]:
    """Unpack gzip members; their checksums come too late to say which replay is damaged, so they are not looked at."""
    data = file.read(2 * _HEADER_BYTES)
    while data.startswith(b"\x1f\x8b"):
        data = data[_gzip_header_bytes(data) :]
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        while not inflate.eof:
            piece = inflate.decompress(data or _more(file), PIECE_BYTES)
            data = inflate.unconsumed_tail
            if piece:
                yield piece
        data = (inflate.unused_data + file.read(2 * _HEADER_BYTES))[_GZIP_TAIL:].lstrip(b"\0")


def _gzip_header_bytes(data: bytes) -> int:
    """How long a gzip header is (RFC 1952, section 2.3)."""
    flags, end = data[3], 10
    if flags & 4:
        end += 2 + int.from_bytes(data[end : end + 2], "little")
    for has_text in (flags & 8, flags & 16):
        if has_text:
            end = data.index(b"\0", end) + 1
    return end + (2 if flags & 2 else 0)


def _more(file: IO[bytes]) -> bytes:
    data = file.read(PIECE_BYTES)
    if not data:
        raise EOFError("the compressed stream was cut")
    return data


_LARGEST_BYTES = 2**38
"""Of a member: tarfile passes over one piece by piece, also where the archive has long ended."""


class _TarInfo(tarfile.TarInfo):
    """Refuses headers that lead backwards, where a reader would go round for ever, or that fill the memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_TarInfo":
        info = super().frombuf(buf, encoding, errors)
        if not 0 <= info.size <= _LARGEST_BYTES or (info.type in _HEADERS and info.size > _HEADER_BYTES):
            raise tarfile.ReadError("a size that no header has")
        return info

    def _apply_pax_info(self, *arguments: Any) -> None:
        super()._apply_pax_info(*arguments)  # type: ignore[misc]
        if not 0 <= self.size <= _LARGEST_BYTES:
            raise tarfile.ReadError("a size that no file has")

    def _proc_gnusparse_10(self, *arguments: Any) -> None:
        raise tarfile.ReadError("a map of holes of any length, which no replay has")


class BoundedZip(zipfile.ZipFile):
    """A zip, whose list of members fits in memory."""

    _opened: "_ZipFile | None" = None

    def __init__(self, path: Path) -> None:
        """Open the zip.

        Raises:
            TooLargeError: it has too many members.
        """
        self._opened = _ZipFile(io.FileIO(path))
        try:
            super().__init__(self._opened)
        except BaseException:
            self._opened.close()
            raise

    def close(self) -> None:
        """Close the zip and its file."""
        super().close()
        if self._opened is not None:
            self._opened.close()


class _ZipFile(io.BufferedReader):
    """The file of a zip, whose list of members zipfile reads whole."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and 0 <= size <= PIECE_BYTES:
            return super().read(size)
        left = max(0, os.fstat(self.fileno()).st_size - self.tell())
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > _DIRECTORY_BYTES or (data := super().read(wanted)).count(_ENTRY) > MAX_MEMBERS:
            raise TooLargeError("its list of members is too long")
        return data
