"""What game a disc image holds, from its first bytes, in every format that Dolphin opens.

Each compressed format keeps the disc's header in a place of its own, so the first six bytes of a file are not enough.
"""

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from dataset.errors import DolphinError

GAME_ID, REVISION = "GALE01", 2
"""Melee of North America, 1.02: the one version that Slippi and libmelee read."""

_HEADER_BYTES = 0x204
"""As far as NKit's mark."""
_CISO_HEADER_BYTES = 0x8000
_WIA_HEADER_AT = 0x58
_GCZ = struct.Struct("<IIQQII")
_UNCOMPRESSED = 1 << 63


class Disc(NamedTuple):
    """A disc image."""

    kind: str
    """``plain``, ``nkit``, ``ciso``, ``gcz``, ``wia`` or ``rvz``."""
    game_id: str
    """Six letters, ``GALE01`` for Melee of North America."""
    revision: int
    """0 is 1.00, 2 is 1.02."""


def read_disc(path: Path) -> Disc:
    """What a disc image holds.

    Raises:
        DolphinError: there is no such file, or it is no disc image.
    """
    if not path.is_file():
        raise DolphinError(f"--iso {path}: must be a Melee NTSC 1.02 image, found no such file; pass its path")
    try:
        kind, header = _header(path)
    except (OSError, struct.error, zlib.error, EOFError) as error:
        raise _no_disc(path, f"{type(error).__name__}: {error}") from error
    game_id = header[:6]
    if len(header) < 8 or not game_id.isalnum():
        raise _no_disc(path, f"{header[:6]!r} where the game id should be")
    if kind == "plain" and header[0x200:0x204] == b"NKIT":
        kind = "nkit"
    return Disc(kind=kind, game_id=game_id.decode("ascii"), revision=header[7])


def require_melee(path: Path) -> Disc:
    """The disc image at ``path``, if it is Melee NTSC 1.02.

    Raises:
        DolphinError: it is another game, another version, or no disc image.
    """
    disc = read_disc(path)
    if (disc.game_id, disc.revision) == (GAME_ID, REVISION):
        return disc
    found = f"version 1.{disc.revision:02d}" if disc.game_id == GAME_ID else f"game {disc.game_id}"
    hint = "update it to 1.02" if disc.game_id == GAME_ID else "choose another image"
    raise DolphinError(f"--iso {path}: must be Melee NTSC 1.02 ({GAME_ID}, revision {REVISION}), found {found}; {hint}")


def _header(path: Path) -> tuple[str, bytes]:
    """An image's format, and the disc's own first bytes."""
    with path.open("rb") as file:
        first = file.read(_HEADER_BYTES)
        magic = first[:4]
        if magic == b"CISO":
            file.seek(_CISO_HEADER_BYTES)
            return "ciso", file.read(_HEADER_BYTES)
        if magic in (b"WIA\x01", b"RVZ\x01"):
            return magic[:3].decode().lower(), first[_WIA_HEADER_AT:][:0x80]
        if magic == b"\x01\xc0\x0b\xb1":
            return "gcz", _first_gcz_block(path)
        return "plain", first


def _first_gcz_block(path: Path) -> bytes:
    with path.open("rb") as file:
        *_, block_size, num_blocks = _GCZ.unpack(file.read(_GCZ.size))
        (pointer,) = struct.unpack("<Q", file.read(8))
        file.seek(_GCZ.size + 12 * num_blocks + (pointer & ~_UNCOMPRESSED))
        data = file.read(block_size)
    return data if pointer & _UNCOMPRESSED else zlib.decompressobj().decompress(data)


def _no_disc(path: Path, found: str) -> DolphinError:
    return DolphinError(
        f"--iso {path}: must be a Melee NTSC 1.02 image, found {found}; pass the image itself, unpacked"
    )
