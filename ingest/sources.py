"""Finds replays: folders are walked, archives listed, the result sorted so that it does not depend on the disk.

In: paths as the user gave them. Out: candidates. The surprise: symbolic links are followed, and a folder reached twice (a
loop, or two names for one place) is walked once.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from dataset.errors import ConfigError
from ingest.archives import ARCHIVE_SUFFIXES, REPLAY_SUFFIXES, Candidate, is_archive, is_replay, list_archive


def find_candidates(sources: Iterable[str | Path]) -> list[Candidate]:
    """Every candidate in the sources, each once, in path order.

    Raises:
        ConfigError: a source does not exist or is of no known kind.
    """
    found: dict[tuple[str, int], Candidate] = {}
    for source in sources:
        for path in _files(Path(source)):
            for candidate in _candidates(path):
                found[candidate.source, candidate.position] = candidate
    return [found[key] for key in sorted(found)]


def _files(source: Path) -> Iterator[Path]:
    if source.is_dir():
        yield from _walk(source)
    elif not source.exists():
        raise ConfigError(f"source {source}: must be a file or folder, found nothing there; check the path")
    elif is_replay(source.name) or is_archive(source.name):
        yield source
    else:
        kinds = ", ".join((*REPLAY_SUFFIXES, *ARCHIVE_SUFFIXES))
        raise ConfigError(
            f"source {source}: must be a folder or end in {kinds}, found '{source.suffix}'; "
            "unpack it and give the folder instead"
        )


def _walk(folder: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    closed: list[OSError] = []
    for here, folders, files in os.walk(folder, onerror=closed.append, followlinks=True):
        about = Path(here).stat()
        if (about.st_dev, about.st_ino) in seen:
            folders.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        folders.sort()
        yield from (Path(here) / name for name in sorted(files) if is_replay(name) or is_archive(name))
    yield from (Path(error.filename) for error in closed)  # a folder that may not be read is counted like such a file


def _candidates(path: Path) -> list[Candidate]:
    path = path.resolve() if path.exists() else path.absolute()
    try:
        about = path.stat()
        if not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
            return []  # a pipe or a device: to open it might wait for ever
        if is_archive(path.name):
            return list_archive(path)
    except OSError:  # a link that leads nowhere or to itself, or a file that was moved away just now
        return [Candidate(source=str(path), size=0, mtime=0)]
    return [Candidate(source=str(path), size=about.st_size, mtime=about.st_mtime_ns)]
