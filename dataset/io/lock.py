"""Locks between processes, which the system lifts by itself when their holder dies."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset.errors import BusyError, ExphilError

LOCK_NAME = ".lock"

_FAR = 2**30
"""The byte that Windows locks: beyond what any locked file holds, so that its lines stay readable."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the store's lock: one writer a store.

    Raises:
        BusyError: another process holds it.
    """
    with (folder / LOCK_NAME).open("a+b") as file:
        if not try_lock(file.fileno()):
            raise BusyError(
                f"store {folder}: one process at a time may write to it, found another at work; wait until it ends"
            )
        yield


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the lock of a store, whose folder is made if need be, while the context writes to it.

    Raises:
        BusyError: another process holds it.
        ExphilError: the disk is full, or the folder may not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            yield
    except OSError as error:
        raise ExphilError(
            f"store {folder}: needs room and permission to write, found: {error.strerror or error}; mend that and run the "
            "same command again: what was committed so far is kept"
        ) from error


@contextmanager
def waiting_for(path: Path, poll_s: float = 0.02) -> Iterator[None]:
    """Hold the lock of the file at ``path``, once whoever holds it, in this process or another, lets it go."""
    with path.open("a+b") as file:
        while not try_lock(file.fileno()):
            time.sleep(poll_s)
        yield


def try_lock(handle: int) -> bool:
    """Lock an open file until it is closed; false if it is locked through another handle."""
    try:
        if sys.platform == "win32":  # no flock there, but byte ranges can be locked
            import msvcrt

            os.lseek(handle, _FAR, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
