"""The UBJSON container of a ``.slp`` file: raw event bytes first, then a small metadata object.

Files become plain Python values, and these become the very bytes Slippi's Dolphin writes (lengths as ``U``, numbers as
four-byte ``l``). The raw element is cut out by its stated length and not parsed; only the metadata is, and damaged metadata is
a ReplayError.
"""

import struct
from collections.abc import Mapping
from typing import Any

from dataset.errors import ReplayError

RAW_PREFIX = b"{U\x03raw[$U#l"
METADATA_KEY = b"U\x08metadata"
_NUMBERS = {"i": ">b", "U": ">B", "I": ">h", "l": ">i", "L": ">q", "d": ">f", "D": ">d"}
_CONSTANTS = {"Z": None, "T": True, "F": False}


def pack(raw: bytes, metadata: Mapping[str, Any]) -> bytes:
    """Return the bytes of a complete file around ``raw``."""
    return RAW_PREFIX + struct.pack(">i", len(raw)) + raw + METADATA_KEY + encode(metadata) + b"}"


def raw_length(head: bytes) -> int:
    """Return the stated length of the raw element, which starts at byte 15; 0 means the recorder never finished."""
    start = len(RAW_PREFIX)
    if len(head) < start + 4 or not head.startswith(RAW_PREFIX):
        raise ReplayError(
            "not_slp",
            f"replay: a .slp file starts with {RAW_PREFIX!r} and a length, found {head[: start + 4]!r}; "
            "check that the file is a Slippi replay and not empty or compressed",
        )
    return int.from_bytes(head[start : start + 4], "big")


def unpack(data: bytes) -> tuple[bytes, dict[str, Any]]:
    """Split a file into raw event bytes and metadata (an empty dict where the recorder wrote none)."""
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
    if not rest.startswith(METADATA_KEY):
        return raw, {}
    try:
        metadata = _Reader(rest, len(METADATA_KEY)).value()
    except RecursionError as error:
        raise _bad_metadata("nest a few levels at most", "hundreds") from error
    if not isinstance(metadata, dict):
        raise _bad_metadata("be an object", repr(metadata))
    return raw, metadata


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


def _bad_metadata(rule: str, found: str) -> ReplayError:
    return ReplayError("bad_metadata", f"replay: metadata must {rule}, found {found}; copy the file again")


class _Reader:
    """A cursor over UBJSON bytes; short or unknown input raises ReplayError."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

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
