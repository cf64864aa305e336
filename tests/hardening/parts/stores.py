"""Stores of strangers: manifests and shards that lie, with hashes that match, so that the lie is met by whoever reads it.

Every command that takes a store is run on them. None may trace back, hang, or touch anything beside the store.
"""

import hashlib
import io
import json
import random
import shutil
import struct
import tarfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import zstandard

from dataset.errors import ExphilError
from dataset.store.store import Store
from dataset.stream.bank import Bank
from tests.hardening.campaign import Case, Part
from tests.hardening.shell import fresh, nothing_else_touched, run, small_store
from tests.hardening.spoil import anything, hardly_json, spoiled

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("verify", "--store", "{store}"),
    ("encode", "--store", "{store}"),
    ("encode", "--store", "{store}", "--quality"),
    ("stats", "--store", "{store}", "--query", "techniques"),
    ("stats", "--store", "{store}"),
    ("inspect", "--store", "{store}", "--frames", "0:2"),
    ("ingest", "{source}", "--store", "{store}", "--workers", "1", "--min-frames", "1", "--include-cpu"),
    ("stats", "--store", "{store}", "--html", "{store}/card.html"),
)


def signed(tree: Any) -> bytes:
    """A manifest's text with digests that match what it says, as far as it says anything."""
    if isinstance(tree, dict):
        settings = [tree.get(name) for name in ("rollback", "split_seed", "filters", "where")]
        settings += [] if tree.get("features") in ("all", None) else [tree["features"]]
        tree["settings_digest"] = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        tree["manifest_digest"] = ""
    text = json.dumps(tree, indent=1, sort_keys=True).encode("utf-8", "surrogatepass") + b"\n"
    empty, digest = b'"manifest_digest": ""', hashlib.sha256(text).hexdigest().encode()
    return text.replace(empty, empty[:-1] + digest + b'"', 1)


class _OfStores(Part):
    """A store of three games in a folder with victims around it."""

    def prepare(self) -> None:
        self.whole = small_store(self.scratch.parent / "small-store")
        self.deep = self.scratch / "a" / "b"
        self.store = self.deep / "store"
        for place in (self.scratch, self.scratch / "a", self.deep):
            place.mkdir(exist_ok=True)
            (place / "victim.txt").write_text("keep me")

    def check(self, dice: random.Random, command: tuple[str, ...] | None = None) -> None:
        """Run one command on the store."""
        chosen = command or dice.choice(COMMANDS)
        source = str(self.whole.parent / "source")
        words = [word.format(store=self.store, source=source) for word in chosen]
        with nothing_else_touched(self.scratch, self.store):
            done = run(*words, cwd=self.deep)
        self.tally[f"{chosen[0]} exit {done.code}"] += 1

    def write(self, case: Case, folder: Path) -> str:
        """The spoiled store."""
        self.spoil(case)
        shutil.copytree(self.store, folder / "store")
        command = random.Random(case.seed).choice(COMMANDS)
        return " ".join(["exphil", *(word.format(store=folder / "store", source="FOLDER") for word in command)])

    def spoil(self, case: Case) -> None:
        """Make ``self.store`` what the case says."""
        raise NotImplementedError

    def attempt(self, cases: Sequence[Case]) -> None:
        """Spoil the store, and run one command on it."""
        for case in cases:
            self.spoil(case)
            self.check(random.Random(case.seed))


class Manifests(_OfStores):
    """Manifests that were changed, with digests that match."""

    name = "manifests"

    def spoil(self, case: Case) -> None:
        """Change the manifest by the case's edits."""
        fresh(self.whole, self.store)
        path = self.store / "manifest.json"
        tree = json.loads(path.read_text())
        for edit in case.edits:
            dice = random.Random(edit)
            tree = spoiled(dice, tree, str(self.scratch))
        text = signed(tree)
        dice = random.Random(case.seed + 1)
        if dice.random() < 0.1:
            text = hardly_json(dice, text.decode("utf-8", "replace"))
        path.write_bytes(text)


class Shards(_OfStores):
    """Shards and tables that were changed, in a store whose manifest lists their hashes."""

    name = "shards"

    def spoil(self, case: Case) -> None:
        """Change files of the store by the case's edits, and list them as they are now."""
        fresh(self.whole, self.store)
        manifest = json.loads((self.store / "manifest.json").read_text())
        for edit in case.edits:
            dice = random.Random(edit)
            shard = dice.choice(manifest["shards"])
            path = self.store / shard["path"]
            if dice.random() < 0.15:
                path = self.store / "replays.parquet"
            data = path.read_bytes()
            if path.suffix == ".tar":
                new = spoiled_tar(dice, data)
            else:
                new = spoiled_table(dice, data) if dice.random() < 0.7 else spoiled_bytes(dice, data)
            path.write_bytes(new)
            if path.name == "replays.parquet":
                manifest["replays_sha256"] = hashlib.sha256(new).hexdigest()
            else:
                shard |= {"sha256": hashlib.sha256(new).hexdigest(), "bytes": len(new)}
        (self.store / "manifest.json").write_bytes(signed(manifest))

    def attempt(self, cases: Sequence[Case]) -> None:
        """Read the shards as training does, then run one command."""
        for case in cases:
            self.spoil(case)
            dice = random.Random(case.seed)
            if dice.random() < 0.6:
                self._stream()
            else:
                self.check(dice)

    def _stream(self) -> None:
        with nothing_else_touched(self.scratch, self.store):
            try:
                store = Store(self.store)
                bank = Bank(store.packed("all"), None)
                for _ in store.windows("train", window=20, batch_size=8):
                    pass
                del bank
            except ExphilError as error:
                self.tally[f"stream {type(error).__name__}"] += 1
                return
        self.tally["stream read"] += 1


def spoiled_bytes(dice: random.Random, data: bytes) -> bytes:
    """Bytes flipped, cut, zeroed or repeated."""
    out = bytearray(data)
    kind, at = dice.randrange(4), dice.randrange(len(out) + 1)
    if kind == 0:
        for _ in range(dice.randint(1, 8)):
            out[dice.randrange(len(out))] ^= 1 << dice.randrange(8)
    elif kind == 1:
        del out[at:]
    elif kind == 2:
        out[at : at + 64] = bytes(len(out[at : at + 64]))
    else:
        out[at:at] = out[at : at + 512]
    return bytes(out)


def spoiled_tar(dice: random.Random, data: bytes) -> bytes:
    """A window shard with other headers, members, announcements or numbers."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            found = [(member, tar.extractfile(member)) for member in tar.getmembers()]
            members = [(member, file.read() if file else b"") for member, file in found]
            json.loads(members[0][1])
            if len(members) % 2:
                return spoiled_bytes(dice, data)
    except (tarfile.TarError, KeyError, ValueError, IndexError, RecursionError):  # an edit before this one did well
        return spoiled_bytes(dice, data)
    if dice.random() < 0.15:
        return spoiled_bytes(dice, data)
    at = dice.randrange(len(members)) if members else 0
    kind = dice.randrange(6)
    if members and kind <= 1:
        at -= at % 2
        about: Any = {}
        with suppress(ValueError, RecursionError):
            about = json.loads(members[at][1])
        about = spoiled(dice, about) if dice.random() < 0.8 else anything(dice)
        text = json.dumps(about).encode("utf-8", "surrogatepass")
        members[at] = (
            members[at][0],
            text if dice.random() < 0.9 else hardly_json(dice, text.decode("utf-8", "replace")),
        )
    elif members and kind == 2:
        at += 1 - at % 2
        members[at] = (members[at][0], spoiled_numbers(dice, members[at][1]))
    elif members and kind == 3:
        name = dice.choice(
            ("x.json", "x.zst", "x.txt", "../../victim.txt", "/victim.txt", "x" * 180 + ".json", "", "a/b.json")
        )
        if dice.random() < 0.5:
            members[at][0].name = name
        else:
            members.insert(at, (tarfile.TarInfo(name), b"{}"))
    elif members and kind == 4:
        members[at][0].type = dice.choice(
            (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, b"S")
        )
        members[at][0].linkname = dice.choice(("/etc/passwd", "../../victim.txt", members[0][0].name))
    out = io.BytesIO()
    kind_of_tar = dice.choice((tarfile.USTAR_FORMAT, tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=out, mode="w", format=kind_of_tar) as tar:
        for member, content in members:
            member.size = len(content) if member.isreg() else 0
            try:
                tar.addfile(member, io.BytesIO(content))
            except ValueError:  # a name too long for ustar
                continue
    shard = bytearray(out.getvalue())
    if kind == 5 and members:
        field = dice.choice(((124, 12), (148, 8), (156, 1), (0, 100), (257, 8), (345, 155)))
        value = dice.choice(
            (
                b"-0000000001\0",
                b"99999999999\0",
                b"\x80" + bytes(3) + b"\x01" + bytes(7),
                b"junk",
                b"\xff" * 12,
                b"7" * 12,
            )
        )
        shard[field[0] : field[0] + field[1]] = value.ljust(field[1], b"\0")[: field[1]]
        if dice.random() < 0.5:
            shard[148:156] = b" " * 8
            shard[148:156] = b"%06o\0 " % sum(shard[:512])
    return bytes(shard)


def spoiled_numbers(dice: random.Random, packed: bytes) -> bytes:
    """Compressed numbers that are others, too few, too many, or no zstd."""
    try:
        numbers = bytearray(zstandard.ZstdDecompressor().decompress(packed))
    except zstandard.ZstdError:
        return packed
    kind = dice.randrange(7)
    if kind == 0:
        return dice.randbytes(50)
    if kind == 1:
        return packed[: dice.randrange(len(packed))]
    if kind == 2:
        numbers = numbers[: dice.randrange(len(numbers))]
    elif kind == 3:
        numbers += bytes(2**22)
    elif kind == 4:
        for _ in range(20):
            at = dice.randrange(len(numbers) - 4)
            numbers[at : at + 2] = struct.pack("<e", dice.choice((float("nan"), float("inf"), -65504.0)))
    elif kind == 5:
        at = dice.randrange(len(numbers))
        numbers[at:] = dice.randbytes(len(numbers) - at)
    else:  # a frame that announces far more than it holds
        return zstandard.ZstdCompressor().compress(bytes(numbers))[:4] + b"\xc0" + struct.pack("<Q", 2**40) + packed[9:]
    return zstandard.ZstdCompressor(level=1).compress(bytes(numbers))


def spoiled_table(dice: random.Random, data: bytes) -> bytes:
    """A Parquet file with a column that is missing, renamed, of another type, or holds other values."""
    try:
        table = pl.read_parquet(io.BytesIO(data))
    except pl.exceptions.PolarsError:
        return spoiled_bytes(dice, data)
    name = dice.choice(table.columns)
    column = table[name]
    changes: tuple[Callable[[], pl.DataFrame], ...] = (
        lambda: table.drop(name),
        lambda: table.rename({name: dice.choice(("x", name.upper(), "\u0000"))}),
        lambda: table.with_columns(pl.lit(None).alias(name)),
        lambda: table.with_columns(column.cast(pl.String).alias(name)),
        lambda: table.with_columns(pl.Series(name, [[1]] * table.height)),
        lambda: table.with_columns(column.reverse().alias(name)),
        lambda: table.with_columns(pl.Series(name, _extremes(dice, column))),
        lambda: table.head(dice.randrange(table.height + 1)),
        lambda: pl.concat([table, table]),
        lambda: table.sample(fraction=1.0, shuffle=True, seed=1),
    )
    out = io.BytesIO()
    try:
        dice.choice(changes)().write_parquet(out)
    except pl.exceptions.PolarsError:  # an edit before this one did the same
        return spoiled_bytes(dice, data)
    return out.getvalue()


def _extremes(dice: random.Random, column: pl.Series) -> pl.Series:
    if column.dtype.is_integer():
        low, high = _bounds(column.dtype)
        return pl.Series([dice.choice((low, high, 0)) for _ in range(len(column))], dtype=column.dtype)
    if column.dtype.is_float():
        return pl.Series(
            [dice.choice((float("nan"), float("inf"), 1e38, -0.0)) for _ in range(len(column))], dtype=column.dtype
        )
    if column.dtype == pl.String:
        texts = (
            "",
            "../../victim.txt",
            "/etc/passwd",
            "x" * 1000,
            "\u001b[31m",
            "ok",
            "frames/frames-99999.parquet",
            "axis17",
        )
        return pl.Series([dice.choice(texts) for _ in range(len(column))])
    return column.reverse()


def _bounds(kind: pl.DataType) -> tuple[int, int]:
    numpy = np.dtype(str(kind).lower())
    return int(np.iinfo(numpy).min), int(np.iinfo(numpy).max)
