"""A replay taken apart, and edits of what lies around its events: metadata, container, and plain bytes."""

import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataset.slippi import slp

TEXTS = (
    "",
    "a",
    "\u30d5\u30a9\u30c3\u30af\u30b9",
    "\x1b[31mred\x07",
    "../../etc/passwd",
    "2026-01-01T00:00:00Z",
    "9" * 255,
    "\x00",
)


@dataclass
class Draft:
    """A replay in pieces."""

    sizes: list[tuple[int, int]]
    """(command, bytes) of the payload table, in order."""
    events: list[tuple[int, bytes]]
    metadata: bytes
    """UBJSON."""
    length: int | None = None
    """Of the events, if the container is to lie."""
    head: bytes = slp.RAW_PREFIX
    key: bytes = slp.METADATA_KEY
    tail: bytes = b"}"
    finish: list[Callable[[bytes], bytes]] = field(default_factory=list)
    """What is done to the whole file in the end."""

    @classmethod
    def of(cls, data: bytes) -> "Draft":
        """Take a whole replay apart."""
        raw, _ = slp.read_slp(data)
        after = data[len(slp.RAW_PREFIX) + 4 + len(raw) + len(slp.METADATA_KEY) : -1]
        return cls(list(slp.payload_sizes(raw).items()), [(c, bytes(p)) for c, p in slp.events(raw)], after)

    def copy(self) -> "Draft":
        """One to edit."""
        return Draft(list(self.sizes), list(self.events), self.metadata)

    def bytes(self) -> bytes:
        """The file."""
        table = b"".join(bytes([c & 255]) + (size & 0xFFFF).to_bytes(2, "big") for c, size in self.sizes)
        raw = bytes([slp.PAYLOAD_SIZES, (len(table) + 1) & 255]) + table
        raw += b"".join(bytes([command]) + payload for command, payload in self.events)
        length = len(raw) if self.length is None else self.length
        data = self.head + (length & 0xFFFFFFFF).to_bytes(4, "big") + raw + self.key + self.metadata + self.tail
        for change in self.finish:
            data = change(data)
        return data

    def places(self, *commands: int) -> list[int]:
        """Where these events are, or any if none are named."""
        return [i for i, (command, _) in enumerate(self.events) if not commands or command in commands]

    def put(self, place: int, name: str, value: Any) -> None:
        """Set a field of an event, if it has it."""
        command, payload = self.events[place]
        kind = slp.layout(command, len(payload))
        if name in (kind.names or ()):
            row = np.frombuffer(bytearray(payload), kind)
            with np.errstate(all="ignore"):
                row[name] = value
            self.events[place] = (command, row.tobytes())


class _Ready(bytes):
    """UBJSON already."""


def ubjson(value: object) -> bytes:
    """UBJSON of anything, also of what no recorder writes."""
    if value is None or isinstance(value, bool):
        return {None: b"Z", True: b"T", False: b"F"}[value]
    if isinstance(value, _Ready):
        return value
    if isinstance(value, int):
        return b"l" + struct.pack(">i", value) if -(2**31) <= value < 2**31 else b"L" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"D" + struct.pack(">d", value)
    if isinstance(value, str | bytes):
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        size = b"U" + bytes([len(data)]) if len(data) < 256 else b"l" + struct.pack(">i", len(data))
        return b"S" + size + data
    if isinstance(value, list):
        return b"[" + b"".join(map(ubjson, value)) + b"]"
    assert isinstance(value, Mapping)
    return b"{" + b"".join(ubjson(str(key))[1:] + ubjson(item) for key, item in value.items()) + b"}"


def _anything(dice: random.Random) -> object:
    depth = dice.choice((1, 5, 200, 3000)) if dice.random() < 0.2 else 1
    deep = _Ready(
        b"[" * depth + b"l\0\0\0\1" + b"]" * depth if dice.random() < 0.5 else b"{U\1a" * depth + b"Z" + b"}" * depth
    )
    return dice.choice(
        (None, True, 0, -1, 2**31, -(2**62), 1.5, float("nan"), deep, {}, [], *TEXTS, dice.randbytes(9), b"x" * 70_000)
    )


def metadata(dice: random.Random, draft: Draft) -> None:
    """Write metadata of wrong types and sizes, cut it, leave it out, or damage its bytes."""
    kind = dice.randrange(6)
    if kind <= 2:
        found: dict[str, object] = {
            "startAt": "2026-01-01T00:00:00Z",
            "lastFrame": 77,
            "players": {},
            "playedOn": "dolphin",
        }
        for key in dice.sample(["startAt", "lastFrame", "players", "playedOn", "consoleNick", "x"], dice.randint(1, 3)):
            found[key] = _anything(dice)
        if dice.random() < 0.3:
            found["players"] = {dice.choice("0149x"): {"names": _anything(dice), "characters": _anything(dice)}}
        draft.metadata = ubjson(found)
    elif kind == 3:
        draft.metadata = draft.metadata[: dice.randrange(len(draft.metadata) + 1)]
        draft.tail = dice.choice((b"}", b""))
    elif kind == 4:
        draft.metadata = draft.key = draft.tail = b""
        draft.tail = dice.choice((b"}", b"", b"}}", b"\0" * 20))
    else:
        data = bytearray(draft.metadata or b"?")
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        draft.metadata = bytes(data)


def container(dice: random.Random, draft: Draft) -> None:
    """Lie about the length, damage the head, or end the file early."""
    kind = dice.randrange(5)
    if kind == 0:
        draft.length = dice.choice((0, 1, 0xFFFFFFFF, 2**31, dice.randrange(100_000)))
    elif kind == 1:
        share = dice.random()
        draft.finish.append(lambda data: data[: int(share * len(data))])
    elif kind == 2:
        draft.head = dice.choice(
            (b"", b"\xef\xbb\xbf" + draft.head, draft.head[:-1], b"{U\x03raw[$U#L", draft.head.lower())
        )
    elif kind == 3:
        draft.length, draft.key, draft.metadata, draft.tail = dice.choice((0, None)), b"", b"", dice.choice((b"", b"}"))
    else:
        more = dice.randbytes(dice.choice((1, 100, 5000)))
        draft.finish.append(lambda data: data + more)


def plain_bytes(dice: random.Random, draft: Draft) -> None:
    """Flip, zero, remove or repeat bytes anywhere in the file."""
    seed = dice.getrandbits(32)

    def change(data: bytes) -> bytes:
        own = random.Random(seed)
        out = bytearray(data)
        if not out:
            return data
        at, count = own.randrange(len(out)), own.choice((1, 7, 64, 4096))
        kind = own.randrange(5)
        if kind <= 1:
            for _ in range(own.randint(1, 12)):
                out[own.randrange(len(out))] ^= 1 << own.randrange(8)
        elif kind == 2:
            out[at : at + count] = bytes(len(out[at : at + count]))
        elif kind == 3:
            del out[at : at + count]
        else:
            out[at:at] = out[at : at + count]
        return bytes(out)

    draft.finish.append(change)
