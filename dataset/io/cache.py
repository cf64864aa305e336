"""A cache of downloaded files, under their SHA-256 and up to a size; the least recently used is evicted first.

Files are hashed again on every use, so neither a damaged disk nor a kill during a write can hand out wrong bytes. Any number of
processes may share the folder: one downloads a file while the others wait for it.

A process keeps the files of its queries until it ends: it writes their names to a list of its own and holds a lock for as long.
A list whose lock can be taken is therefore nobody's. Kept files belong to the process and not to the ``Cache``, because a lazy
query outlives the store it came from.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from dataset.errors import ConfigError
from dataset.io.atomic import try_lock
from dataset.io.fetch import Wanted

DEFAULT_LIMIT_GB = 20.0
PARTIAL_SUFFIX, KEPT_SUFFIX = ".partial", ".kept"

_ABANDONED_S = 3600
"""A partial file nobody wrote to for so long belongs to no running transfer."""

Download = Callable[[Path], None]
"""Downloads a file, verified, to the path given, and resumes what lies there."""

_kept_lists: dict[tuple[int, Path], tuple[Path, object]] = {}
"""By process and folder: its list of kept files, and the lock that says that the process lives."""


def cache_folder() -> Path:
    """Where exphil keeps files that it can make again."""
    return Path(os.environ.get("EXPHIL_CACHE") or Path.home() / ".cache" / "exphil")


def cache_limit_bytes() -> int:
    """The size that ``$EXPHIL_CACHE_GB`` allows downloaded files.

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
    """One folder of downloaded files."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes
        self._uncounted = 0
        (folder / "locks").mkdir(parents=True, exist_ok=True)

    def read(self, wanted: Wanted, download: Download) -> bytes:
        """The verified bytes of a file."""
        data = self._bytes(wanted)
        if data is not None:
            return data
        with self._fetching(wanted):
            data = self._bytes(wanted)  # another process may have downloaded it meanwhile
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
            self._keep({self._path(one).name for one in wanted})
        return [self._verified(one, download(one)) for one in wanted]

    def _verified(self, wanted: Wanted, download: Download) -> Path:
        path = self._path(wanted)
        if not _is_whole(path, wanted):
            with self._fetching(wanted):
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
        return data if wanted.is_whole(data) else None

    def _path(self, wanted: Wanted) -> Path:
        return self.folder / f"{wanted.sha256}{Path(wanted.path).suffix}"

    def _fetching(self, wanted: Wanted) -> AbstractContextManager[object]:
        """Hold the right to download a file; files that share two hex digits wait for each other."""
        return _lock(self.folder / "locks" / wanted.sha256[:2])

    def _counting(self) -> AbstractContextManager[object]:
        """Hold the right to keep and to evict files."""
        return _lock(self.folder / "locks" / "room")

    def _keep(self, names: set[str]) -> None:
        """Keep files until this process ends; called while nobody evicts."""
        key = os.getpid(), self.folder
        if key not in _kept_lists:
            name = uuid.uuid4().hex
            _kept_lists[key] = self.folder / f"{name}{KEPT_SUFFIX}", try_lock(self.folder / "locks" / name)
        with _kept_lists[key][0].open("a", encoding="utf-8") as file:
            file.writelines(f"{name}\n" for name in sorted(names))

    def _kept(self) -> set[str]:
        """Files that some running process keeps; called while no other does this or keeps more."""
        names: set[str] = set()
        for path in self.folder.glob(f"*{KEPT_SUFFIX}"):
            lock_path = self.folder / "locks" / path.stem
            lock = try_lock(lock_path)
            if lock is None:
                names |= set(path.read_text(encoding="utf-8").split())
                continue
            with lock, suppress(PermissionError):  # Windows, while a virus scanner looks at them
                path.unlink()
                lock_path.unlink(missing_ok=True)
        return names

    def _fetch(self, wanted: Wanted, download: Download) -> Path:
        partial = self._path(wanted).with_name(f"{wanted.sha256}{PARTIAL_SUFFIX}")
        if partial.exists():
            os.utime(partial)
        self._make_room(wanted, partial)
        download(partial)
        return partial

    def _make_room(self, wanted: Wanted, partial: Path) -> None:
        """Evict the files used longest ago until this one fits.

        Counting takes a while in a large cache, so each process may download an eighth of what was free before it counts
        again: processes that fill a cache at the same time may overshoot its limit by as much.
        """
        if wanted.size is not None and wanted.size <= self._uncounted:
            self._uncounted -= wanted.size
            return
        with self._counting():
            kept = self._kept()
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
                if not entry.name.endswith(KEPT_SUFFIX) and entry.is_file():
                    stat = entry.stat()
                    yield Path(entry.path), stat.st_mtime, stat.st_size


def _lock(path: Path) -> AbstractContextManager[object]:
    from filelock import FileLock  # 40 ms that a store on this disk need not wait for

    return FileLock(path, poll_interval=0.02)


def _is_whole(path: Path, wanted: Wanted) -> bool:
    return path.is_file() and wanted.fault_at(path) is None
