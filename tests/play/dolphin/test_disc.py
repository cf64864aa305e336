"""Disc images in every format that Dolphin opens, each made by hand."""

import struct
import zlib
from pathlib import Path

import pytest

from dataset.errors import DolphinError
from play.dolphin.disc import Disc, read_disc, require_melee

HEADER = b"GALE01\x00\x02".ljust(0x400, b"\x00")


def ciso(header: bytes) -> bytes:
    return (b"CISO" + (0x200000).to_bytes(4, "little") + b"\x01").ljust(0x8000, b"\x00") + header


def rvz(header: bytes) -> bytes:
    return b"RVZ\x01".ljust(0x58, b"\x00") + header[:0x80]


def gcz(header: bytes, *, is_packed: bool) -> bytes:
    data = zlib.compress(header) if is_packed else header
    pointers = struct.pack("<QQ", 0 if is_packed else 1 << 63, len(data))
    return struct.pack("<IIQQII", 0xB10BC001, 0, len(data), 2 * len(header), len(data), 2) + pointers + bytes(8) + data


IMAGES = {
    "plain": HEADER,
    "nkit": HEADER[:0x200] + b"NKIT v01" + HEADER,
    "ciso": ciso(HEADER),
    "rvz": rvz(HEADER),
    "gcz": gcz(HEADER, is_packed=True),
}


@pytest.mark.parametrize("kind", list(IMAGES))
def test_melee_is_known_in_every_format_whatever_the_file_is_called(tmp_path: Path, kind: str) -> None:
    (tmp_path / "melee.iso").write_bytes(IMAGES[kind])
    assert require_melee(tmp_path / "melee.iso") == Disc(kind=kind, game_id="GALE01", revision=2)


def test_a_block_that_did_not_shrink_is_kept_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "melee.gcz").write_bytes(gcz(HEADER, is_packed=False))
    assert read_disc(tmp_path / "melee.gcz") == Disc(kind="gcz", game_id="GALE01", revision=2)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"GALE01\x00\x01" + bytes(512), r"found version 1\.01; update it to 1\.02"),
        (b"GALP01\x00\x00" + bytes(512), "found game GALP01; choose another image"),
        (rvz(b"GALJ01\x00\x02" + bytes(128)), "found game GALJ01"),
        (b"PK\x03\x04" + bytes(512), "where the game id should be"),
        (b"GALE", "where the game id should be"),
        (b"", "where the game id should be"),
        (b"\x01\xc0\x0b\xb1" + bytes(4), "found error: unpack"),
        (gcz(HEADER, is_packed=True)[:-24] + bytes(24), "found error: Error -3"),
    ],
)
def test_what_is_not_melee_is_refused_with_what_it_is(tmp_path: Path, image: bytes, message: str) -> None:
    (tmp_path / "melee.iso").write_bytes(image)
    with pytest.raises(DolphinError, match=message):
        require_melee(tmp_path / "melee.iso")


def test_an_image_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DolphinError, match="found no such file"):
        read_disc(tmp_path / "melee.iso")
