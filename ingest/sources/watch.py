"""Watches sources: takes replays in once they are copied or played to their end, until somebody presses Ctrl-C.

A file is at rest when two looks in a row, one interval apart, find the same size and time *and* a loose .slp holds as many bytes
as its header says. So a game in progress, or half a copy, waits for a later round, however long it takes.
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

_State = tuple[int, int, int | None]


class FilesAtRest:
    """Remembers the last look at every file."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int, str], _State] = {}
        self._reported: dict[tuple[str, int, str], _State] = {}

    def look(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """The candidates that have come to rest since, each reported once unless it changes, or is gone for a while."""
        before, self._seen = self._seen, {}
        reported, self._reported = self._reported, {}
        ready = []
        for candidate in candidates:
            file, state = candidate.place, (candidate.size, candidate.mtime, candidate.archive_size)
            self._seen[file] = state
            is_new = reported.get(file) != state
            if is_new and (before.get(file) != state or not is_whole(candidate)):
                continue
            self._reported[file] = state
            if is_new:
                ready.append(candidate)
        return ready

    @property
    def waiting(self) -> int:
        """Files of the last look that were not reported."""
        return sum(self._reported.get(file) != state for file, state in self._seen.items())


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
    take_in: Callable[[list[Candidate], int], None],
    report: Callable[[str], None],
    interval_s: float,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Look every ``interval_s`` seconds and hand over what has come to rest, with the number of files still waited for.

    A source that goes away, as a drive or a network share may, is reported once and waited for.

    Raises:
        ConfigError: a source is not there from the start.
        KeyboardInterrupt: somebody pressed Ctrl-C; the store is whole.
    """
    files = FilesAtRest()
    found, away = find_candidates(sources), set[Path]()
    while True:
        ready = files.look(found)
        if ready:
            take_in(ready, files.waiting)
        wait(interval_s)
        gone = {source for source in sources if not is_there(source)}
        for source in sorted(gone - away):
            report(f"{source} cannot be reached any more; waiting for it to come back")
        for source in sorted(away - gone):
            report(f"{source} is back")
        try:
            found, away = find_candidates([source for source in sources if source not in gone]), gone
        except ConfigError:
            found, away = [], away - gone  # one went away just now: the next look reports it
