"""Runs jobs in this process or in a pool, and survives workers that die.

In: jobs. Out: their results as they finish. The surprise: a dying worker takes the whole pool with it and does not say what
killed it, so the jobs in flight are tried again replay by replay, and only the deadly replay is lost. A worker that hangs
dies too: of SIGALRM, because the parser holds Python's lock and no thread could stop it. One worker means this process, which
has neither guard.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace

from dataset.stream.track_memory import keep_freed_memory
from ingest.jobs.job import Group, Job, JobResult, Known, Settings, probe, run_job

TIME_LIMIT_S = 120.0
"""Longest that a worker may take for one replay (and its copies); the longest games take two seconds."""

KEPT_BYTES = 2**28
"""Each replay takes and frees the same 20 MB, and fresh pages for them cost a tenth of the run."""


def run_jobs(jobs: Sequence[Job], settings: Settings, known: Known, workers: int) -> Iterator[JobResult]:
    """Results of all jobs, in the order in which they finish; one worker means this process."""
    if workers == 1:
        keep_freed_memory(KEPT_BYTES)
        yield from (run_job(job, settings, known) for job in jobs)
        return
    waiting = deque(jobs)
    while waiting:
        with _pool(min(workers, len(waiting)), settings, known) as pool:
            suspects = yield from _drain(pool, waiting, workers)
        for job in suspects:
            yield _run_apart(job, settings, known)


def _drain(pool: ProcessPoolExecutor, waiting: deque[Job], workers: int) -> Generator[JobResult, None, list[Job]]:
    """Feed the pool until no job waits or it breaks; returns the jobs that were in flight when it broke."""
    flying: dict[Future[JobResult], Job] = {}
    suspects: list[Job] = []
    while flying or (waiting and not suspects):
        try:
            while waiting and not suspects and len(flying) < workers:
                flying[pool.submit(_in_worker, waiting[0])] = waiting[0]
                waiting.popleft()
        except BrokenProcessPool:
            suspects += flying.values()
            break
        for future in wait(flying, return_when=FIRST_COMPLETED).done:
            job = flying.pop(future)
            try:
                yield future.result()
            except BrokenProcessPool:
                suspects.append(job)
    return suspects


def _run_apart(job: Job, settings: Settings, known: Known) -> JobResult:
    """Run a suspect job in a pool of its own, without the replays that kill a worker."""
    deadly = _deadly_groups(job, settings, known)
    all_of_them = {number: _death(0.0) for number in range(len(job.groups))}
    for excluded in (deadly, all_of_them | deadly):
        with _pool(1, settings, known) as pool:
            try:
                return pool.submit(_in_worker, replace(job, deadly=excluded)).result()
            except BrokenProcessPool:
                continue  # together they kill where alone they do not: give the whole job up
    raise AssertionError("reading bytes alone killed a worker")


def _deadly_groups(job: Job, settings: Settings, known: Known) -> dict[int, tuple[str, str]]:
    """Numbers of the groups that kill a worker even alone, and how."""
    deadly: dict[int, tuple[str, str]] = {}
    number = 0
    while number < len(job.groups):
        with _pool(1, settings, known) as pool:
            try:
                while number < len(job.groups):
                    start = time.monotonic()
                    pool.submit(_probe_in_worker, job.groups[number]).result()
                    number += 1
            except BrokenProcessPool:
                deadly[number] = _death(time.monotonic() - start)
                number += 1
    return deadly


def _death(seconds: float) -> tuple[str, str]:
    """Reason and message of why a worker died that had worked on a group for so long."""
    if seconds < TIME_LIMIT_S:
        return "worker_died", "replay: the process that read it died; report the file"
    return "worker_timeout", f"replay: a file is read within {TIME_LIMIT_S:g} s, found no end to it; report the file"


def _pool(workers: int, settings: Settings, known: Known) -> ProcessPoolExecutor:
    # Forking a process that runs Arrow's and polars' threads may deadlock the child; spawn starts clean.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(settings, known, TIME_LIMIT_S)
    )


_shared: tuple[Settings, Known, float] | None = None


def _start_worker(settings: Settings, known: Known, time_limit_s: float) -> None:
    global _shared
    _shared = settings, known, time_limit_s
    keep_freed_memory(KEPT_BYTES)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker without a traceback
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()


def _die_with(parent: multiprocessing.process.BaseProcess) -> None:
    """End this worker once its parent is gone: a pool whose owner was killed would wait forever."""
    parent.join()
    os._exit(1)


def _in_worker(job: Job) -> JobResult:
    assert _shared is not None, "the pool runs _start_worker first"
    return run_in_time(job, *_shared)


def run_in_time(job: Job, settings: Settings, known: Known, time_limit_s: float) -> JobResult:
    """As ``run_job``; this process is killed where one replay (and its copies) takes longer."""
    with _time_limit(time_limit_s) as start_clock:
        return run_job(job, settings, known, start_clock)


def _probe_in_worker(group: Group) -> None:
    assert _shared is not None, "the pool runs _start_worker first"
    settings, _, limit = _shared
    with _time_limit(limit) as start_clock:
        start_clock()
        probe([group], settings)


@contextmanager
def _time_limit(seconds: float) -> Iterator[Callable[[], None]]:
    """Yield what starts the clock anew; this process is killed where it runs out. Windows has no such clock."""
    if not hasattr(signal, "setitimer"):
        yield lambda: None
        return
    try:
        yield lambda: _set_clock(seconds)
    finally:
        _set_clock(0)


def _set_clock(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds)
