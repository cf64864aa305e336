"""Turns candidates into jobs: what is already known is left out, what may be the same game goes together.

In: candidates and the rows of the store. Out: jobs. The surprise: only the first 4 KiB of each new replay are read here;
jobs depend on what was found alone, never on the number of workers, so shards do not either.
"""

from collections.abc import Iterable, Iterator

import xxhash

from dataset.errors import ReplayError
from dataset.slp import HEADER_BYTES, read_header
from ingest.archives import Candidate, Reader
from ingest.job import Group, Job, Row, game_key
from ingest.names import Names

MIN_JOB_BYTES, MAX_JOB_BYTES = 64 * 2**20, 2**30
"""Bytes of replays that make a job: about 20 games at least, about 300 at most."""

JOBS_OF_A_RUN = 64
"""A large run is cut into about this many jobs, so that shards grow with the data."""

_Fingerprint = tuple[str | None, str | None, int, int, int | None, int | None]


def fingerprint(row: Row) -> _Fingerprint:
    """What tells an unchanged file from its row, without reading it."""
    return row["source"], row["member"], row["size"], row["mtime"], row["archive_size"], row["crc"]


def without_known(candidates: Iterable[Candidate], rows: Iterable[Row], names: Names) -> list[Candidate]:
    """Candidates that no row describes: files that are new or were touched since."""
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


def group_candidates(candidates: Iterable[Candidate]) -> list[Group]:
    """Candidates that may be the same game, together; groups and members in the order given."""
    groups: dict[object, list[Candidate]] = {}
    with Reader() as reader:
        for candidate in candidates:
            groups.setdefault(_kin(candidate, reader), []).append(candidate)
    return [tuple(group) for group in groups.values()]


def _kin(candidate: Candidate, reader: Reader) -> object:
    """Equal for uploads of one game and for copies of one file."""
    try:
        head = reader.read(candidate, HEADER_BYTES)
    except ReplayError:
        return candidate
    try:
        key = game_key(read_header(head))
    except ReplayError:
        key = None
    return key or xxhash.xxh3_128_hexdigest(head)


def make_jobs(groups: list[Group], first_index: int) -> list[Job]:
    """Cut groups into jobs of about equal bytes; members of a compressed tar stay in one job, to be read once."""
    total = sum(candidate.size for group in groups for candidate in group)
    limit = min(max(total // JOBS_OF_A_RUN, MIN_JOB_BYTES), MAX_JOB_BYTES)
    return [Job(index=first_index + i, groups=share) for i, share in enumerate(_shares(groups, limit))]


def _shares(groups: list[Group], limit: int) -> Iterator[tuple[Group, ...]]:
    share: list[Group] = []
    held = 0
    for group in groups:
        is_one_stream = bool(share) and group[0].is_sequential and group[0].source == share[-1][0].source
        if held >= limit and not is_one_stream:
            yield tuple(share)
            share, held = [], 0
        share.append(group)
        held += sum(candidate.size for candidate in group)
    if share:
        yield tuple(share)
