"""The members of a ``.7z``, through py7zr (extra ``[7z]``), which unpacks them into a temporary file.

A 7z is one compressed stream or a few, so its members come cheaply only together: as many as ``UNPACKED_BYTES`` hold are
unpacked at a time, and given up when others are asked for. What lies behind a damaged member of the same part is lost with it.
"""

import errno
import io
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile, gettempdir
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any

from dataset.errors import ConfigError

if TYPE_CHECKING:
    from py7zr import FileInfo, SevenZipFile

Pass = Callable[[int, int, Callable[[], bytes | None]], None]
"""Called with a member that a reader passes: its position, its size and how to read it, now or never."""

UNPACKED_BYTES = 2**32
"""What may be unpacked at a time, about 1 000 games; 7-Zip itself begins another stream after as much."""


class SevenZipError(ValueError):
    """The archive or a member is damaged, too large, or named to lie outside."""


class PasswordError(Exception):
    """The archive's list of members is encrypted."""


def list_members(path: Path) -> list[tuple[int, str, int, int | None, str | None]]:
    """(position, name, bytes, CRC-32, why it cannot be read) of every member but folders, in order.

    Raises:
        ConfigError: py7zr is not installed.
        PasswordError, SevenZipError: the archive's list cannot be read.
    """
    with _opened(path) as archive:
        secret = "encrypted" if archive.needs_password() else None
        return [
            (position, info.filename, info.uncompressed, info.crc32, "lost_link" if info.is_symlink else secret)
            for position, info in enumerate(archive.list())
            if not info.is_directory
        ]


class SevenZipReader:
    """Reads the members of one archive, in any order."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Read members of up to ``max_bytes``; larger ones are not unpacked."""
        with _opened(path) as archive:
            self._path, self._infos = path, archive.list()
        self._part_of: dict[int, int] = {}
        part, room = 0, UNPACKED_BYTES
        for position, info in enumerate(self._infos):
            if not info.is_directory and info.uncompressed <= max_bytes and _is_inside(info.filename):
                if info.uncompressed > room:
                    part, room = part + 1, UNPACKED_BYTES
                self._part_of[position] = part
                room -= info.uncompressed
        self._part: int | None = None
        self._file: IO[bytes] | None = None
        self._starts: dict[int, int] = {}

    def open(self, position: int, pass_by: Pass) -> IO[bytes]:
        """The member that stands at ``position`` in the list; ``pass_by`` is called with those that are given up for it.

        Raises:
            SevenZipError: it cannot be had.
            ConfigError: there is no room to unpack it.
        """
        part = self._part_of.get(position)
        if part is None:
            raise SevenZipError("the member is too large or named to lie outside the archive")
        if part != self._part:
            for other in self._starts:
                pass_by(other, self._infos[other].uncompressed, partial(self._unpacked, other))
            self.close()
            self._unpack(part)
        data = self._unpacked(position)
        if data is None:
            raise SevenZipError("the member, or one before it, is damaged")
        return io.BytesIO(data)

    def close(self) -> None:
        """Give up what is unpacked."""
        if self._file is not None:
            self._file.close()
        self._file, self._part, self._starts = None, None, {}

    def _unpacked(self, position: int) -> bytes | None:
        """The bytes of a member of the part that is unpacked; ``None`` if they are not those that the archive lists."""
        info = self._infos[position]
        if self._file is None or position not in self._starts:
            return None
        self._file.seek(self._starts[position])
        data = self._file.read(info.uncompressed)
        is_whole = len(data) == info.uncompressed and (not data or info.crc32 in (None, zlib.crc32(data)))
        return data if is_whole else None

    def _unpack(self, part: int) -> None:
        from py7zr.io import NullIO

        infos = [self._infos[position] for position, of in self._part_of.items() if of == part]
        needed = sum(info.uncompressed for info in infos)
        if needed > shutil.disk_usage(gettempdir()).free:
            raise self._no_room(needed)
        positions = {name: position for position, name in enumerate(_unique_names(self._infos))}
        self._part = part
        file = self._file = TemporaryFile(buffering=0)  # noqa: SIM115  (without a name, so a kill leaves nothing behind)
        with ExitStack() as stack:

            def create(name: str) -> Any:
                """Where py7zr writes a member; closed when it is whole."""
                if self._part_of.get(positions[name]) != part:
                    return NullIO()
                self._starts[positions[name]] = file.seek(0, os.SEEK_END)
                return stack.enter_context(os.fdopen(os.dup(file.fileno()), "wb"))

            try:
                # An open file, unlike a path, is unpacked on one thread and in order.
                with _opened(self._path) as archive:
                    archive.extract(targets={info.filename for info in infos}, factory=SimpleNamespace(create=create))
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise self._no_room(needed) from error
            except (SevenZipError, PasswordError):
                pass  # what came before the damage can be read

    def _no_room(self, needed: int) -> ConfigError:
        return ConfigError(
            f"source {self._path}: needs {needed / 1e9:.2f} GB to unpack into, found less in {gettempdir()}; "
            "set TMPDIR to a folder with more room"
        )


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _unique_names(infos: "list[FileInfo]") -> list[str]:
    """Names as py7zr writes them: of several alike, the later ones get a number."""
    seen: Counter[str] = Counter()
    names = []
    for info in infos:
        count = seen[info.filename]
        names.append(info.filename if not count else f"{info.filename}_{count - 1}")
        seen[info.filename] += 1
    return names


@contextmanager
def _opened(path: Path) -> Iterator["SevenZipFile"]:
    try:
        import py7zr
    except ImportError as error:
        raise ConfigError(
            f"source {path}: .7z archives need py7zr, found none installed; pip install 'exphil[7z]', or unpack it"
        ) from error
    try:
        with path.open("rb") as file, py7zr.SevenZipFile(file) as archive:
            yield archive
    except OSError:
        raise
    except py7zr.PasswordRequired as error:
        raise PasswordError from error
    except Exception as error:  # damage makes py7zr raise whatever it stumbles over
        raise SevenZipError(type(error).__name__) from error
