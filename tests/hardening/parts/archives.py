"""Archives that are damaged, endless, nested, or name places outside; each beside a healthy game, which must be ingested."""

import bz2
import gzip
import io
import lzma
import random
import shutil
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import zstandard

from ingest.jobs.pipeline import ingest
from tests.hardening.campaign import Case, Part, WrongError
from tests.hardening.parts.replays import HEALTHY, OPTIONS, whole_game
from tests.hardening.shell import nothing_else_touched

NAMES = (
    *(
        "game.slp",
        "a/b.slp",
        "../../outside.slp",
        "/outside.slp",
        "C:\\outside.slp",
        "game.slp.gz",
        "x.txt",
        "inner.zip",
    ),
    *(
        "\u30d5\u30a9\u30c3\u30af\u30b9.slp",
        "\u001b[31mred.slp",
        "n" * 240 + ".slp",
        ".slp",
        "a\\b.slp",
        "nul\u0001.slp",
        "link.slp",
    ),
)
SUFFIXES = (
    "zip",
    "tar",
    "tar.gz",
    "tar.bz2",
    "tar.xz",
    "tar.zst",
    "tgz",
    "tbz2",
    "txz",
    "7z",
    "slp.gz",
    "slp",
    "slpz",
    "zlp",
)


class Archives(Part):
    """Archives of every kind, edited before and after they are packed."""

    name = "archives"
    limit_s = 30.0

    def prepare(self) -> None:
        """Make the games that go into archives."""
        self._games = [whole_game(seed) for seed in range(3)]
        self._healthy = whole_game(4)

    def attempt(self, cases: Sequence[Case]) -> None:
        """Ingest the archive and a healthy game."""
        for case in cases:
            shutil.rmtree(self.scratch)
            folder, store = self.scratch / "in" / "deep", self.scratch / "store"
            folder.mkdir(parents=True)
            (folder / HEALTHY).write_bytes(self._healthy)
            self.make(case, folder)
            with nothing_else_touched(self.scratch, store):
                report = ingest([folder], store, OPTIONS)
            counted = (
                report.replays_ingested + report.replays_failed + report.replays_rejected + report.replays_duplicate
            )
            if report.replays_ingested < 1 or counted != report.replays_found:
                raise WrongError(
                    "loss", f"{report.replays_found} found, {counted} counted, {report.replays_ingested} ingested"
                )
            for reasons in (report.failures, report.rejections, report.duplicates):
                self.tally.update(reasons)
            self.tally["ok"] += report.replays_ingested

    def make(self, case: Case, folder: Path) -> Path:
        """Write the case's archive."""
        dice = random.Random(case.seed)
        suffix = dice.choice(SUFFIXES)
        data = self._packed(dice, suffix)
        for edit in case.edits[1:]:
            data = _spoiled(random.Random(edit), data)
        path = folder / f"archive.{suffix if dice.random() < 0.9 else dice.choice(SUFFIXES)}"
        path.write_bytes(data)
        return path

    def _packed(self, dice: random.Random, suffix: str) -> bytes:
        members = [(dice.choice(NAMES), dice.choice(self._games)) for _ in range(dice.randint(0, 4))]
        if dice.random() < 0.1:
            members.append(("bomb.slp", bytes(dice.choice((2**20, 2**25)))))
        if suffix == "zip":
            return _zip(dice, members)
        if suffix == "7z":
            return _sevenzip(dice, members)
        if suffix.startswith("t"):
            return _compressed(suffix, _tar(dice, members))
        game = members[0][1] if members else b""
        return gzip.compress(game, 1) if suffix == "slp.gz" else game

    def write(self, case: Case, folder: Path) -> str:
        """The archive beside a healthy game."""
        (folder / "in").mkdir()
        (folder / "in" / HEALTHY).write_bytes(self._healthy)
        self.make(case, folder / "in")
        return f"exphil ingest {folder / 'in'} --store STORE --min-frames 1"


def _zip(dice: random.Random, members: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", dice.choice((0, 8, 12, 14))) as archive:
        warnings.simplefilter("ignore")  # of doubled names
        for name, data in members:
            archive.writestr(name, data)
    found = bytearray(out.getvalue())
    if dice.random() < 0.4 and len(found) > 60:  # the list of members says something else than the members
        at = found.rfind(b"PK\x01\x02")
        field = (
            at + dice.choice((8, 10, 16, 20, 24, 28, 30, 42))
            if at >= 0 and dice.random() < 0.7
            else len(found) - dice.choice((2, 6, 10, 12))
        )
        found[field : field + 4] = dice.choice(
            (b"\xff" * 4, bytes(4), b"\x01\x00\x00\x00", struct.pack("<I", len(found) - 3))
        )
    return bytes(found)


def _tar(dice: random.Random, members: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=dice.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))) as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            if dice.random() < 0.3:
                member.type = dice.choice(
                    (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
                )
                member.linkname = dice.choice(("game.slp", "/etc/passwd", "../x.slp", name, "link.slp"))
                tar.addfile(member)
                continue
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    found = bytearray(out.getvalue())
    if dice.random() < 0.4 and len(found) > 512:
        field, size = dice.choice(((124, 12), (148, 8), (156, 1), (257, 8), (108, 8)))
        value = dice.choice(
            (b"-0000000001\0", b"\x80" + bytes(3) + b"\x7f" * 8, b"junk", b"\xff" * 12, b"77777777777\0")
        )
        found[field : field + size] = value.ljust(size, b"\0")[:size]
        if dice.random() < 0.7:
            found[148:156] = b" " * 8
            found[148:156] = b"%06o\0 " % sum(found[:512])
    return bytes(found)


def _sevenzip(dice: random.Random, members: list[tuple[str, bytes]]) -> bytes:
    py7zr = __import__("py7zr")
    out = io.BytesIO()
    filters = dice.choice(
        ([{"id": py7zr.FILTER_COPY}], [{"id": py7zr.FILTER_LZMA2, "preset": 0}], [{"id": py7zr.FILTER_DEFLATE}])
    )
    with py7zr.SevenZipFile(out, "w", filters=filters) as archive:
        for number, (_, data) in enumerate(members):
            archive.writestr(data, f"{number}.slp")
    return out.getvalue()


def _compressed(suffix: str, data: bytes) -> bytes:
    if suffix in ("tar.gz", "tgz"):
        return gzip.compress(data, 1)
    if suffix in ("tar.bz2", "tbz2"):
        return bz2.compress(data, 1)
    if suffix in ("tar.xz", "txz"):
        return lzma.compress(data, preset=0)
    return zstandard.ZstdCompressor(level=1).compress(data) if suffix == "tar.zst" else data


def _spoiled(dice: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    if not out:
        return dice.randbytes(40)
    kind, at = dice.randrange(6), dice.randrange(len(out))
    if kind == 0:
        del out[at:]
    elif kind == 1:
        for _ in range(dice.randint(1, 6)):
            out[dice.randrange(len(out))] ^= 1 << dice.randrange(8)
    elif kind == 2:
        for _ in range(dice.randint(1, 6)):  # where the lists of archives are
            out[max(0, len(out) - 1 - dice.randrange(120))] = dice.randrange(256)
    elif kind == 3:
        for _ in range(dice.randint(1, 6)):
            out[min(len(out) - 1, dice.randrange(120))] = dice.randrange(256)
    elif kind == 4:
        out += out[: dice.choice((10, len(out)))]
    else:
        out[:0] = dice.choice((b"\0", b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", bytes(512)))
    return bytes(out)
