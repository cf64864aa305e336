"""Thrift's compact protocol, as much of it as Parquet's headers need; writing only.

In: structs as dicts of field number to value, in ascending order. Out: bytes. The surprise: the width of a whole number is
part of its field's header, so an ``int`` is written as 32 bits unless it is an ``I16`` or an ``I64``; a float has no place.
"""

from typing import Any

Struct = dict[int, Any]
"""Fields by number, ascending."""


class I16(int):
    """A number whose field has 16 bits."""


class I64(int):
    """A number whose field has 64 bits."""


_KIND: dict[type, int] = {I16: 4, int: 5, I64: 6, str: 8, bytes: 8, list: 9, dict: 12}


def encode(struct: Struct) -> bytes:
    """A struct."""
    out = bytearray()
    _add_struct(out, struct)
    return bytes(out)


def _add_struct(out: bytearray, struct: Struct) -> None:
    last = 0
    for number, value in struct.items():
        out.append((number - last) << 4 | _KIND[type(value)])
        _add_value(out, value)
        last = number
    out.append(0)


def _add_value(out: bytearray, value: Any) -> None:
    if isinstance(value, int):
        out += varint((value << 1) ^ (value >> 63))
    elif isinstance(value, dict):
        _add_struct(out, value)
    elif isinstance(value, list):
        kind, count = _KIND[type(value[0]) if value else dict], len(value)
        out += bytes([count << 4 | kind]) if count < 15 else bytes([0xF0 | kind]) + varint(count)
        for element in value:
            _add_value(out, element)
    else:
        data = value.encode() if isinstance(value, str) else value
        out += varint(len(data))
        out += data


def varint(number: int) -> bytes:
    """A whole number from 0 up, seven bits a byte, lowest first."""
    if number < 0x80:
        return _BYTES[number]
    return bytes([number & 0x7F | 0x80]) + varint(number >> 7)


_BYTES = [bytes([byte]) for byte in range(0x80)]
