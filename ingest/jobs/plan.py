"""Turns candidates into jobs: what is already known is left out, what may be the same game goes together.

In: candidates and the rows of the store. Out: jobs. The surprise: at most the first 4 KiB of each new replay are read here;
jobs depend on what was found alone, never on the number of workers, so shards do not either.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import xxhash

from dataset.errors import ReplayError
from dataset.slippi.slp import HEADER_BYTES, read_header
from ingest.jobs.job import Job, Row, game_key
from ingest.replay.anonymize import Names
from ingest.sources.reader import Candidate, Reader

MIN_JOB_BYTES, MAX_JOB_BYTES = 64 * 2**20, 2**30
"""Bytes of replays that make a job: about 20 games at least, about 300 at most."""

JOBS_OF_A_RUN = 64
"""A large run is cut into about this many jobs, so that shards grow with the data."""

_Fingerprint = tuple[str | None, str | None, int, int, int | None, int | None]


def fingerprint(row: Row) -> _Fingerprint:
    """What tells an unchanged file from its row, without reading it."""
    return row["source"], row["member"], row["size"], row["mtime"], row["archive_size"], row["crc"]


def without_known(candidates: Iterable[Candidate], rows: Iterable[Row], names: Names) -> list[Candidate]:
    """Candidates that no row describes: files that are new, were touched since, or could not be opened."""
    known = {fingerprint(row) for row in rows}
    return [candidate for candidate in candidates if _fingerprint_of(candidate, names) not in known]


def _fingerprint_of(candidate: Candidate, names: Names) -> _Fingerprint:
    return (
        names.of(candidate.source),
        names.of(candidate.member),
        candidate.size,
        candidate.mtime,
        candidate.archive_size,
        candidate.crc,
    )


def make_jobs(candidates: Iterable[Candidate], first_index: int) -> list[Job]:
    """Cut candidates into jobs of about equal bytes; members of a compressed tar stay in one job, to be read once."""
    groups = list(_groups(candidates).values())
    total = sum(candidate.size for group in groups for candidate in group)
    limit = min(max(total // JOBS_OF_A_RUN, MIN_JOB_BYTES), MAX_JOB_BYTES)
    return [
        Job(
            index=first_index + i,
            groups=tuple(map(tuple, share)),
        )
        for i, share in enumerate(_shares(groups, limit))
    ]


def _groups(candidates: Iterable[Candidate]) -> dict[object, list[Candidate]]:
    """Candidates by what uploads of one game, or copies of one file, have in common; in the order given."""
    groups: dict[object, list[Candidate]] = {}
    with Reader() as reader:
        for candidate in candidates:
            groups.setdefault(_group_key(candidate, reader), []).append(
                replace(candidate, head=None)
            )  # no worker needs it
    return groups


def _group_key(candidate: Candidate, reader: Reader) -> object:
    try:
        head = reader.read(candidate, HEADER_BYTES) if candidate.head is None else candidate.head
    except ReplayError:
        return candidate
    content = xxhash.xxh3_128_hexdigest(head)
    try:
        return game_key(read_header(head)) or content
    except ReplayError:
        return content


def _shares(groups: list[list[Candidate]], limit: int) -> Iterator[list[list[Candidate]]]:
    share: list[list[Candidate]] = []
    held = 0
    for group in groups:
        is_one_stream = bool(share) and group[0].is_sequential and group[0].source == share[-1][0].source
        if held >= limit and not is_one_stream:
            yield share
            share, held = [], 0
        share.append(group)
        held += sum(candidate.size for candidate in group)
    if share:
        yield share
