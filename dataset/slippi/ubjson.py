"""UBJSON, in which a ``.slp`` file keeps its metadata: to plain Python values and back.

Values become the very bytes that Slippi's Dolphin writes (lengths as ``U``, numbers as four-byte ``l``).
"""

import struct
from collections.abc import Mapping
from typing import Any

from dataset.errors import ReplayError

_NUMBERS = {"i": ">b", "U": ">B", "I": ">h", "l": ">i", "L": ">q", "d": ">f", "D": ">d"}
_CONSTANTS = {"Z": None, "T": True, "F": False}


def encode(value: object) -> bytes:
    """Return the UBJSON bytes of strings, whole numbers and string-keyed mappings, written as Slippi's Dolphin does."""
    if isinstance(value, Mapping):
        return b"{" + b"".join(_key(str(key)) + encode(item) for key, item in value.items()) + b"}"
    if isinstance(value, str):
        return b"S" + _key(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return b"l" + struct.pack(">i", value)
    raise TypeError(f"replay metadata holds strings, integers and mappings, not {type(value).__name__}")


def _key(text: str) -> bytes:
    data = text.encode()
    if len(data) > 255:
        raise ValueError(f"a metadata string holds at most 255 bytes, not {len(data)}")
    return b"U" + bytes([len(data)]) + data


def decode(data: bytes) -> dict[str, Any]:
    """Return the object at the start of ``data``; ReplayError if there is none, or it is damaged."""
    try:
        found = _Reader(data).value()
    except RecursionError as error:
        raise _bad_metadata("nest a few levels at most", "hundreds") from error
    if not isinstance(found, dict):
        raise _bad_metadata("be an object", repr(found))
    return found


def _bad_metadata(rule: str, found: str) -> ReplayError:
    return ReplayError("bad_metadata", f"replay: metadata must {rule}, found {found}; copy the file again")


class _Reader:
    """A cursor over UBJSON bytes; short or unknown input raises ReplayError."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) < count or count < 0:
            raise _bad_metadata("run to its closing brace", f"its end at byte {self.at}")
        self.at += count
        return piece

    def value(self, marker: str | None = None) -> Any:
        marker = marker or self.take(1).decode("latin-1")
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker in _NUMBERS:
            layout = _NUMBERS[marker]
            return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]
        if marker in "SH":
            return self.text()
        if marker == "C":
            return self.take(1).decode("latin-1")
        if marker == "{":
            return self.object()
        if marker == "[":
            return self.array()
        raise _bad_metadata("be UBJSON", f"marker {marker!r}")

    def count(self) -> int:
        number = self.value()
        if not isinstance(number, int) or number < 0:
            raise _bad_metadata("give whole lengths", repr(number))
        return number

    def text(self) -> str:
        return self.take(self.count()).decode("utf-8", errors="replace")

    def peek(self) -> str:
        return self.data[self.at : self.at + 1].decode("latin-1")

    def object(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.peek() != "}":
            key = self.text()
            found[key] = self.value()
        self.take(1)
        return found

    def array(self) -> list[Any]:
        kind = self.take(2)[1:].decode("latin-1") if self.peek() == "$" else None
        if self.peek() == "#":
            self.take(1)
            return [self.value(kind) for _ in range(self.count())]
        found: list[Any] = []
        while self.peek() != "]":
            found.append(self.value())
        self.take(1)
        return found
