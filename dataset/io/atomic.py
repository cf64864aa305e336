"""Files that are either whole or not there, and the locks of processes that write them.

A file is written under a temporary name, fsynced, then renamed: a kill at any instant leaves the old file or the new one. What
a killed writer leaves behind ends in ``.tmp`` and may be deleted by whoever holds the store's lock. The system lifts a lock
when its holder dies.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from dataset.errors import BusyError, ConfigError, ExphilError

TEMPORARY_SUFFIX = ".tmp"
LOCK_NAME = ".lock"
SHARD_FOLDERS = ("frames", "windows")
"""Of a store."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the temporary path to write to; on a clean exit it takes the place of ``path``, durably."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    temporary.unlink(missing_ok=True)  # a link of that name would lead what is written elsewhere
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(folder: Path, what: str) -> None:
    """Make ``folder`` if it is not there, and try to write to it, before work whose result is to go there.

    Args:
        folder: where files will be written.
        what: the setting that names it, for the message.

    Raises:
        ConfigError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"{what}: needs a folder that can be written to, found {error.strerror or error} at {folder}; give another"
        ) from error


def sync(path: Path) -> None:
    """Flush a file or a folder's entries to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows has no handle on a folder; NTFS journals renames itself
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the lock of a store, whose folder is made if need be, while the context writes to it.

    Raises:
        BusyError: another process holds it.
        ConfigError: its lock or one of its folders is a link.
        ExphilError: the disk is full, or the folder may not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_links(folder)
        lock = try_lock(folder / LOCK_NAME)
        if lock is None:
            raise BusyError(
                f"store {folder}: one process at a time may write to it, found another at work; wait until it ends"
            )
        with lock:
            yield
    except OSError as error:
        raise ExphilError(
            f"store {folder}: needs room and permission to write, found: {error.strerror or error}; mend that and run the "
            "same command again: what was committed so far is kept"
        ) from error


def _refuse_links(folder: Path) -> None:
    """Opening a lock empties it, and shards are deleted: in a store from a stranger neither may lie elsewhere."""
    for path in (folder / name for name in (LOCK_NAME, *SHARD_FOLDERS)):
        if path.is_symlink():
            raise ConfigError(
                f"store {folder}: {path.name} must be its own, found a link to {path.readlink()}; put what it leads to in its "
                "place, or give another folder"
            )


def try_lock(path: Path) -> AbstractContextManager[object] | None:
    """Lock the file at ``path``, which is made if need be, until the result is closed; ``None`` if it is locked already."""
    from filelock import FileLock, Timeout  # 40 ms that those who only read need not wait for

    try:
        return FileLock(path, thread_local=False).acquire(timeout=0)
    except Timeout:
        return None
