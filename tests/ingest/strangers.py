"""Replays as strangers' programs write them: generated duels with chosen fields changed."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset.slippi import slp, ubjson
from ingest.replay.judge import Names

Change = Callable[[dict[int, slp.Table]], None]
"""Changes the event tables of a replay in place."""


def changed(data: bytes, change: Change = lambda tables: None, metadata: Mapping[str, Any] | None = None) -> bytes:
    """The file ``data`` with its events changed, and with other ``metadata`` if given."""
    raw, found = slp.read_slp(data)
    events = slp.read_events(raw)
    tables = {command: table.copy() for command, table in events.tables.items()}
    change(tables)
    written = slp.write_events(slp.Events(events.order, tables), slp.payload_sizes(raw))
    if metadata is None:
        return slp.pack(written, found)
    return slp.RAW_PREFIX + struct.pack(">I", len(written)) + written + slp.METADATA_KEY + _object(metadata) + b"}"


def _object(value: Mapping[str, Any]) -> bytes:
    """As ``ubjson.encode``, which refuses what no recorder writes: whole numbers of eight bytes, floats, lists, null."""
    return b"{" + b"".join(ubjson.encode({key: ""})[1:-4] + _value(item) for key, item in value.items()) + b"}"


def _value(value: object) -> bytes:
    if value is None:
        return b"Z"
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, float):
        return b"D" + struct.pack(">d", value)
    if isinstance(value, list):
        return b"[" + b"".join(map(_value, value)) + b"]"
    if isinstance(value, int) and abs(value) >= 2**31:
        return b"L" + struct.pack(">q", value)
    return ubjson.encode(value)


def cut(data: bytes, frames: int) -> bytes:
    """What a recorder leaves that broke off after so many frames: no game end, but a container that was closed."""
    raw, found = slp.read_slp(data)
    events = slp.read_events(raw)
    last = slp.FIRST_FRAME + frames - 1
    is_kept = np.ones(len(events.order), np.bool_)
    tables = {command: table.copy() for command, table in events.tables.items()}
    for command, table in tables.items():
        if "frame" in (table.dtype.names or ()):
            is_kept[events.order == command] = table["frame"] <= last
            tables[command] = table[table["frame"] <= last]
    is_kept[events.order == slp.GAME_END] = False
    del tables[slp.GAME_END]
    return slp.pack(slp.write_events(slp.Events(events.order[is_kept], tables), slp.payload_sizes(raw)), found)


def in_start(**fields: object) -> Change:
    """Sets fields of the game start."""

    def change(tables: dict[int, slp.Table]) -> None:
        for name, value in fields.items():
            tables[slp.GAME_START][name] = value

    return change


def without_game_start(data: bytes) -> bytes:
    """The file with a table of sizes that gives the game start no bytes."""
    size = bytes([slp.GAME_START]) + struct.pack(">H", slp.LAYOUTS[slp.GAME_START].itemsize)
    assert data.count(size) >= 1
    return data.replace(size, bytes([slp.GAME_START, 0, 0]), 1)


@dataclass(frozen=True)
class FailingNames(Names):
    """Raises where the named player's name is to be written, as a fault in exphil itself would."""

    victim: str = ""

    def of(self, name: str | None) -> str | None:
        if name == self.victim:
            raise ZeroDivisionError(f"no way to write {Path('in') / 'folder'}")
        return name
