"""What lies in a zip, tar or 7z archive: the list of its members, links followed to the member that holds their bytes.

In: an archive. Out: a ``Member`` for each entry that could be a replay, and why the list ends early, if it does. The surprise: of
a tar that was cut, the members before the cut are listed all the same.
"""

import lzma
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import zstandard

from dataset.slippi.slp import HEADER_BYTES
from ingest.sources.sevenzip import PasswordError, list_members

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
SEVENZIP_SUFFIX = ".7z"
ARCHIVE_SUFFIXES = (".zip", SEVENZIP_SUFFIX, *TAR_SUFFIXES)

DAMAGE: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError),
    *(zipfile.BadZipFile, tarfile.TarError, zstandard.ZstdError, struct.error, LookupError, MemoryError),
)
"""What the archive libraries raise on damaged, cut or encrypted archives."""

FAULTS = {
    "unreadable_file": "cannot be opened (gone, or no permission); looked at again next time",
    "unreadable_folder": "a folder that cannot be listed (gone, or no permission); looked at again next time",
    "damaged_archive": "damaged in its archive, or the archive's own list is",
    "encrypted": "locked with a password: unpack it and give the folder",
    "nested_archive": "an archive within an archive: unpack it and give the folder",
    "lost_link": "a link that cannot be followed within its archive",
}
"""What finding a file may tell: why it cannot be read."""

MAX_HOPS = 8
"""Links to links that are followed; more is a loop."""
_MAX_LINK_BYTES = 4096
_ENCRYPTED = 1
"""The bit of a zip member's flags."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One entry of an archive that is a file, or a link."""

    name: str
    position: int
    """Of the entry that holds its bytes: another one than its own if it is a link."""
    size: int
    crc: int | None = None
    head: bytes | None = None
    """First bytes of a member of a compressed tar, read while it was listed: to come back for them would unpack it again."""
    link: str | None = None
    """Name of the entry to which it leads."""
    fault: str | None = None
    """Why its bytes cannot be had, as far as the list tells."""


def is_archive(name: str) -> bool:
    """Whether a file of this name is opened as an archive."""
    return name.lower().endswith(ARCHIVE_SUFFIXES) and not name.startswith("._")


def list_of(path: Path) -> tuple[list[Member], str | None]:
    """The members of an archive, and why there may be more of them that cannot be listed."""
    members: list[Member] = []
    fault = None
    try:
        for member in _members(path):
            members.append(member)
    except PasswordError:
        fault = "encrypted"
    except DAMAGE as error:
        fault = "unreadable_file" if is_refused(error) else "damaged_archive"
    return _followed(members), fault


def is_refused(error: Exception) -> bool:
    """Whether the system would not give a file, which has nothing to do with what is in it."""
    return isinstance(error, OSError) and error.errno is not None


def _members(path: Path) -> Iterator[Member]:
    if path.name.lower().endswith(".zip"):
        return _in_zip(path)
    return _in_7z(path) if path.name.lower().endswith(SEVENZIP_SUFFIX) else _in_tar(path)


def _in_7z(path: Path) -> Iterator[Member]:
    for position, name, size, crc, fault in list_members(path):
        yield Member(name=name, position=position, size=size, crc=crc, fault=fault)


def _in_tar(path: Path) -> Iterator[Member]:
    with open_tar(path) as tar:
        for position, info in enumerate(tar):
            if info.isfile():
                yield Member(name=info.name, position=position, size=info.size, head=_head(path, tar, info))
            elif info.islnk() or info.issym():
                link = info.linkname if info.islnk() else _beside(info.name, info.linkname)
                yield Member(name=info.name, position=position, size=0, link=link)


def _in_zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for position, info in enumerate(archive.infolist()):
            fault = "encrypted" if info.flag_bits & _ENCRYPTED else None
            link = None if fault else _zip_link(archive, info)
            yield Member(
                name=info.filename, position=position, size=info.file_size, crc=info.CRC, link=link, fault=fault
            )


def _zip_link(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str | None:
    if not stat.S_ISLNK(info.external_attr >> 16) or info.file_size > _MAX_LINK_BYTES:
        return None
    try:
        return _beside(info.filename, archive.read(info).decode("utf-8", "surrogateescape"))
    except DAMAGE:
        return None  # its reader will say so


def _beside(name: str, target: str) -> str:
    """Where a symbolic link leads, from the archive's top."""
    return posixpath.join(posixpath.dirname(name), target)


def _head(path: Path, tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes | None:
    if path.name.lower().endswith(".tar") or not info.name.lower().endswith(".slp"):
        return None
    file = tar.extractfile(info)
    return None if file is None else file.read(HEADER_BYTES)


def _followed(members: Sequence[Member]) -> list[Member]:
    """Each link with the bytes of the member to which it leads; of members that share a name, the last counts."""
    named = {posixpath.normpath(member.name): member for member in members}
    return [member if member.link is None else _target(member, named) for member in members]


def _target(link: Member, named: dict[str, Member]) -> Member:
    found: Member | None = link
    for _ in range(MAX_HOPS):
        if found is None or found.link is None:
            break
        found = named.get(posixpath.normpath(found.link))
    if found is None or found.link is not None:
        return replace(link, fault="lost_link")
    return replace(found, name=link.name)


@contextmanager
def open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """A tar, whatever it is compressed by; only a plain one can be read in any order."""
    if not path.name.lower().endswith(".zst"):
        is_plain = path.name.lower().endswith(".tar")
        with tarfile.open(path, "r:" if is_plain else "r|*") as tar:
            yield tar
        return
    with (
        path.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream,
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        yield tar
