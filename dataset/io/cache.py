"""Files that were fetched and verified, kept on this disk under their SHA-256 up to a size, least recently used out first.

In: what the manifest lists and how to fetch it. Out: verified bytes, or a path that stays while this process lives. Any
number of processes may share the folder: one fetches a file while the others wait for it. The surprise: what lies here is
hashed again on every use, so neither a damaged disk nor a kill during a write can hand out wrong bytes.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from dataset.errors import ConfigError
from dataset.io.fetch import Wanted
from dataset.io.lock import waiting_for
from dataset.io.pins import PIN_SUFFIX, pin, pinned

DEFAULT_LIMIT_GB = 20.0
PARTIAL_SUFFIX = ".partial"

_ABANDONED_S = 3600
"""A partial file nobody wrote to for so long belongs to no running transfer."""

Download = Callable[[Path], None]
"""Brings a file, verified, to the path given, going on with what lies there."""


def cache_folder() -> Path:
    """Where exphil keeps what it can make again."""
    return Path(os.environ.get("EXPHIL_CACHE") or Path.home() / ".cache" / "exphil")


def cache_limit_bytes() -> int:
    """The size that ``$EXPHIL_CACHE_GB`` allows fetched shards.

    Raises:
        ConfigError: it is no positive number.
    """
    text = os.environ.get("EXPHIL_CACHE_GB") or str(DEFAULT_LIMIT_GB)
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not 0 < limit < float("inf"):
        raise ConfigError(f"EXPHIL_CACHE_GB: the cache's size in GB, a number above 0, found '{text}'; set e.g. 20")
    return int(limit * 1e9)


class Cache:
    """One folder of fetched files."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes
        self._uncounted = 0
        (folder / "locks").mkdir(parents=True, exist_ok=True)

    def read(self, wanted: Wanted, download: Download) -> bytes:
        """The verified bytes of a file."""
        data = self._bytes(wanted)
        if data is not None:
            return data
        with self._sole(wanted):
            data = self._bytes(wanted)  # another process may have brought it meanwhile
            if data is None:
                partial = self._fetch(wanted, download)
                data = partial.read_bytes()  # before the rename: from then on it may be evicted
                partial.replace(self._path(wanted))
        return data

    def paths(self, wanted: Sequence[Wanted], download: Callable[[Wanted], Download]) -> list[Path]:
        """Where verified files lie; none is evicted while this process lives.

        Raises:
            ConfigError: together they are larger than the cache may be.
        """
        needed = sum(one.size or 0 for one in wanted)
        if needed > self.limit_bytes:
            raise ConfigError(
                f"cache {self.folder}: must hold all files of a query at once, {needed / 1e9:.2f} GB, found a limit of "
                f"{self.limit_bytes / 1e9:.2f} GB; set EXPHIL_CACHE_GB higher"
            )
        with self._counting():
            pin(self.folder, {self._path(one).name for one in wanted})
        return [self._verified(one, download(one)) for one in wanted]

    def _verified(self, wanted: Wanted, download: Download) -> Path:
        path = self._path(wanted)
        if not _is_whole(path, wanted):
            with self._sole(wanted):
                if not _is_whole(path, wanted):
                    self._fetch(wanted, download).replace(path)
        os.utime(path)
        return path

    def _bytes(self, wanted: Wanted) -> bytes | None:
        path = self._path(wanted)
        try:
            data = path.read_bytes()
            os.utime(path)  # last used now
        except FileNotFoundError:
            return None
        return data if wanted.fault_of(data) is None else None

    def _path(self, wanted: Wanted) -> Path:
        return self.folder / f"{wanted.sha256}{Path(wanted.path).suffix}"

    def _sole(self, wanted: Wanted) -> AbstractContextManager[None]:
        """Hold the right to fetch a file; files that share two hex digits wait for each other."""
        return waiting_for(self.folder / "locks" / wanted.sha256[:2])

    def _counting(self) -> AbstractContextManager[None]:
        """Hold the right to pin and to evict."""
        return waiting_for(self.folder / "locks" / "room")

    def _fetch(self, wanted: Wanted, download: Download) -> Path:
        partial = self._path(wanted).with_name(f"{wanted.sha256}{PARTIAL_SUFFIX}")
        if partial.exists():
            os.utime(partial)
        self._make_room(wanted, partial)
        download(partial)
        return partial

    def _make_room(self, wanted: Wanted, partial: Path) -> None:
        """Evict what was used longest ago until the file fits.

        Counting takes a while in a large cache, so each process may fetch an eighth of what was free before it counts again:
        processes that fill a cache at the same time may overshoot its limit by as much.
        """
        if wanted.size is not None and wanted.size <= self._uncounted:
            self._uncounted -= wanted.size
            return
        with self._counting():
            kept = pinned(self.folder)
            files = sorted(self._files(), key=lambda file: file[1])
            excess = sum(size for _, _, size in files) + (wanted.size or 0) - self.limit_bytes
            for path, used, size in files:
                is_fetching = path.suffix == PARTIAL_SUFFIX and used > time.time() - _ABANDONED_S
                if excess > 0 and path != partial and path.name not in kept and not is_fetching:
                    with suppress(PermissionError):  # Windows keeps a file that is open
                        path.unlink(missing_ok=True)
                        excess -= size
        self._uncounted = max(0, -excess) // 8
        if excess > 0 and (wanted.size or 0) > 0:
            raise ConfigError(
                f"cache {self.folder}: {wanted.path} needs {(wanted.size or 0) / 1e9:.3f} GB, found no room within "
                f"{self.limit_bytes / 1e9:.3f} GB beside what is in use; set EXPHIL_CACHE_GB higher"
            )

    def _files(self) -> Iterator[tuple[Path, float, int]]:
        """(path, last use, bytes) of every file that takes room."""
        for entry in os.scandir(self.folder):
            with suppress(FileNotFoundError):
                if not entry.name.endswith(PIN_SUFFIX) and entry.is_file():
                    stat = entry.stat()
                    yield Path(entry.path), stat.st_mtime, stat.st_size


def _is_whole(path: Path, wanted: Wanted) -> bool:
    return path.is_file() and wanted.fault_at(path) is None
