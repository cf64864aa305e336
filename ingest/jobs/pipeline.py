"""Ingest, end to end: find replays, leave out the known ones, cut the rest into jobs, run them, commit their results, report.

Jobs depend on what was found alone and never on the number of workers, and so do shards. Results are committed during the run
(``ingest.jobs.commit``): a killed run keeps what it committed, the next one does the rest, and the data digest is the same.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import xxhash

from dataset.errors import ConfigError, ReplayError
from dataset.slippi.slp import HEADER_BYTES, read_header
from dataset.store.manifest import url_of
from dataset.store.replay_table import ReplayRow
from ingest.jobs.commit import OpenStore, open_store
from ingest.jobs.job import Group, Job, JobResult, Known, Settings, run_jobs
from ingest.jobs.remote_store import staged
from ingest.jobs.same_game import GameKey, header_key
from ingest.jobs.workers import run_jobs_in_pool, run_jobs_on_ray
from ingest.options import IngestOptions
from ingest.replay.judge import Names, file_row
from ingest.sources.find import find_candidates
from ingest.sources.reader import Candidate, Reader

MIN_JOB_BYTES, MAX_JOB_BYTES = 64 * 2**20, 2**30
"""Bytes of replays that make a job: about 20 games at least, about 300 at most."""

JOBS_OF_A_RUN = 64
"""A large run is cut into about this many jobs, so that shards grow with the data."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is."""

    done: int
    total: int
    """Replays that were new or touched."""
    frames: int
    """Rows ingested so far."""
    counts: Counter[str]
    """Replays done by status."""


@dataclass(frozen=True, kw_only=True)
class IngestReport:
    """What a run did."""

    store: Path | str
    """Its folder or URL."""
    replays_found: int
    replays_new: int
    """Found and not known from an earlier run: what the four counts below add up to."""
    replays_ingested: int
    replays_rejected: int
    replays_failed: int
    replays_duplicate: int
    replays_repaired: int
    """Ingested ones that had to be repaired."""
    frames: int
    """Rows ingested by this run."""
    store_replays: int
    """Replays in the store afterwards."""
    store_frames: int
    """Rows in the store afterwards."""
    seconds: float
    cpu_seconds: float
    """Of this process and its workers, what they import included; on Ray of their jobs."""
    rejections: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)
    repairs: dict[str, int] = field(default_factory=dict)
    """Ingested replays by what was wrong with them; one may count under several reasons."""
    digest: str
    """Of the store's data afterwards; of what it would be after a dry run."""


def ingest(
    sources: Sequence[str | Path],
    store: str | Path,
    options: IngestOptions,
    *,
    on_progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Bring every replay of ``sources`` into ``store``.

    Raises:
        ConfigError: a source does not exist, or the options contradict the store's.
        ExphilError: the store cannot be written to.
    """
    return ingest_candidates(lambda: find_candidates(sources), store, options, on_progress=on_progress)


def ingest_candidates(
    find: Callable[[], Sequence[Candidate]],
    store: str | Path,
    options: IngestOptions,
    *,
    on_progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Bring the candidates that ``find`` finds into ``store``; raises as ``ingest`` does."""
    url = url_of(store)
    if url is None:
        return _ingest(find, Path(store), options, on_progress)
    if options.ray is not None:
        raise ConfigError(
            f"--ray {options.ray}: its nodes write to a folder that all see, found the store {url}; ingest into such a folder "
            "and copy it there, e.g. with 'exphil sync up'"
        )
    with staged(url, is_dry=options.dry_run) as folder:
        report = _ingest(find, folder, options, on_progress, url)
    return replace(report, store=url)


def _ingest(
    find: Callable[[], Sequence[Candidate]],
    folder: Path,
    options: IngestOptions,
    on_progress: Callable[[Progress], None] | None,
    url: str | None = None,
) -> IngestReport:
    wall, cpu = time.perf_counter(), cpu_seconds()
    candidates = find()
    if options.rebuild and all(candidate.fault is not None for candidate in candidates):
        raise ConfigError("--rebuild: starts the store over from its sources, found no replay to read; check the paths")
    with open_store(folder, options, url) as opened:
        new = without_known(candidates, opened.rows, opened.names)
        jobs = make_jobs(new, opened.next_index, opened.names)
        opened.reserve(len(jobs))
        tally = _Tally(total=len(new), on_progress=on_progress)
        workers = options.workers or os.cpu_count() or 1
        for result in _results(jobs, options, opened, workers):
            tally.add(opened.take(result), len(result.rows), result.cpu_seconds if options.ray else 0.0)
        opened.finish()
        manifest = opened.manifest
    return IngestReport(
        store=folder,
        replays_found=len(candidates),
        replays_new=tally.counts.total(),
        replays_ingested=tally.counts["ok"],
        replays_rejected=tally.counts["rejected"],
        replays_failed=tally.counts["failed"],
        replays_duplicate=tally.counts["duplicate"],
        replays_repaired=tally.repaired,
        frames=tally.frames,
        store_replays=manifest.replays,
        store_frames=manifest.frames,
        seconds=time.perf_counter() - wall,
        cpu_seconds=cpu_seconds() - cpu + tally.ray_cpu_seconds,
        rejections=dict(sorted(tally.reasons["rejected"].items())),
        failures=dict(sorted(tally.reasons["failed"].items())),
        duplicates=dict(sorted(tally.reasons["duplicate"].items())),
        repairs=dict(sorted(tally.repairs.items())),
        digest=manifest.digest,
    )


def without_known(candidates: Iterable[Candidate], rows: Iterable[ReplayRow], names: Names) -> list[Candidate]:
    """Candidates that no row describes: files that are new, were touched since, or could not be opened."""
    known = set(map(_fingerprint, rows))
    return [candidate for candidate in candidates if _fingerprint(file_row(candidate, names)) not in known]


def _fingerprint(row: ReplayRow) -> tuple[Any, ...]:
    """By what an unchanged file is recognized without reading it."""
    return tuple(row[name] for name in ("source", "member", "size", "mtime", "archive_size", "crc"))


def make_jobs(candidates: Iterable[Candidate], first_index: int, names: Names) -> list[Job]:
    """Cut candidates into jobs of about equal bytes; members of a compressed tar stay in one job, to be read once."""
    groups = _groups(candidates, names)
    total = sum(candidate.size for group in groups for candidate in group)
    limit = min(max(total // JOBS_OF_A_RUN, MIN_JOB_BYTES), MAX_JOB_BYTES)
    return [Job(index=first_index + i, groups=tuple(share)) for i, share in enumerate(_shares(groups, limit))]


def _groups(candidates: Iterable[Candidate], names: Names) -> list[Group]:
    """Candidates grouped by what uploads of one game, or copies of one file, have in common; in the order given."""
    groups: dict[object, list[Candidate]] = {}
    with Reader() as reader:
        for candidate in candidates:
            group = groups.setdefault(_group_key(candidate, reader, names), [])
            group.append(replace(candidate, head=None))  # which no worker needs
    return list(map(tuple, groups.values()))


def _group_key(candidate: Candidate, reader: Reader, names: Names) -> object:
    try:
        head = reader.read(candidate, HEADER_BYTES) if candidate.head is None else candidate.head
        return _game_of(head, names) or xxhash.xxh3_128_hexdigest(head)
    except ReplayError:
        return candidate
    except Exception:  # noqa: BLE001 (whoever works on it will see the same and say so)
        reader.close()
        return candidate


def _game_of(head: bytes, names: Names) -> GameKey | None:
    try:
        return header_key(read_header(head), names)
    except Exception:  # noqa: BLE001 (the same)
        return None


def _shares(groups: list[Group], limit: int) -> Iterator[list[Group]]:
    share: list[Group] = []
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


def _results(jobs: Sequence[Job], options: IngestOptions, opened: OpenStore, workers: int) -> Iterator[JobResult]:
    settings, known = _settings(options, opened), _known(opened)
    if options.ray is not None:
        return run_jobs_on_ray(jobs, settings, known, options.ray)
    return run_jobs(jobs, settings, known) if workers == 1 else run_jobs_in_pool(jobs, settings, known, workers)


def _settings(options: IngestOptions, opened: OpenStore) -> Settings:
    manifest = opened.manifest
    return Settings(
        store=None if options.dry_run else opened.folder,
        options=options,
        names=opened.names,
        codec=manifest.codec,
        features=manifest.features,
        where=manifest.where,
    )


def cpu_seconds() -> float:
    """CPU time that this process and the children that it waited for have taken since they began."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _known(opened: OpenStore) -> Known:
    return Known(frozenset(row["id"] for row in opened.rows if row["id"] is not None), opened.games.ranks())


class _Tally:
    """Counts of a run."""

    def __init__(self, total: int, on_progress: Callable[[Progress], None] | None) -> None:
        self._total, self._on_progress = total, on_progress
        self.counts: Counter[str] = Counter()
        self.reasons: dict[str, Counter[str]] = {name: Counter() for name in ("rejected", "failed", "duplicate")}
        self.repaired = 0
        self.repairs: Counter[str] = Counter()
        self.frames = 0
        self.ray_cpu_seconds = 0.0
        self._done = 0

    def add(self, rows: Iterable[dict[str, Any]], done: int, cpu_seconds: float) -> None:
        """Count the rows of a finished job that are news, and all that it was ``done`` with."""
        self.ray_cpu_seconds += cpu_seconds
        self._done += done
        for row in rows:
            self.counts[row["status"]] += 1
            if row["status"] == "ok":
                self.frames += row["frames"]
                self.repaired += row["repaired"] is not None
                self.repairs.update(row["repaired"].split(",") if row["repaired"] else ())
            elif row["status"] in self.reasons:
                self.reasons[row["status"]][row["reason"]] += 1
        if self._on_progress is not None:
            self._on_progress(
                Progress(done=self._done, total=self._total, frames=self.frames, counts=Counter(self.counts))
            )
