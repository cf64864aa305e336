"""The members of a ``.7z`` one after the other, in memory; py7zr (extra ``[7z]``) unpacks, on a thread of its own.

In: an archive and a member's position. Out: its bytes. The surprise: py7zr only *pushes* what it unpacks, so a thread holds it
back until the next member is asked for: three members at most are in memory, none on disk. A 7z is one compressed stream, so
going back starts over, and all that lies behind a damaged member is lost with it.
"""

import queue
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dataset.errors import ConfigError

if TYPE_CHECKING:
    from py7zr import FileInfo, SevenZipFile

Pass = Callable[[int, int, Callable[[], bytes]], None]
"""Is told of a member that a stream passes: its position, its size and how to read it, now or never."""

MAX_MEMBER_BYTES = 2**28
"""A quarter of a gigabyte: real replays have up to 20 MB, and a member is in memory whole."""
_LOOK_EVERY_S = 0.1
"""How often the thread looks whether it is still wanted."""


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


class SevenZipCursor:
    """A 7z read forward; going back starts over."""

    def __init__(self, path: Path) -> None:
        with _opened(path) as archive:
            self._path, self._infos = path, archive.list()
        self._names = _unique_names(self._infos)
        self._positions = {name: position for position, name in enumerate(self._names)}
        self._flow: _Flow | None = None
        self._passed: set[str] = set()

    def at(self, position: int, pass_by: Pass) -> bytes:
        """The member that stands at ``position`` in the list; ``pass_by`` is told of those on the way.

        Raises:
            SevenZipError: it cannot be had.
        """
        info, name = self._infos[position], self._names[position]
        if info.uncompressed > MAX_MEMBER_BYTES or not _is_inside(info.filename):
            raise SevenZipError("the member is too large or named to lie outside the archive")
        if self._flow is None or name in self._passed:
            self.close()
            wanted = {other.filename for other in self._infos if _is_wanted(other)}
            self._flow = _Flow(self._path, wanted)
        found, data = self._next()
        while found != position:
            if self._is_whole(found, data):
                pass_by(found, len(data), partial(bytes, data))
            found, data = self._next()
        if not self._is_whole(position, data):
            raise SevenZipError("the member's checksum is another")
        return data

    def _next(self) -> tuple[int, bytes]:
        assert self._flow is not None, "it is started before"
        name, data = self._flow.next()
        self._passed.add(name)
        return self._positions[name], data

    def _is_whole(self, position: int, data: bytes) -> bool:
        info = self._infos[position]
        return len(data) == info.uncompressed and (not data or info.crc32 in (None, zlib.crc32(data)))

    def close(self) -> None:
        """End the thread."""
        if self._flow is not None:
            self._flow.stop()
        self._flow, self._passed = None, set()


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _is_wanted(info: "FileInfo") -> bool:
    return not info.is_directory and info.uncompressed <= MAX_MEMBER_BYTES and _is_inside(info.filename)


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
    py7zr = _py7zr(path)
    try:
        with path.open("rb") as file, py7zr.SevenZipFile(file) as archive:
            yield archive
    except OSError:
        raise
    except py7zr.PasswordRequired as error:
        raise PasswordError from error
    except Exception as error:  # damage makes py7zr raise whatever it stumbles over
        raise SevenZipError(type(error).__name__) from error


def _py7zr(path: Path) -> Any:
    try:
        import py7zr
    except ImportError as error:
        raise ConfigError(
            f"source {path}: .7z archives need py7zr, found none installed; pip install 'exphil[7z]', or unpack it"
        ) from error
    return py7zr


class _Stopped(Exception):  # noqa: N818 (no error)
    """The rest of the archive is not wanted."""


class _Flow:
    """Unpacks on a thread; ``next`` waits for the next member."""

    def __init__(self, path: Path, wanted: Collection[str]) -> None:
        self._path, self._wanted = path, wanted
        self._members: queue.Queue[tuple[str, bytes] | SevenZipError] = queue.Queue(maxsize=1)
        self._is_stopped = threading.Event()
        self._end: SevenZipError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def next(self) -> tuple[str, bytes]:
        """Name and bytes of the next member."""
        if self._end is None:
            found = self._members.get()
            if not isinstance(found, SevenZipError):
                return found
            self._end = found
        raise self._end

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._is_stopped.set()
        self._thread.join()

    def put(self, found: tuple[str, bytes] | SevenZipError) -> None:
        """Hand a member over once the one before it is taken."""
        while not self._is_stopped.is_set():
            try:
                self._members.put(found, timeout=_LOOK_EVERY_S)
            except queue.Full:
                continue
            return
        raise _Stopped

    def _run(self) -> None:
        try:
            self._unpack()
        except _Stopped:
            return
        except Exception as error:  # noqa: BLE001 (whatever it is, the reader is told)
            end = SevenZipError(type(error).__name__)
        else:
            end = SevenZipError("the archive ends before the member")
        try:
            self.put(end)
        except _Stopped:
            return

    def _unpack(self) -> None:
        from py7zr import SevenZipFile

        from ingest.sources.sevenzip_sink import Sinks

        # An open file, unlike a path, is unpacked on one thread and in order.
        with self._path.open("rb") as file, SevenZipFile(file) as archive:
            archive.extract(targets=self._wanted, factory=Sinks(self.put))
