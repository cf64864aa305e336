"""Finds replays: folders are walked, archives listed, the result sorted so that it does not depend on the disk.

In: paths as the user gave them. Out: candidates. The surprise: symbolic links are followed, and a folder reached twice (a
loop, or two names for one place) is walked once.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from dataset.errors import ConfigError
from dataset.store.manifest import url_of
from ingest.sources.members import ARCHIVE_SUFFIXES, is_archive
from ingest.sources.reader import REPLAY_SUFFIXES, Candidate, is_replay, list_archive


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
    if not (is_folder or is_replay(source.name) or is_archive(source.name)):
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
            if is_replay(name) or is_archive(name):
                yield from _in_file(Path(here) / name)
    yield from (_closed(Path(error.filename), "unreadable_folder") for error in closed)


def _in_file(path: Path) -> Iterator[Candidate]:
    try:
        real = path.resolve(strict=True)
        about = real.stat()
        if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
            return  # a pipe or a device: to open it might wait for ever
        if is_archive(real.name):
            yield from list_archive(real)
        else:
            yield Candidate(source=str(real), size=about.st_size, mtime=about.st_mtime_ns)
    except (OSError, RuntimeError):  # a link that leads nowhere or to itself, or a file that was moved away just now
        yield _closed(path, "unreadable_file")


def _closed(path: Path, fault: str) -> Candidate:
    """What stands for a file or folder that cannot be looked at."""
    real = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118 (pathlib's refuses loops)
    return Candidate(source=real, size=0, mtime=0, fault=fault)
