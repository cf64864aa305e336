"""One writer a store: a lock that the system lifts by itself when its holder dies."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from dataset.errors import ConfigError

LOCK_NAME = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the store's lock.

    Raises:
        ConfigError: another process holds it.
    """
    with (folder / LOCK_NAME).open("a+b") as file:
        if not _try_lock(file):
            raise ConfigError(
                f"store {folder}: one process at a time may write to it, found another at work; wait until it ends"
            )
        yield


def _try_lock(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":  # no flock there, but byte ranges can be locked
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
