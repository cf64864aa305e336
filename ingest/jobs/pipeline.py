"""Ingest, end to end: find replays, leave out the known, run the jobs, commit their results, report.

In: sources, a store's folder or URL and the options. Out: the store, grown, and an ``IngestReport``. The surprise: finished
jobs are committed on the way (replay table, then manifest) whenever they make up a sixteenth of the store, so a killed run keeps
that and the next one does the rest; the data digest comes out the same.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dataset.errors import ConfigError
from dataset.store.location import url_of
from ingest.jobs.commit import OpenStore, open_store
from ingest.jobs.job import Job, JobResult, Known, Settings
from ingest.jobs.on_ray import run_jobs_on_ray
from ingest.jobs.plan import make_jobs, without_known
from ingest.jobs.remote_store import staged
from ingest.jobs.workers import run_jobs
from ingest.options import IngestOptions as IngestOptions  # users of ``ingest`` need it
from ingest.sources.find import find_candidates
from ingest.sources.reader import Candidate


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
    frames: int
    """Rows ingested by this run."""
    store_replays: int
    """Replays in the store afterwards."""
    store_frames: int
    """Rows in the store afterwards."""
    seconds: float
    cpu_seconds: float
    rejections: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)
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
        report = _ingest(find, folder, options, on_progress)
    return replace(report, store=url)


def _ingest(
    find: Callable[[], Sequence[Candidate]],
    folder: Path,
    options: IngestOptions,
    on_progress: Callable[[Progress], None] | None,
) -> IngestReport:
    wall, cpu = time.perf_counter(), time.process_time()
    candidates = find()
    if options.rebuild and all(candidate.fault is not None for candidate in candidates):
        raise ConfigError("--rebuild: starts the store over from its sources, found no replay to read; check the paths")
    with open_store(folder, options) as opened:
        new = without_known(candidates, opened.rows, opened.names)
        jobs = make_jobs(new, opened.next_index)
        tally = _Tally(total=len(new), on_progress=on_progress)
        workers = options.workers or os.cpu_count() or 1
        for result in _results(jobs, options, opened, workers):
            tally.add(opened.take(result), len(result.rows), result.cpu_seconds if workers > 1 or options.ray else 0.0)
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
        frames=tally.frames,
        store_replays=manifest.replays,
        store_frames=manifest.frames,
        seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu + tally.worker_cpu_seconds,
        rejections=dict(sorted(tally.reasons["rejected"].items())),
        failures=dict(sorted(tally.reasons["failed"].items())),
        duplicates=dict(sorted(tally.reasons["duplicate"].items())),
        digest=manifest.digest,
    )


def _results(jobs: Sequence[Job], options: IngestOptions, opened: OpenStore, workers: int) -> Iterator[JobResult]:
    settings, known = _settings(options, opened), _known(opened)
    if options.ray is None:
        return run_jobs(jobs, settings, known, workers)
    return run_jobs_on_ray(jobs, settings, known, options.ray)


def _settings(options: IngestOptions, opened: OpenStore) -> Settings:
    return Settings(
        store=None if options.dry_run else opened.folder,
        filters=options.filters,
        rollback=options.rollback,
        codec=opened.manifest.codec,
        features=opened.manifest.features,
        split_seed=options.split_seed,
        names=opened.names,
        keep_all=options.keep_all,
        where=opened.manifest.where,
        is_verbose=options.is_verbose,
    )


def _known(opened: OpenStore) -> Known:
    games = (
        (row["match_id"], row["game_number"], row["tiebreaker"] or 0)
        for row in opened.rows
        if row["status"] == "ok" and row["match_id"] is not None and row["game_number"] is not None
    )
    return Known(frozenset(row["id"] for row in opened.rows if row["id"] is not None), frozenset(games))


class _Tally:
    """Counts of a run."""

    def __init__(self, total: int, on_progress: Callable[[Progress], None] | None) -> None:
        self._total, self._on_progress = total, on_progress
        self.counts: Counter[str] = Counter()
        self.reasons: dict[str, Counter[str]] = {name: Counter() for name in ("rejected", "failed", "duplicate")}
        self.frames = 0
        self.worker_cpu_seconds = 0.0
        self._done = 0

    def add(self, rows: Iterable[dict[str, Any]], done: int, cpu_seconds: float) -> None:
        """Count the rows of a finished job that are news, and all that it was ``done`` with."""
        self.worker_cpu_seconds += cpu_seconds
        self._done += done
        for row in rows:
            self.counts[row["status"]] += 1
            if row["status"] == "ok":
                self.frames += row["frames"]
            elif row["status"] in self.reasons:
                self.reasons[row["status"]][row["reason"]] += 1
        if self._on_progress is not None:
            self._on_progress(
                Progress(done=self._done, total=self._total, frames=self.frames, counts=Counter(self.counts))
            )
