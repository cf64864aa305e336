"""Finds replays: folders are walked and archives listed, in an order that does not depend on the disk.

Symbolic links are followed, and a folder that is reached twice (a loop, or two names for one place) is walked once. Links within
an archive are followed to the member that holds their bytes. Of a tar that was cut, the members before the cut are found.
"""

import os
import posixpath
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from dataset.errors import ConfigError
from dataset.slippi.slp import HEADER_BYTES
from dataset.store.manifest import url_of
from ingest.sources.reader import (
    ARCHIVE_SUFFIXES,
    DAMAGE,
    MAX_REPLAY_BYTES,
    REPLAY_SUFFIXES,
    SEVENZIP_SUFFIX,
    Candidate,
    is_archive,
    is_foreign,
    is_refused,
    is_replay,
)
from ingest.sources.sevenzip import PasswordError, list_members
from ingest.sources.unpack import BoundedZip, Budget, TooLargeError, bounded, open_member, open_tar

MAX_HOPS = 8
"""Links to links that are followed; more is a loop."""
_MAX_LINK_BYTES = 4096
_ENCRYPTED = 1
"""The bit of a zip member's flags."""

_Entry = tuple[Candidate, str | None]
"""A file in an archive, and, of a link, the name of the entry to which it leads."""


def find_candidates(sources: Iterable[str | Path]) -> list[Candidate]:
    """Every candidate in the sources, each once, in path order.

    Raises:
        ConfigError: a source does not exist or is of no known kind.
    """
    found: dict[tuple[str, int, str], Candidate] = {}
    for source in sources:
        for candidate in _in_source(Path(source)):
            found[candidate.place] = candidate
    return [found[place] for place in sorted(found)]


def _is_known(name: str) -> bool:
    """Whether a file of this name is counted as found."""
    return is_replay(name) or is_archive(name) or is_foreign(name)


def is_there(source: Path) -> bool:
    """Whether a source can be looked at right now."""
    try:
        if stat.S_ISDIR(source.stat().st_mode):
            os.scandir(source).close()
    except OSError:
        return False
    return True


def check_source(source: Path) -> None:
    """Refuse what cannot be a source.

    Raises:
        ConfigError: it does not exist, or is of no known kind; of a URL, only its server can tell.
    """
    if url_of(source) is not None:
        return
    try:
        is_folder = stat.S_ISDIR(source.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigError(f"source {source}: must be a file or folder, found nothing there; check the path") from error
    except OSError as error:
        raise ConfigError(
            f"source {source}: must be a file or folder that can be read, found: {error.strerror}; "
            "mend that, or leave the source out"
        ) from error
    if not (is_folder or _is_known(source.name)):
        kinds = ", ".join((*REPLAY_SUFFIXES, *ARCHIVE_SUFFIXES))
        raise ConfigError(
            f"source {source}: must be a folder or end in {kinds}, found '{source.suffix}'; "
            "unpack it and give the folder instead"
        )


def _in_source(source: Path) -> Iterator[Candidate]:
    check_source(source)
    url = url_of(source)
    if url is not None:
        from ingest.sources.remote import fetched  # ssl takes a while to import

        for path in fetched(url):  # whose time is that of its last use
            yield from (replace(candidate, mtime=0) for candidate in _in_file(path))
        return
    yield from _walk(source) if source.is_dir() else _in_file(source)


def _walk(folder: Path) -> Iterator[Candidate]:
    seen: set[str] = set()  # by path: some network drives give two folders one number
    closed: list[OSError] = []
    for here, folders, files in os.walk(folder, onerror=closed.append, followlinks=True):
        place = os.path.realpath(here)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders.sort()
        for name in sorted(files):
            if _is_known(name):
                yield from _in_file(Path(here) / name)
    yield from (_closed(Path(error.filename), "unreadable_folder") for error in closed)


def _in_file(path: Path) -> Iterator[Candidate]:
    try:
        real = path.resolve(strict=True)
        about = real.stat()
        if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
            return  # a pipe or a device: to open it might wait for ever
        file = Candidate(source=str(real), size=about.st_size, mtime=about.st_mtime_ns)
        if is_foreign(real.name):
            file = replace(file, fault="foreign_format")
        yield from _in_archive(real, replace(file, archive_size=file.size)) if is_archive(real.name) else (file,)
    except (OSError, RuntimeError):  # a link that leads nowhere or to itself, or a file that was moved away just now
        yield _closed(path, "unreadable_file")


def _closed(path: Path, fault: str) -> Candidate:
    """What stands for a file or folder that cannot be looked at."""
    real = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118 (pathlib's refuses loops)
    return Candidate(source=real, size=0, mtime=0, fault=fault)


def _in_archive(path: Path, archive: Candidate) -> list[Candidate]:
    """The replays in an archive, and the archive itself, without a member, if not all of it can be listed."""
    entries: list[_Entry] = []
    fault = None
    try:
        for entry in _entries(path, archive):
            entries.append(entry)  # not all at once: what comes before damage counts
    except PasswordError:
        fault = "encrypted"
    except TooLargeError:
        fault = "too_large_archive"
    except DAMAGE as error:
        fault = "unreadable_file" if is_refused(error) else "damaged_archive"
    named = {
        posixpath.normpath(str(one.member)): (one, link) for one, link in entries
    }  # the last of equal names counts
    found: list[Candidate] = []
    for one, link in entries:
        if is_replay(one.member or ""):
            found.append(_followed(one, link, named))
        elif is_archive(one.member or ""):
            inner = _followed(one, link, named)
            found.append(replace(inner, fault=inner.fault or "nested_archive"))
        elif is_foreign(one.member or ""):
            found.append(replace(_followed(one, link, named), fault="foreign_format"))
    return found if fault is None else [*found, replace(archive, position=len(entries), fault=fault)]


def _followed(entry: Candidate, link: str | None, named: dict[str, _Entry]) -> Candidate:
    """A candidate; of a link, one with the place of the member to which it leads."""
    found = entry
    for _ in range(MAX_HOPS):
        if link is None or posixpath.normpath(link) not in named:
            break
        found, link = named[posixpath.normpath(link)]
    return replace(entry, fault="lost_link") if link is not None else replace(found, member=entry.member)


def _entries(path: Path, archive: Candidate) -> Iterator[_Entry]:
    if path.name.lower().endswith(".zip"):
        return _in_zip(path, archive)
    return _in_7z(path, archive) if path.name.lower().endswith(SEVENZIP_SUFFIX) else _in_tar(path, archive)


def _in_zip(path: Path, archive: Candidate) -> Iterator[_Entry]:
    budget = Budget(archive.size)
    with BoundedZip(path) as opened:
        for position, info in bounded(opened.infolist()):
            if is_replay(info.filename) and info.file_size <= MAX_REPLAY_BYTES:
                budget.spend(info.file_size)  # nothing else is unpacked
            fault = "encrypted" if info.flag_bits & _ENCRYPTED else None
            link = None if fault else _zip_link(opened, info)
            yield (
                replace(
                    archive, member=info.filename, position=position, size=info.file_size, crc=info.CRC, fault=fault
                ),
                link,
            )


def _zip_link(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str | None:
    if not stat.S_ISLNK(info.external_attr >> 16) or info.file_size > _MAX_LINK_BYTES:
        return None
    try:
        with open_member(archive, info) as file:
            target = file.read(_MAX_LINK_BYTES)
        return _beside(info.filename, target.decode("utf-8", "surrogateescape"))
    except DAMAGE:
        return None  # its reader will say so


def _beside(name: str, target: str) -> str:
    """Where a symbolic link leads, from the archive's top."""
    return posixpath.join(posixpath.dirname(name), target)


def _in_7z(path: Path, archive: Candidate) -> Iterator[_Entry]:
    budget = Budget(archive.size)
    for _, (position, name, size, crc, fault) in bounded(list_members(path)):
        budget.spend(size)
        yield replace(archive, member=name, position=position, size=size, crc=crc, fault=fault), None


def _in_tar(path: Path, archive: Candidate) -> Iterator[_Entry]:
    with open_tar(path) as tar:
        for position, info in bounded(tar):
            if info.isfile():
                head = _head(path, tar, info)
                yield replace(archive, member=info.name, position=position, size=info.size, head=head), None
            elif info.islnk() or info.issym():
                link = info.linkname if info.islnk() else _beside(info.name, info.linkname)
                yield replace(archive, member=info.name, position=position, size=0), link


def _head(path: Path, tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes | None:
    """First bytes of a replay in a compressed tar: to come back for them would unpack it again."""
    if path.name.lower().endswith(".tar") or not info.name.lower().endswith(".slp"):
        return None
    file = tar.extractfile(info)
    return None if file is None else file.read(HEADER_BYTES)
