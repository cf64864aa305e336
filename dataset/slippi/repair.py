"""Repairs a replay that a strict parser refuses: what is whole stays as it was recorded, what is not is left out.

Recordings lose or double single events, break off, are never closed, hold text in another code page, or say a version whose
fields they lack. The repaired file holds the game start's players, every frame with all records of both players, and the game
end, each event as it was recorded. What only holds them together (a missing frame start or end, the rest of the game start)
is written anew, because no column comes from it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from dataset.errors import ReplayError
from dataset.slippi import ubjson
from dataset.slippi.slp import (
    BOOKEND,
    FIRST_FRAME,
    FRAME_START,
    GAME_END,
    GAME_START,
    ITEM,
    LAYOUTS,
    METADATA_KEY,
    PAYLOAD_SIZES,
    POST_FRAME,
    PRE_FRAME,
    RAW_PREFIX,
    Header,
    header_of,
    layout,
    opened,
    pack,
    payload_sizes,
    raw_length,
)

Version = tuple[int, int, int]

_SIZES: Mapping[int, tuple[tuple[Version, int], ...]] = {
    GAME_START: (
        *(((0, 1, 0), 320), ((1, 0, 0), 352), ((1, 3, 0), 416), ((1, 5, 0), 417), ((2, 0, 0), 418), ((3, 7, 0), 420)),
        *(((3, 9, 0), 584), ((3, 11, 0), 700), ((3, 12, 0), 701), ((3, 14, 0), 760)),
    ),
    FRAME_START: (((2, 2, 0), 8), ((3, 10, 0), 12)),
    PRE_FRAME: (((0, 1, 0), 58), ((1, 2, 0), 59), ((1, 4, 0), 63), ((3, 15, 0), 64), ((3, 17, 0), 66)),
    ITEM: (((3, 0, 0), 37), ((3, 2, 0), 41), ((3, 6, 0), 42), ((3, 16, 0), 44)),
    POST_FRAME: (
        *(((0, 1, 0), 33), ((0, 2, 0), 37), ((2, 0, 0), 51), ((2, 1, 0), 52), ((3, 5, 0), 72)),
        *(((3, 8, 0), 76), ((3, 11, 0), 80), ((3, 16, 0), 84)),
    ),
    BOOKEND: (((3, 0, 0), 4), ((3, 7, 0), 8)),
    GAME_END: (((0, 1, 0), 1), ((2, 0, 0), 2), ((3, 13, 0), 6)),
}
"""Payload bytes of each event from a version on, by Slippi's specification; before the first there is no such event."""

FIRST_VERSION = _SIZES[GAME_START][0][0]
"""What says to be older is read as this."""
_FRAME_STARTS = _SIZES[FRAME_START][0][0]
"""Before this version a frame's number stands only in its records, and peppi counts frames instead of reading it."""
_SHORT_BOOKENDS, _LONG_BOOKENDS = (since for since, _ in _SIZES[BOOKEND])
"""From the first to the second of these versions bookends hold nothing but their frame, which peppi 0.8.6 cannot read."""
_LONGEST_GAP = 600
"""Frames that damage may take: ten seconds."""
_RECORDS = (bytes([PRE_FRAME]), bytes([POST_FRAME]))
_ICE_CLIMBERS = 14
_NOBODY = 0xFF
_PORTS = (0, 1, 2, 3, _NOBODY)
_TEXTS = {"display_name": "cp932", "connect_code": "cp932", "user_id": "utf-8", "match_id": "utf-8"}

_Player = tuple[int, bool]
"""Slot 0–3, and whether it is the follower."""


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """A repaired replay."""

    data: bytes
    """A whole file."""
    reasons: tuple[str, ...]
    """What was wrong, the words of :data:`REASONS`."""
    version: Version
    """The latest version of which the replay held all fields: its own, unless its payloads are shorter than that has them.
    ``data`` may be written as a later one; the fields that it adds hold nothing."""
    frames_lost: int
    """Frames that are not whole between the last whole one and the game's end."""


REASONS = {
    "container": "it was not closed, its length is wrong, or its metadata are damaged or missing",
    "damaged": "some of its events cannot be read",
    "cut": "its events break off, and the game end is missing",
    "events": "single events are missing, doubled, or of nobody who plays",
    "end": "its game end names a player or a place that does not exist",
    "payloads": "its events are shorter than its version says",
    "bookends": "Slippi 3.0 to 3.6, whose frame ends peppi 0.8.6 cannot read",
    "text": "a text is in another code page",
    "header": "its game start, or the table of its events, holds what peppi does not know",
}
"""What each reason means."""


@dataclass
class _Frame:
    """One recording of a frame."""

    number: int
    start: bytes = b""
    bookend: bytes = b""
    pre: dict[_Player, bytes] = field(default_factory=dict)
    post: dict[_Player, bytes] = field(default_factory=dict)
    items: list[bytes] = field(default_factory=list)
    is_odd: bool = False
    """Whether an event was doubled, or of nobody who plays."""


def repair(data: bytes, keep: Literal["first", "last"] = "last") -> Repaired | None:
    """Return a repaired copy of a replay of two players, or None where no frame of it is whole.

    Args:
        data: the file's bytes.
        keep: which of two records of one player in one recording of a frame counts.

    Raises:
        ReplayError: no game start, or none that can be read.
    """
    data = opened(data)
    length, stream = raw_length(data), data[len(RAW_PREFIX) + 4 :]
    game = _read(stream, length, keep)
    whole = [frame for frame in game.frames if game.is_whole(frame)]
    if not whole:
        return None
    metadata = _metadata(stream[game.bytes_read :])
    version = game.header.version
    held = _held_version(version, game.sizes)
    is_short = _SHORT_BOOKENDS <= held < _LONG_BOOKENDS
    end, is_end_odd = _game_end(game.end)
    last = max(frame.number for frame in whole)
    recorded = game.frames if game.end else game.frames[: game.frames.index(whole[-1]) + 1]
    reasons = {
        "container": length != game.bytes_read or metadata is None,
        "damaged": game.is_damaged,
        "cut": game.end is None and game.is_cut,
        "events": len(whole) < len(recorded) or any(game.is_odd(frame) for frame in whole),
        "end": is_end_odd,
        "payloads": held < version,
        "bookends": is_short,
        "text": not _is_text(game.start) or "\ufffd" in json.dumps(metadata, ensure_ascii=False),
    }
    raw = _write(game.header, whole, end, _LONG_BOOKENDS if is_short else max(held, _FRAME_STARTS))
    return Repaired(
        data=pack(raw, _plain(metadata or {})),
        reasons=tuple(reason for reason, is_so in reasons.items() if is_so) or ("header",),
        version=held,
        frames_lost=len({frame.number for frame in game.frames if frame.number > last}) if game.end else 0,
    )


def _read(stream: bytes, length: int, keep: Literal["first", "last"]) -> "_Game":
    """The game in a stream of events; if these do not fit the table of their sizes, by the sizes of its version."""
    sizes = payload_sizes(stream)
    game = _Game(stream, length, sizes, keep)
    stated = sizes | {command: size for command, size in _sizes_of(game.header.version).items() if command in sizes}
    if stated == sizes or (not game.is_damaged and any(map(game.is_whole, game.frames))):
        return game
    other = _Game(stream, length, stated, keep)
    return max(game, other, key=lambda found: sum(map(found.is_whole, found.frames)))


def _sizes_of(version: Version) -> dict[int, int]:
    """Payload bytes of the events that ``version`` has."""
    known = {command: [size for since, size in steps if since <= version] for command, steps in _SIZES.items()}
    return {command: sizes[-1] for command, sizes in known.items() if sizes}


class _Game:
    """What can be read of a stream of events, up to its game end or to where it breaks off.

    Where an event cannot be, the frame around it is given up, and reading goes on at the next one.
    """

    def __init__(self, stream: bytes, length: int, sizes: Mapping[int, int], keep: Literal["first", "last"]) -> None:
        at = 1 + stream[1]
        start = stream[at + 1 : at + 1 + sizes.get(GAME_START, 0)]
        if stream[at : at + 1] != bytes([GAME_START]) or not sizes.get(GAME_START) or len(start) < sizes[GAME_START]:
            raise ReplayError("no_game_start", "replay: a game start must open the events, found none; record it again")
        self.header, self.start = header_of(start), start
        self.sizes = sizes
        self.end: bytes | None = None
        self.frames: list[_Frame] = []
        self.is_damaged = self.is_cut = False
        self._stream, self._keep = stream, keep
        self._players = {
            (player.port - 1, is_follower)
            for player in self.header.players
            for is_follower in ((False, True) if player.character == _ICE_CLIMBERS else (False,))
        }
        self.bytes_read = self._read_from(at)
        while self.end is None and self._is_damage(self.bytes_read):
            self.is_damaged = True
            if self.frames and not self.frames[-1].bookend:
                self.frames[-1].post.clear()  # the event that does not fit its size may be one of its records
            found = self._next_frame(self.bytes_read + 1) or self._end_at(length)
            if found is None:
                break
            self.bytes_read = self._read_from(found)
        self.is_cut = self.end is None and not self._is_metadata(self.bytes_read)

    def _read_from(self, at: int) -> int:
        """Read events up to the game end or one that cannot be; returns where that is."""
        while at < len(self._stream):
            command = self._stream[at]
            end = at + 1 + self.sizes.get(command, len(self._stream))
            if end > len(self._stream):
                break
            if command in (FRAME_START, PRE_FRAME, ITEM, POST_FRAME, BOOKEND):
                self._add_to_frame(command, self._stream[at + 1 : end])
            elif command == GAME_END:
                self.end = self._stream[at + 1 : end]
                return end
            at = end
        return at

    def _is_metadata(self, at: int) -> bool:
        return self._stream.startswith(METADATA_KEY, at)

    def _is_damage(self, at: int) -> bool:
        """Whether the event at ``at`` is unknown; elsewhere the stream ends there, or in the middle of that event."""
        return at < len(self._stream) and self._stream[at] not in self.sizes and not self._is_metadata(at)

    def _next_frame(self, at: int) -> int | None:
        """Where the next frame that has not been seen begins: two events in a row of one number, the next or a bit later."""
        command = FRAME_START if FRAME_START in self.sizes else PRE_FRAME
        last = max((frame.number for frame in self.frames), default=FIRST_FRAME - 1)
        while command in self.sizes and (at := self._stream.find(command, at)) >= 0:
            second = at + 1 + self.sizes[command]
            numbers = [int.from_bytes(self._stream[i + 1 : i + 5], "big", signed=True) for i in (at, second)]
            is_pair = numbers[0] == numbers[1] and self._stream[second : second + 1] in _RECORDS
            if is_pair and last < numbers[0] <= last + _LONGEST_GAP:
                return at
            at += 1
        return None

    def _end_at(self, length: int) -> int | None:
        """Where the game end stands that closes events of ``length`` bytes."""
        at = length - 1 - self.sizes.get(GAME_END, length)
        is_there = at > self.bytes_read and self._stream.startswith(bytes([GAME_END]), at) and self._is_metadata(length)
        return at if is_there else None

    def _add_to_frame(self, command: int, payload: bytes) -> None:
        if len(payload) < _SIZES[command][0][1]:  # the table lies: no version's are so short
            self.is_damaged = True
            return
        number = int.from_bytes(payload[:4], "big", signed=True)
        frame = self.frames[-1] if self.frames else None
        is_begun = frame is not None and bool(frame.pre or frame.post or frame.items)
        is_over = frame is None or frame.number != number or (bool(frame.bookend) and command != BOOKEND)
        if frame is None or is_over or (command == FRAME_START and is_begun):
            frame = _Frame(number)
            self.frames.append(frame)
        if command == ITEM:
            frame.items.append(payload)
        elif command in (FRAME_START, BOOKEND):
            name = "start" if command == FRAME_START else "bookend"
            frame.is_odd |= bool(getattr(frame, name))
            setattr(frame, name, payload)
        else:
            player = payload[4], bool(payload[5])
            records = frame.pre if command == PRE_FRAME else frame.post
            frame.is_odd |= player in records or player not in self._players
            if player in self._players and (self._keep == "last" or player not in records):
                records[player] = payload

    def is_whole(self, frame: _Frame) -> bool:
        """Whether a frame of the game holds both records of both players."""
        leaders = [player for player in self._players if not player[1]]
        return frame.number >= FIRST_FRAME and all(player in frame.pre and player in frame.post for player in leaders)

    def is_odd(self, frame: _Frame) -> bool:
        """Whether a whole frame is not as its version records it."""
        version = self.header.version
        lacks_start = not frame.start and version >= _FRAME_STARTS
        lacks_bookend = not frame.bookend and version >= _SHORT_BOOKENDS
        return frame.is_odd or lacks_start or lacks_bookend or frame.pre.keys() != frame.post.keys()


def _metadata(data: bytes) -> dict[str, Any] | None:
    """The metadata that follow the events; None if they are damaged, or not there."""
    if not data.startswith(METADATA_KEY):
        return None
    try:
        return ubjson.decode(data[len(METADATA_KEY) :])
    except ReplayError:
        return None


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Of the metadata the texts, each as long as UBJSON's short form allows."""
    return {key: value for key, value in metadata.items() if isinstance(value, str) and len(value.encode()) <= 255}


def _held_version(version: Version, sizes: Mapping[int, int]) -> Version:
    """The first version, or the latest up to ``version`` of which payloads of these sizes hold all of players and items."""
    kinds = [command for command in (PRE_FRAME, ITEM, POST_FRAME) if command in sizes]
    short = [since for kind in kinds for since, size in _SIZES[kind] if since <= version and size > sizes[kind]]
    if not short:
        return max(version, FIRST_VERSION)
    steps = {since for steps in _SIZES.values() for since, _ in steps}
    return max((since for since in steps if since < min(short)), default=FIRST_VERSION)


def _game_end(payload: bytes | None) -> tuple[bytes | None, bool]:
    """The game end with players and places that exist, and whether it had others."""
    if payload is None:
        return None, False
    known = payload[:1] + bytes(value if value in _PORTS else _NOBODY for value in payload[1:6])
    return known, known != payload[:6]


def _is_text(start: bytes) -> bool:
    row = np.frombuffer(start, layout(GAME_START, len(start)))[0]
    try:
        for name, encoding in _TEXTS.items():
            if name in (row.dtype.names or ()):
                for text in np.atleast_1d(row[name]):
                    bytes(text).split(b"\0")[0].decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _write(header: Header, frames: list[_Frame], end: bytes | None, version: Version) -> bytes:
    """The events of ``version``: a longer payload is cut, a shorter one filled up."""
    sizes = _sizes_of(version)
    listed = b"".join(bytes([command]) + size.to_bytes(2, "big") for command, size in sizes.items())
    pieces = [bytes([PAYLOAD_SIZES, len(listed) + 1]) + listed]

    def write(command: int, payload: bytes, filler: bytes = b"\0") -> None:
        if command in sizes:
            pieces.append(bytes([command]) + payload[: sizes[command]].ljust(sizes[command], filler))

    write(GAME_START, _game_start(header, version))
    for frame in frames:
        number = frame.number.to_bytes(4, "big", signed=True)
        write(FRAME_START, frame.start or number)
        for command, payload in _records(frame):
            write(command, payload)
        write(BOOKEND, frame.bookend if len(frame.bookend) > 4 else number + number)
    if end is not None:
        write(GAME_END, end, bytes([_NOBODY]))
    return b"".join(pieces)


def _records(frame: _Frame) -> Iterator[tuple[int, bytes]]:
    """A frame's records in the order in which the game writes them; a follower counts only with both of hers."""
    players = sorted(frame.pre.keys() & frame.post.keys())
    yield from ((PRE_FRAME, frame.pre[player]) for player in players)
    yield from ((ITEM, item) for item in frame.items)
    yield from ((POST_FRAME, frame.post[player]) for player in players)


def _game_start(header: Header, version: Version) -> bytes:
    """A game start of nothing but the players, because no text or rule in it is known to be sound."""
    start = np.zeros(1, LAYOUTS[GAME_START])
    start["version"] = [*version, 0]
    start["stage"] = header.stage
    start["players"]["kind"] = 3
    for player in header.players:
        start["players"]["character"][0, player.port - 1] = player.character
        start["players"]["kind"][0, player.port - 1] = ["human", "cpu", "demo"].index(player.kind)
    return start.tobytes()
