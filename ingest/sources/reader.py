"""Reads replays where they lie: loose, gzipped, or as members of zip, tar and 7z archives, one at a time, in memory.

A *compressed* tar has no index, so its members come cheaply only in the order in which they lie. ``Reader`` therefore keeps the
archive open between calls, and starts over only when it is asked to go back.
"""

import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

import xxhash
import zstandard

from dataset.errors import ReplayError
from ingest.sources.sevenzip import Pass, SevenZipReader
from ingest.sources.unpack import BoundedZip, TooLargeError, open_member, open_tar

REPLAY_SUFFIXES = (".slp", ".slp.gz")
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
SEVENZIP_SUFFIX = ".7z"
ARCHIVE_SUFFIXES = (".zip", SEVENZIP_SUFFIX, *TAR_SUFFIXES)
FOREIGN_SUFFIXES = (
    *(".slpz", ".zlp", ".slpp", ".rar"),
    *(
        f"{kind}{end}"
        for kind in (".slp", ".tar")
        for end in (".zst", ".xz", ".bz2", ".lzma", ".lz4", ".lz", ".br", ".z")
    ),
)
"""What other programs pack replays into, and exphil does not read where none of its own suffixes fits: counted as found."""

MAX_REPLAY_BYTES = 2**27
"""About two hours of two players; Melee's longest timed game takes 99 minutes. More is a bomb or no replay, and is refused
before it fills the memory."""

PIECE_BYTES = 2**20
"""Read at a time for hashing; one buffer for all files, because fresh memory costs more than the hash."""

HELD_BYTES = 2**28
"""Bytes of members that are kept until others of their group come by; about 80 games."""

DAMAGE: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError),
    *(zipfile.BadZipFile, tarfile.TarError, zstandard.ZstdError, struct.error, LookupError, MemoryError),
)
"""What the archive libraries raise on damaged, cut or encrypted archives."""

FAULTS = {
    "unreadable_file": "cannot be opened (gone, or no permission); the next run tries it again",
    "unreadable_folder": "a folder that cannot be listed (gone, or no permission); the next run tries it again",
    "damaged_archive": "damaged in its archive, or the archive's own list is",
    "too_large_archive": "an archive that holds far more than replays would, from there on: unpack it and give the folder",
    "encrypted": "locked with a password: unpack it and give the folder",
    "nested_archive": "an archive within an archive: unpack it and give the folder",
    "foreign_format": "packed by another program (.slpz, .zlp, .slp.zst, .rar and others): unpack it with that, give the folder",
    "lost_link": "a link that cannot be followed within its archive",
}
"""Why a file that was found cannot be read."""

_Place = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A file that may be a replay."""

    source: str
    """Absolute path of the file or of the archive it lies in."""
    member: str | None = None
    """Name within the archive; ``None`` for a loose file, or for an archive that could not be listed."""
    position: int = 0
    """Of the member within its archive; of a link, that of the member to which it leads."""
    size: int
    """Bytes of the file or member, uncompressed where the archive says so."""
    mtime: int
    """Nanoseconds; of the archive for members."""
    archive_size: int | None = None
    crc: int | None = None
    """CRC-32 of a zip or 7z member."""
    head: bytes | None = field(default=None, compare=False, repr=False)
    """First bytes, where they came with the list of an archive."""
    fault: str | None = None
    """Why it cannot be read, one of ``FAULTS``, if that is known already."""

    @property
    def place(self) -> tuple[str, int, str]:
        """What distinguishes it from all others."""
        return self.source, self.position, self.member or ""

    @property
    def content_place(self) -> tuple[str, int, bool]:
        """What it shares with links to it: where its bytes lie, and whether they are gzipped."""
        return self.source, self.position, self.is_gzipped

    @property
    def is_gzipped(self) -> bool:
        """Whether its bytes are a gzip file's."""
        return (self.member or self.source).lower().endswith(".gz")

    @property
    def is_plain(self) -> bool:
        """Whether it is a loose, uncompressed file, which needs no reading on its behalf."""
        return self.archive_size is None and self.source.lower().endswith(".slp")

    @property
    def is_sequential(self) -> bool:
        """Whether it lies in a compressed tar or a 7z, which are read from front to back."""
        return self.member is not None and self.source.lower().endswith((SEVENZIP_SUFFIX, *TAR_SUFFIXES[1:]))


def is_replay(name: str) -> bool:
    """Whether a file of this name is taken for a replay (``._x.slp`` is macOS's shadow of one)."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    return base.lower().endswith(REPLAY_SUFFIXES) and not base.startswith("._")


def is_archive(name: str) -> bool:
    """Whether a file of this name is opened as an archive."""
    return name.lower().endswith(ARCHIVE_SUFFIXES) and not name.startswith("._")


def is_foreign(name: str) -> bool:
    """Whether a file of this name holds replays that only another program can unpack."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    return base.lower().endswith(FOREIGN_SUFFIXES) and not (base.startswith("._") or is_archive(base))


def is_refused(error: Exception) -> bool:
    """Whether the system would not give a file, which has nothing to do with what is in it."""
    return isinstance(error, OSError) and error.errno is not None


def _check_size(size: int) -> None:
    """Refuse a size that no replay has; for declared sizes, which may lie, and for what has been unpacked.

    Raises:
        ReplayError: it is too large.
    """
    if size > MAX_REPLAY_BYTES:
        limit = f"{MAX_REPLAY_BYTES / 2**20:g} MiB"
        raise ReplayError("too_large", f"replay: a game takes at most {limit}, found more; leave the file out")


class Reader:
    """Reads candidates, keeping the last archive open; a context manager."""

    def __init__(self) -> None:
        self._archive: _Zip | _Tar | SevenZipReader | None = None
        self._source: str | None = None
        self._buffer = bytearray(PIECE_BYTES)
        self._wanted: set[_Place] = set()
        self._held: dict[_Place, bytes] = {}

    def hold(self, candidates: Iterable[Candidate]) -> None:
        """Keep the bytes of these once their stream has passed them, up to ``HELD_BYTES``: to go back would start it over."""
        self._wanted |= {(one.source, one.position) for one in candidates if one.is_sequential}

    def let_go(self, candidates: Iterable[Candidate]) -> None:
        """Forget the bytes of these."""
        for one in candidates:
            self._wanted.discard((one.source, one.position))
            self._held.pop((one.source, one.position), None)

    def read(self, candidate: Candidate, limit: int | None = None) -> bytes:
        """The replay's bytes, or its first ``limit``.

        Raises:
            ReplayError: the file or its archive is gone, damaged or encrypted.
        """
        try:
            with self._open(candidate) as file:
                data = file.read(MAX_REPLAY_BYTES + 1 if limit is None else limit)
        except DAMAGE as error:
            raise _unreadable(candidate, error) from error
        _check_size(len(data))
        return data

    def content_id(self, candidate: Candidate) -> str:
        """The replay's id: xxh3-128 of its file's bytes, in hex; reads in pieces.

        Raises:
            ReplayError: as ``read`` does.
        """
        hasher, total = xxhash.xxh3_128(), 0
        try:
            with self._open(candidate) as file:
                while size := file.readinto(self._buffer):  # type: ignore[attr-defined]
                    total += size
                    _check_size(total)
                    hasher.update(memoryview(self._buffer)[:size])
        except DAMAGE as error:
            raise _unreadable(candidate, error) from error
        return hasher.hexdigest()

    @contextmanager
    def _open(self, candidate: Candidate) -> Iterator[IO[bytes]]:
        if candidate.fault is not None:
            raise ReplayError(candidate.fault, f"replay: {FAULTS[candidate.fault]}")
        _check_size(candidate.size)
        with self._raw(candidate) as file:
            if candidate.is_gzipped:
                with gzip.open(file) as unzipped:
                    yield unzipped  # type: ignore[misc]
            else:
                yield file

    @contextmanager
    def _raw(self, candidate: Candidate) -> Iterator[IO[bytes]]:
        if candidate.member is None:
            with Path(candidate.source).open("rb") as loose:
                yield loose
            return
        place = candidate.source, candidate.position
        if place in self._held:
            yield io.BytesIO(self._held[place])
            return
        with self._archive_at(candidate.source).open(candidate.position, self._pass) as file:
            self._pass(candidate.position, candidate.size, file.read)
            yield io.BytesIO(self._held[place]) if place in self._held else file

    def _pass(self, position: int, size: int, read: Callable[[], bytes | None]) -> None:
        """Hold a member that the open archive's stream has reached, if it is wanted, whole, and there is room."""
        place = str(self._source), position
        if place in self._wanted and size + sum(map(len, self._held.values())) <= HELD_BYTES:
            data = read()
            if data is not None:
                self._held[place] = data

    def _archive_at(self, source: str) -> "_Zip | _Tar | SevenZipReader":
        if self._archive is None or source != self._source:
            self.close()
            path, name = Path(source), source.lower()
            if name.endswith(SEVENZIP_SUFFIX):
                self._archive = SevenZipReader(path, MAX_REPLAY_BYTES)
            else:
                self._archive = _Zip(path) if name.endswith(".zip") else _Tar(path)
            self._source = source
        return self._archive

    def close(self) -> None:
        """Close the archive that is open."""
        if self._archive is not None:
            self._archive.close()
        self._archive = self._source = None

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _unreadable(candidate: Candidate, error: Exception) -> ReplayError:
    damaged = "damaged_gzip" if candidate.member is None else "damaged_archive"
    if isinstance(error, TooLargeError):
        damaged = "too_large_archive"
    reason = "unreadable_file" if is_refused(error) else damaged
    # The library's own words often hold file names, which a store must not.
    words = getattr(error, "strerror", None) or type(error).__name__
    return ReplayError(reason, f"replay: its bytes cannot be read ({words})")


class _Zip:
    """A zip, whose members are read in any order."""

    def __init__(self, path: Path) -> None:
        self._zip = BoundedZip(path)

    def open(self, position: int, pass_by: Pass) -> IO[bytes]:
        """The member that stands at ``position``."""
        return open_member(self._zip, self._zip.infolist()[position])

    def close(self) -> None:
        """Close the archive."""
        self._zip.close()


class _Tar:
    """A tar read forward; going back reopens it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start()

    def _start(self) -> None:
        self._context = open_tar(self._path)
        self._tar = self._context.__enter__()
        self._position = -1

    def open(self, position: int, pass_by: Pass) -> IO[bytes]:
        """The member that stands at ``position``; ``pass_by`` is called with those on the way."""
        if position <= self._position:
            self.close()
            self._start()
        info = None
        while self._position < position:
            info = self._tar.next()
            self._position += 1
            if info is not None and info.isfile() and self._position < position:
                pass_by(self._position, info.size, cast("IO[bytes]", self._tar.extractfile(info)).read)
        file = None if info is None else self._tar.extractfile(info)
        if file is None:
            raise tarfile.ReadError("the member is not a file")
        return file

    def close(self) -> None:
        """Close the archive."""
        self._context.__exit__(None, None, None)
