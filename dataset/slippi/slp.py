"""Slippi's event stream, read and written with one big-endian numpy dtype per event, without peppi or libmelee.

It reads ``.slp`` files (paths, bytes or open files) into headers for the index, event tables, and the messages Slippi's Dolphin
sends to spectators, and writes new 3.18.0 files. Offsets follow Slippi's SPEC.md. Slippi only ever appends fields, so an
older replay's event is a *prefix* of the layout here, and a newer one's ends in bytes without a name.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from dataset.errors import ReplayError
from dataset.slippi import ubjson

Table = npt.NDArray[np.void]
Source = str | Path | bytes | BinaryIO

GECKO_PIECE, PAYLOAD_SIZES, GAME_START, PRE_FRAME, POST_FRAME = 0x10, 0x35, 0x36, 0x37, 0x38
GAME_END, FRAME_START, ITEM, BOOKEND, FOD_PLATFORM, WHISPY, STADIUM = 0x39, 0x3A, 0x3B, 0x3C, 0x3F, 0x40, 0x41
FIRST_FRAME = -123
"""Slippi's number of the first frame of every game."""
WRITTEN_VERSION = (3, 18, 0)
RAW_PREFIX = b"{U\x03raw[$U#l"
"""How a file starts; then come the length of its events in four bytes and the events."""
METADATA_KEY = b"U\x08metadata"
"""What comes between the events and the metadata."""
HEADER_BYTES = 4096
"""Enough of a file to hold its game start; a header costs one read of this size."""

_PLAYER_BYTES = ["character", "kind", "stocks", "costume", "cpu_port", "handicap", "team", "cpu_level"]
_PLAYER = np.dtype(
    {
        "names": [*_PLAYER_BYTES, "offense", "defense", "scale"],
        "formats": ["u1"] * 8 + [">f4"] * 3,
        "offsets": [0x0, 0x1, 0x2, 0x3, 0x5, 0x8, 0x9, 0xF, 0x18, 0x1C, 0x20],
        "itemsize": 0x24,
    }
)
_START_FIELDS: dict[str, tuple[int, Any]] = {  # offsets from the command byte, as the specification prints them
    "version": (0x1, ("u1", 4)),
    "bitfields": (0x5, ("u1", 5)),
    "is_teams": (0xD, "u1"),
    "item_spawn": (0x10, "i1"),
    "self_destruct_score": (0x11, "i1"),
    "stage": (0x13, ">u2"),
    "timer_s": (0x15, ">u4"),
    "damage_ratio": (0x35, ">f4"),
    "players": (0x65, (_PLAYER, 6)),
    "random_seed": (0x13D, ">u4"),
    "controller_fixes": (0x141, (">u4", (4, 2))),
    "nametag": (0x161, (">u2", (4, 8))),
    "is_pal": (0x1A1, "u1"),
    "is_frozen": (0x1A2, "u1"),
    "minor_scene": (0x1A3, "u1"),
    "major_scene": (0x1A4, "u1"),
    "display_name": (0x1A5, ("S31", 4)),
    "connect_code": (0x221, ("S10", 4)),
    "user_id": (0x249, ("S29", 4)),
    "language": (0x2BD, "u1"),
    "match_id": (0x2BE, "S51"),
    "game_number": (0x2F1, ">u4"),
    "tiebreaker": (0x2F5, ">u4"),
}
_FRAME_AND_PORT = [("frame", ">i4"), ("port", "u1"), ("is_follower", "u1")]
_STICKS = ["joystick_x", "joystick_y", "cstick_x", "cstick_y", "trigger"]
_SPEEDS = ["self_x_air", "self_y", "knockback_x", "knockback_y", "self_x_ground"]

LAYOUTS: dict[int, np.dtype[np.void]] = {
    GAME_START: np.dtype(
        {
            "names": list(_START_FIELDS),
            "formats": [layout for _, layout in _START_FIELDS.values()],
            "offsets": [offset - 1 for offset, _ in _START_FIELDS.values()],
            "itemsize": 760,
        }
    ),
    FRAME_START: np.dtype([("frame", ">i4"), ("random_seed", ">u4"), ("scene_frame", ">u4")]),
    PRE_FRAME: np.dtype(
        [*_FRAME_AND_PORT, ("random_seed", ">u4"), ("state", ">u2")]
        + [(name, ">f4") for name in ["position_x", "position_y", "direction", *_STICKS]]
        + [("buttons", ">u4"), ("buttons_physical", ">u2"), ("l_physical", ">f4"), ("r_physical", ">f4")]
        + [("raw_x", "i1"), ("percent", ">f4"), ("raw_y", "i1"), ("raw_cstick_x", "i1"), ("raw_cstick_y", "i1")]
    ),
    POST_FRAME: np.dtype(
        [*_FRAME_AND_PORT, ("character", "u1"), ("state", ">u2")]
        + [(name, ">f4") for name in ["position_x", "position_y", "direction", "percent", "shield"]]
        + [(name, "u1") for name in ["last_attack_landed", "combo_count", "last_hit_by", "stocks"]]
        + [("state_age", ">f4"), ("state_flags", "u1", 5), ("misc_as", ">f4"), ("airborne", "u1"), ("ground", ">u2")]
        + [("jumps", "u1"), ("l_cancel", "u1"), ("hurtbox_state", "u1")]
        + [(name, ">f4") for name in [*_SPEEDS, "hitlag"]]
        + [("animation_index", ">u4"), ("instance_hit_by", ">u2"), ("instance_id", ">u2")]
    ),
    ITEM: np.dtype(
        [("frame", ">i4"), ("type", ">u2"), ("state", "u1")]
        + [(name, ">f4") for name in ["direction", "velocity_x", "velocity_y", "position_x", "position_y"]]
        + [("damage", ">u2"), ("timer", ">f4"), ("spawn_id", ">u4"), ("misc", "u1", 4), ("owner", "i1")]
        + [("instance_id", ">u2")]
    ),
    BOOKEND: np.dtype([("frame", ">i4"), ("latest_finalized_frame", ">i4")]),
    GAME_END: np.dtype([("method", "u1"), ("quitter", "i1"), ("placements", "i1", 4)]),
    FOD_PLATFORM: np.dtype([("frame", ">i4"), ("platform", "u1"), ("height", ">f4")]),
    WHISPY: np.dtype([("frame", ">i4"), ("direction", "u1")]),
    STADIUM: np.dtype([("frame", ">i4"), ("event", ">u2"), ("type", ">u2")]),
}
"""Payload layout of each event at Slippi 3.18, without its command byte."""
FRAME_ORDER = (FRAME_START, PRE_FRAME, FOD_PLATFORM, WHISPY, STADIUM, ITEM, POST_FRAME, BOOKEND)
"""The order of events inside one frame."""
_MESSAGE_ENDS = frozenset({GAME_START, GECKO_PIECE, BOOKEND, GAME_END})
_KINDS: dict[int, Literal["human", "cpu", "demo"]] = {0: "human", 1: "cpu", 2: "demo"}


@dataclass(frozen=True, kw_only=True)
class HeaderPlayer:
    """One occupied port of a game start; ``character`` is Slippi's *external* id."""

    port: int
    character: int
    kind: Literal["human", "cpu", "demo"]
    cpu_level: int | None
    """1 to 9, None unless ``kind`` is cpu."""
    connect_code: str | None
    """Such as ``ABC#123``; None before Slippi 3.9 or where the game had none."""
    display_name: str | None


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a game start says; None where the replay's Slippi version had no such field."""

    version: tuple[int, int, int]
    stage: int
    """Slippi's external stage id."""
    players: tuple[HeaderPlayer, ...]
    is_pal: bool | None
    is_frozen: bool | None
    match_id: str | None
    game_number: int | None
    tiebreaker: int | None
    """Which tie-break of that game; 0 is the game itself."""
    is_teams: bool
    random_seed: int
    """Of the whole game, the same for both clients."""


@dataclass(frozen=True)
class Events:
    """Every event of a replay: ``order[i]`` is the i-th command, its payload the next unread row of its table."""

    order: npt.NDArray[np.uint8]
    tables: Mapping[int, Table]


@cache
def layout(command: int, size: int) -> np.dtype[np.void]:
    """Return the dtype of a ``size``-byte payload: the fields that fit, then nameless bytes."""
    known = LAYOUTS.get(command)
    fields = dict(known.fields or {}) if known is not None else {}
    fitting = [name for name, entry in fields.items() if entry[1] + entry[0].itemsize <= size]
    return np.dtype(
        {
            "names": fitting,
            "formats": [fields[name][0] for name in fitting],
            "offsets": [fields[name][1] for name in fitting],
            "itemsize": size,
        }
    )


def read_slp(source: Source) -> tuple[bytes, dict[str, Any]]:
    """Return the raw event bytes and the metadata of a finished replay (an empty dict where the recorder wrote none)."""
    data = _read(source, None)
    length, start = raw_length(data), len(RAW_PREFIX) + 4
    if length == 0:
        raise ReplayError(
            "unfinished",
            "replay: the raw length must be above 0, found 0; its recorder was stopped early, so record the game again",
        )
    raw, rest = data[start : start + length], data[start + length :]
    if len(raw) < length:
        raise ReplayError(
            "truncated", f"replay: the raw element must hold {length} bytes, found {len(raw)}; copy the file again"
        )
    has_metadata = rest.startswith(METADATA_KEY)
    return raw, ubjson.decode(rest[len(METADATA_KEY) :]) if has_metadata else {}


def raw_length(head: bytes) -> int:
    """Return the stated length of the events, which start at byte 15; 0 means the recorder never finished."""
    start = len(RAW_PREFIX)
    if len(head) < start + 4 or not head.startswith(RAW_PREFIX):
        raise ReplayError(
            "not_slp",
            f"replay: a .slp file starts with {RAW_PREFIX!r} and a length, found {head[: start + 4]!r}; "
            "check that the file is a Slippi replay and not empty or compressed",
        )
    return int.from_bytes(head[start : start + 4], "big")


def read_header(source: Source) -> Header:
    """Return the facts of the game start from the first 4 KiB; works on unfinished files too."""
    head = _read(source, HEADER_BYTES)
    raw_length(head)
    for command, payload in events(head[len(RAW_PREFIX) + 4 :].partition(METADATA_KEY)[0]):  # the length may be wrong
        if command == GAME_START:
            return header_of(payload)
    raise ReplayError(
        "no_game_start",
        f"replay: a game start must be in the first {HEADER_BYTES} bytes, found none; record it again",
    )


def header_of(payload: bytes | memoryview) -> Header:
    """Return the facts of one game start payload."""
    names = layout(GAME_START, len(payload)).names or ()
    if "random_seed" not in names:
        raise ReplayError(
            "bad_game_start", f"replay: a game start holds 320 bytes or more, found {len(payload)}; copy the file again"
        )
    start = np.frombuffer(payload, layout(GAME_START, len(payload)))[0]
    occupied = [port for port in range(1, 5) if start["players"][port - 1]["kind"] in _KINDS]
    return Header(
        version=(int(start["version"][0]), int(start["version"][1]), int(start["version"][2])),
        stage=int(start["stage"]),
        players=tuple(_player(start, names, port) for port in occupied),
        is_pal=bool(start["is_pal"]) if "is_pal" in names else None,
        is_frozen=bool(start["is_frozen"]) if "is_frozen" in names else None,
        match_id=_text(start["match_id"]) if "match_id" in names else None,
        game_number=int(start["game_number"]) if "game_number" in names and start["game_number"] else None,
        tiebreaker=int(start["tiebreaker"]) if "tiebreaker" in names else None,
        is_teams=bool(start["is_teams"]),
        random_seed=int(start["random_seed"]),
    )


def _player(start: np.void, names: tuple[str, ...], port: int) -> HeaderPlayer:
    player = start["players"][port - 1]
    code = _text(start["connect_code"][port - 1]) if "connect_code" in names else None
    return HeaderPlayer(
        port=port,
        character=int(player["character"]),
        kind=_KINDS[int(player["kind"])],
        cpu_level=int(player["cpu_level"]) if player["kind"] == 1 else None,
        connect_code=unicodedata.normalize("NFKC", code) if code else None,
        display_name=_text(start["display_name"][port - 1]) if "display_name" in names else None,
    )


def _text(field: bytes) -> str | None:
    # Windows' Shift-JIS, as the game writes and peppi reads it
    return bytes(field).split(b"\0")[0].decode("cp932", "replace") or None


def payload_sizes(raw: bytes | memoryview) -> dict[int, int]:
    """Return bytes per payload, command byte left out, from the table that must open every stream."""
    if len(raw) < 2 or raw[0] != PAYLOAD_SIZES or len(raw) < 1 + raw[1] or raw[1] % 3 != 1:
        raise ReplayError(
            "no_payload_sizes",
            f"replay: events must open with the table 0x35 of payload sizes, found '{bytes(raw[:4]).hex(' ')}'; "
            "copy the file again",
        )
    return {raw[at]: int.from_bytes(raw[at + 1 : at + 3], "big") for at in range(2, 1 + raw[1], 3)}


def events(raw: bytes | memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield (command, payload) of every event after the table of sizes; ReplayError on unknown or cut events."""
    view = memoryview(raw)
    for command, start, end in _spans(view):
        yield command, view[start + 1 : end]


def _spans(raw: memoryview) -> Iterator[tuple[int, int, int]]:
    sizes = payload_sizes(raw)
    at, total = 1 + raw[1], len(raw)
    while at < total:
        command = raw[at]
        if command not in sizes:
            raise ReplayError(
                "unknown_event",
                f"replay: each event must stand in the table of payload sizes, found 0x{command:02X} at byte {at}; "
                "the file is damaged, copy it again",
            )
        end = at + 1 + sizes[command]
        if end > total:
            raise ReplayError(
                "truncated",
                f"replay: event 0x{command:02X} at byte {at} needs {sizes[command]} bytes, found {total - at - 1}; "
                "copy the file again",
            )
        yield command, at, end
        at = end


def read_events(raw: bytes | memoryview) -> Events:
    """Return every event after the table of sizes, as one structured table per command."""
    view, sizes = memoryview(raw), payload_sizes(raw)
    spans = np.array(list(_spans(view)), np.int64).reshape(-1, 3)
    order, stream = spans[:, 0].astype(np.uint8), np.frombuffer(view, np.uint8)
    tables: dict[int, Table] = {}
    for command in np.unique(order).tolist():
        starts = spans[order == command, 1]
        rows = stream[starts[:, None] + 1 + np.arange(sizes[command])]
        tables[command] = np.ndarray(len(rows), layout(command, sizes[command]), rows)
    return Events(order, tables)


def write_events(found: Events, sizes: Mapping[int, int]) -> bytes:
    """Return the raw bytes of ``found``, the inverse of :func:`read_events`; ``sizes`` may announce further events."""
    lengths = np.zeros(256, np.int64)
    lengths[list(sizes)] = [size + 1 for size in sizes.values()]
    ends = np.cumsum(lengths[found.order])
    starts = ends - lengths[found.order]
    stream = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    stream[starts] = found.order
    for command, table in found.tables.items():
        places = starts[found.order == command]
        rows = np.frombuffer(table.tobytes(), np.uint8).reshape(len(table), table.itemsize)
        stream[places[:, None] + 1 + np.arange(table.itemsize)] = rows
    listed = b"".join(bytes([command]) + size.to_bytes(2, "big") for command, size in sizes.items())
    return bytes([PAYLOAD_SIZES, len(listed) + 1]) + listed + stream.tobytes()


def pack(raw: bytes, metadata: Mapping[str, Any]) -> bytes:
    """Return the bytes of a complete file around raw events, the inverse of :func:`read_slp`."""
    return RAW_PREFIX + len(raw).to_bytes(4, "big") + raw + METADATA_KEY + ubjson.encode(metadata) + b"}"


def build_slp(*, start: Table, frames: Mapping[int, Table], end: Table, metadata: Mapping[str, Any]) -> bytes:
    """Return a 3.18.0 replay of a game start, tables of frame events (sorted by frame, no copies) and a game end.

    Raises:
        ValueError: a table does not have its event's layout.
    """
    tables = {GAME_START: start, **frames, GAME_END: end}
    for command, table in tables.items():
        if table.dtype != LAYOUTS.get(command):
            raise ValueError(f"event 0x{command:02X} must have the layout of LAYOUTS, found {table.dtype}")
    order = np.array([GAME_START, *_frame_order(frames), GAME_END], np.uint8)
    sizes = {command: known.itemsize for command, known in LAYOUTS.items()}
    return pack(write_events(Events(order, tables), sizes), metadata)


def _frame_order(frames: Mapping[int, Table]) -> list[int]:
    commands = [command for command in FRAME_ORDER if command in frames]
    numbers = np.concatenate([frames[command]["frame"] for command in commands]).astype(np.int64)
    codes = np.repeat(np.array(commands, np.uint8), [len(frames[command]) for command in commands])
    order: list[int] = codes[np.argsort(numbers, kind="stable")].tolist()
    return order


def split_messages(raw: bytes) -> list[bytes]:
    """Split events as Slippi's Dolphin sends them: sizes and game start, each gecko piece, each frame, the game end.

    Events after the last such end (an unfinished frame) are left out: Dolphin would not have sent them yet.
    """
    view, found, begin = memoryview(raw), [], 0
    for command, _, end in _spans(view):
        if command in _MESSAGE_ENDS:
            found.append(raw[begin:end])
            begin = end
    return found


def opened(data: bytes) -> bytes:
    """Return a file's bytes; events that nothing is wrapped around get the head of a file that was never closed."""
    return RAW_PREFIX + bytes(4) + data if data[:1] == bytes([PAYLOAD_SIZES]) else data


def _read(source: Source, size: int | None) -> bytes:
    return opened(_read_as_it_is(source, size))


def _read_as_it_is(source: Source, size: int | None) -> bytes:
    if isinstance(source, bytes):
        return source[:size]
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            return file.read(-1 if size is None else size)
    return source.read(-1 if size is None else size)
