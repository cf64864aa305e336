"""Reads replays where they lie: loose, gzipped, or as members of zip, tar and 7z archives, one at a time, in memory.

In: a ``Candidate``. Out: its bytes, or only its first few. Nothing is unpacked to disk. The surprise: a *compressed* tar has
no index, so its members come cheaply only in the order in which they lie; ``Reader`` keeps the archive open between calls
and starts over when asked to go back.
"""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO, cast

import xxhash

from dataset.errors import ReplayError
from ingest.sources import limits
from ingest.sources.members import (
    DAMAGE,
    FAULTS,
    SEVENZIP_SUFFIX,
    TAR_SUFFIXES,
    is_archive,
    is_refused,
    list_of,
    open_tar,
)
from ingest.sources.sevenzip import Pass, SevenZipCursor

REPLAY_SUFFIXES = (".slp", ".slp.gz")

PIECE_BYTES = 2**20
"""Read at a time for hashing; one buffer for all files, because fresh memory costs more than the hash."""

HELD_BYTES = 2**28
"""Of members that are kept until others of their group come by; about 80 games."""

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
    """First bytes, where they came with the list (``members``)."""
    fault: str | None = None
    """Why it cannot be read, one of ``FAULTS``, if finding it told."""

    @property
    def place(self) -> tuple[str, int, str]:
        """What tells it from all others."""
        return self.source, self.position, self.member or ""

    @property
    def content_place(self) -> tuple[str, int, bool]:
        """What it shares with links to it: where its bytes lie, and whether they are zipped."""
        return self.source, self.position, (self.member or self.source).lower().endswith(".gz")

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


def list_archive(path: Path) -> list[Candidate]:
    """The replays in an archive, and the archive itself, without a member, if not all of it can be listed."""
    about = path.stat()
    whole = Candidate(source=str(path), size=about.st_size, mtime=about.st_mtime_ns, archive_size=about.st_size)
    members, fault = list_of(path)
    found = [
        replace(
            whole,
            member=member.name,
            position=member.position,
            size=member.size,
            crc=member.crc,
            head=member.head,
            fault=member.fault or (None if is_replay(member.name) else "nested_archive"),
        )
        for member in members
        if is_replay(member.name) or is_archive(member.name)
    ]
    return found if fault is None else [*found, replace(whole, position=len(members), fault=fault)]


class Reader:
    """Reads candidates, keeping the last archive open; a context manager."""

    def __init__(self) -> None:
        self._source: str | None = None
        self._buffer = bytearray(PIECE_BYTES)
        self._zip: zipfile.ZipFile | None = None
        self._tar: _TarCursor | None = None
        self._7z: SevenZipCursor | None = None
        self._wanted: set[_Place] = set()
        self._held: dict[_Place, bytes] = {}

    def hold(self, candidates: Iterable[Candidate]) -> None:
        """Keep the bytes of these once their stream has come by them, up to ``HELD_BYTES``: to go back would start it over."""
        self._wanted |= {(one.source, one.position) for one in candidates if one.is_sequential}

    def let_go(self, candidates: Iterable[Candidate]) -> None:
        """Forget the bytes of candidates that are done with."""
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
                data = file.read(limits.MAX_REPLAY_BYTES + 1 if limit is None else limit)
        except DAMAGE as error:
            raise _unreadable(candidate, error) from error
        limits.check_size(len(data))
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
                    limits.check_size(total)
                    hasher.update(memoryview(self._buffer)[:size])
        except DAMAGE as error:
            raise _unreadable(candidate, error) from error
        return hasher.hexdigest()

    @contextmanager
    def _open(self, candidate: Candidate) -> Iterator[IO[bytes]]:
        if candidate.fault is not None:
            raise ReplayError(candidate.fault, f"replay: {FAULTS[candidate.fault]}")
        limits.check_size(candidate.size)
        with self._raw(candidate) as file:
            if (candidate.member or candidate.source).lower().endswith(".gz"):
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
        self._turn_to(candidate.source)
        if self._zip is not None:
            with self._zip.open(self._zip.infolist()[candidate.position]) as member:
                yield member
            return
        file: IO[bytes]
        if self._7z is not None:
            file = io.BytesIO(self._7z.at(candidate.position, self._pass))
        else:
            assert self._tar is not None, "all archives but zip and 7z are tars"
            file = self._tar.at(candidate.position, self._pass)
        self._pass(candidate.position, candidate.size, file.read)
        yield io.BytesIO(self._held[place]) if place in self._held else file

    def _pass(self, position: int, size: int, read: Callable[[], bytes]) -> None:
        """Hold a member that the open archive's stream has reached, if it is wanted and there is room."""
        assert self._source is not None, "its stream is open"
        place = self._source, position
        if place in self._wanted and size + sum(map(len, self._held.values())) <= HELD_BYTES:
            self._held[place] = read()

    def _turn_to(self, source: str) -> None:
        if source == self._source:
            return
        self.close()
        if source.lower().endswith(".zip"):
            self._zip = zipfile.ZipFile(source)
        elif source.lower().endswith(SEVENZIP_SUFFIX):
            self._7z = SevenZipCursor(Path(source))
        else:
            self._tar = _TarCursor(Path(source))
        self._source = source

    def close(self) -> None:
        """Close the archive that is open."""
        if self._zip is not None:
            self._zip.close()
        if self._tar is not None:
            self._tar.close()
        if self._7z is not None:
            self._7z.close()
        self._source = self._zip = self._tar = self._7z = None

    def __enter__(self) -> "Reader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _unreadable(candidate: Candidate, error: Exception) -> ReplayError:
    damaged = "damaged_gzip" if candidate.member is None else "damaged_archive"
    reason = "unreadable_file" if is_refused(error) else damaged
    # The library's own words often hold file names, which a store must not.
    words = getattr(error, "strerror", None) or type(error).__name__
    return ReplayError(reason, f"replay: its bytes cannot be read ({words})")


class _TarCursor:
    """A tar read forward; going back reopens it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start()

    def _start(self) -> None:
        self._context = open_tar(self._path)
        self._tar = self._context.__enter__()
        self._position = -1

    def at(self, position: int, pass_by: Pass) -> IO[bytes]:
        """The member that stands at ``position``; ``pass_by`` is told of those on the way."""
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
