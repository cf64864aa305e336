"""Cached files that running processes still use: lists that nobody has to take back.

A process writes the names it uses to a list of its own and keeps that list locked until it ends, however it ends; a list
that can be locked is therefore nobody's and is deleted. The surprise: pins belong to the process, not to the object that
asked for them, because a lazy query outlives the store it came from.
"""

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from dataset.io.lock import try_lock

PIN_SUFFIX = ".pin"

_lists: dict[tuple[int, Path], int] = {}
"""The open list of this process in each folder; never closed, the system does that."""


def pin(folder: Path, names: Collection[str]) -> None:
    """Keep files of ``folder`` until this process ends; call it while nobody evicts."""
    key = (os.getpid(), folder)
    if key not in _lists:
        _lists[key] = os.open(folder / f"{os.getpid()}{PIN_SUFFIX}", os.O_CREAT | os.O_RDWR | os.O_APPEND)
        try_lock(_lists[key])
    os.write(_lists[key], "".join(f"{name}\n" for name in sorted(names)).encode())


def pinned(folder: Path) -> set[str]:
    """Files of ``folder`` that some running process keeps; call it while nobody pins."""
    names: set[str] = set()
    for path in folder.glob(f"*{PIN_SUFFIX}"):
        handle = os.open(path, os.O_RDWR)
        try:
            is_abandoned = try_lock(handle)
        finally:
            os.close(handle)
        if is_abandoned:
            with suppress(PermissionError):  # Windows, while a virus scanner looks at it
                path.unlink()
        else:
            names |= set(path.read_text(encoding="utf-8").split())
    return names
