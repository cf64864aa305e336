"""Watching sources: replays are taken in as they finish syncing, round after round, until somebody presses Ctrl-C.

In: sources, and what to do with the files that have come to rest. Out: nothing; it does not end by itself. The surprise: a
file is at rest when two looks in a row, one interval apart, find the same size and time *and* a loose .slp holds as many bytes
as its header says; so a game in progress, or half a copy, waits for a later round, however long it takes.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from dataset.errors import ConfigError, ReplayError
from dataset.slippi.slp import RAW_PREFIX, raw_length
from ingest.sources.find import find_candidates, is_there
from ingest.sources.reader import Candidate, Reader

HEAD_BYTES = len(RAW_PREFIX) + 4
"""Up to and with the length of the events."""

_File = tuple[str, int, str]
_Look = tuple[int, int, int | None]


class Rest:
    """Remembers the last look at every file."""

    def __init__(self) -> None:
        self._seen: dict[_File, _Look] = {}
        self._told: dict[_File, _Look] = {}

    def look(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """The candidates that have come to rest since, each told once unless it changes, or is gone for a while."""
        before, self._seen = self._seen, {}
        told, self._told = self._told, {}
        ready = []
        for candidate in candidates:
            file = candidate.place
            look = (candidate.size, candidate.mtime, candidate.archive_size)
            self._seen[file] = look
            if told.get(file) == look:
                self._told[file] = look
            elif before.get(file) == look and is_whole(candidate):
                self._told[file] = look
                ready.append(candidate)
        return ready

    @property
    def waiting(self) -> int:
        """Files of the last look that were not told."""
        return sum(self._told.get(file) != look for file, look in self._seen.items())


def is_whole(candidate: Candidate) -> bool:
    """Whether a loose .slp holds all the events its header promises; other files say nothing of the kind."""
    if candidate.archive_size is not None:
        return True
    try:
        with Reader() as reader:
            head = reader.read(candidate, HEAD_BYTES)
    except ReplayError as error:
        return error.reason != "unreadable_file"  # which is gone, or not ours to read yet
    if not candidate.is_plain:
        return True
    if len(head) < HEAD_BYTES:
        return False
    try:
        length = raw_length(head)
    except ReplayError:
        return True  # no replay: ingest will say so
    return 0 < length <= candidate.size - HEAD_BYTES


def watch(
    sources: Sequence[Path],
    bring_in: Callable[[list[Candidate], int], None],
    tell: Callable[[str], None],
    interval_s: float,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Look every ``interval_s`` seconds and hand over what has come to rest, with the number of files still waited for.

    A source that goes away, as a drive or a network share may, is told once and waited for.

    Raises:
        ConfigError: a source is not there from the start.
        KeyboardInterrupt: somebody pressed Ctrl-C; the store is whole.
    """
    rest = Rest()
    found, away = find_candidates(sources), set[Path]()
    while True:
        ready = rest.look(found)
        if ready:
            bring_in(ready, rest.waiting)
        wait(interval_s)
        found, away = _look(sources, away, tell)


def _look(sources: Sequence[Path], away: set[Path], tell: Callable[[str], None]) -> tuple[list[Candidate], set[Path]]:
    """What lies in the sources that are there, and those that are not; ``away`` were not at the last look."""
    gone = {source for source in sources if not is_there(source)}
    for source in sorted(gone - away):
        tell(f"{source} cannot be reached any more; waiting for it to come back")
    for source in sorted(away - gone):
        tell(f"{source} is back")
    try:
        return find_candidates([source for source in sources if source not in gone]), gone
    except ConfigError:
        return [], away - gone  # one went away just now: the next look tells
