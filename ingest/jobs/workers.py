"""Runs jobs in a pool of processes or on a Ray cluster, and survives workers that die.

A worker that dies takes the whole pool with it and does not say which replay killed it. So the jobs that were running are tried
again replay by replay, and only the fatal replay is lost. A worker that hangs is killed by SIGALRM, because the parser holds
Python's lock and no thread could stop it.

On Ray nothing but paths and rows travel: sources and store must lie under the same paths on every node, where exphil must be
installed. A job whose worker died there is run again in a local pool.
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
from typing import Any

from dataset.errors import ConfigError
from dataset.stream.track_memory import keep_freed_memory
from ingest.jobs.job import KEPT_BYTES, Group, Job, JobResult, Known, Settings, probe, run_job

TIME_LIMIT_S = 120.0
"""Longest that a worker may take for one replay (and its copies); the longest games take two seconds."""

LOCAL_RAY = "local"
"""The address that starts a Ray cluster of this machine alone, for a run."""


def run_jobs_in_pool(jobs: Sequence[Job], settings: Settings, known: Known, workers: int) -> Iterator[JobResult]:
    """Results of all jobs, in the order in which they finish."""
    waiting = deque(jobs)
    while waiting:
        with _pool(min(workers, len(waiting)), settings, known) as pool:
            suspects = yield from _drain(pool, waiting, workers)
        for job in suspects:
            yield _run_apart(job, settings, known)


def _drain(pool: ProcessPoolExecutor, waiting: deque[Job], workers: int) -> Generator[JobResult, None, list[Job]]:
    """Feed the pool until no job waits or it breaks; returns the jobs that were running when it broke."""
    running: dict[Future[JobResult], Job] = {}
    suspects: list[Job] = []
    while running or (waiting and not suspects):
        try:
            while waiting and not suspects and len(running) < workers:
                running[pool.submit(_in_worker, waiting[0])] = waiting[0]
                waiting.popleft()
        except BrokenProcessPool:
            suspects += running.values()
            break
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(future)
            try:
                yield future.result()
            except BrokenProcessPool:
                suspects.append(job)
    return suspects


def _run_apart(job: Job, settings: Settings, known: Known) -> JobResult:
    """Run a suspect job in a pool of its own, without the replays that kill a worker."""
    fatal = _fatal_groups(job, settings, known)
    all_of_them = {number: _death(0.0) for number in range(len(job.groups))}
    for given_up in (fatal, all_of_them | fatal):
        with _pool(1, settings, known) as pool:
            try:
                return pool.submit(_in_worker, replace(job, given_up=given_up)).result()
            except BrokenProcessPool:
                continue  # together they kill where alone they do not: give the whole job up
    raise AssertionError("reading bytes alone killed a worker")


def _fatal_groups(job: Job, settings: Settings, known: Known) -> dict[int, tuple[str, str]]:
    """Numbers of the groups that kill a worker even alone, and how."""
    fatal: dict[int, tuple[str, str]] = {}
    number = 0
    while number < len(job.groups):
        with _pool(1, settings, known) as pool:
            try:
                while number < len(job.groups):
                    start = time.monotonic()
                    pool.submit(_probe_in_worker, job.groups[number]).result()
                    number += 1
            except BrokenProcessPool:
                fatal[number] = _death(time.monotonic() - start)
                number += 1
    return fatal


def _death(seconds: float) -> tuple[str, str]:
    """Reason and message of the death of a worker that had worked on a group for so long."""
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
    """As ``run_job``, but kill this process if one replay (with its copies) takes longer than that."""
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
    """Yield a function that starts the clock anew; when it runs out, this process is killed. Windows has no such clock."""
    if not hasattr(signal, "setitimer"):
        yield lambda: None
        return
    try:
        yield lambda: _set_clock(seconds)
    finally:
        _set_clock(0)


def _set_clock(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds)


def run_jobs_on_ray(jobs: Sequence[Job], settings: Settings, known: Known, address: str) -> Iterator[JobResult]:
    """Results of all jobs, in the order in which they finish.

    Raises:
        ConfigError: Ray is not installed, no cluster answers at the address, or a node does not see sources and store.
    """
    if not jobs:
        return
    ray = _connect_ray(address)
    try:
        yield from _drain_ray(ray, jobs, settings, known)
    finally:
        ray.shutdown()


def _connect_ray(address: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            f"--ray {address}: needs Ray, found none installed; pip install 'exphil[ray]', or leave --ray out"
        ) from error
    try:
        if address == LOCAL_RAY:
            ray.init(address=LOCAL_RAY, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        else:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise ConfigError(
            f"--ray {address}: must be the address of a running cluster or '{LOCAL_RAY}', found none there "
            f"({type(error).__name__}); start one with 'ray start --head'"
        ) from error
    return ray


def _drain_ray(ray: Any, jobs: Sequence[Job], settings: Settings, known: Known) -> Iterator[JobResult]:
    """Keep every CPU of the cluster busy until no job waits."""
    task = ray.remote(max_retries=0)(run_in_time)
    shared = ray.put(settings), ray.put(known), TIME_LIMIT_S
    room = max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting: deque[Job] = deque(jobs)
    running: dict[Any, Job] = {}
    while waiting or running:
        while waiting and len(running) < room:
            job = waiting.popleft()
            running[task.remote(job, *shared)] = job
        done, _ = ray.wait(list(running))
        for reference in done:
            yield from _ray_result(ray, reference, running.pop(reference), settings, known)


def _ray_result(ray: Any, reference: Any, job: Job, settings: Settings, known: Known) -> Iterator[JobResult]:
    try:
        yield ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, OSError):
            raise ConfigError(
                f"--ray: every node must see the sources and write to {settings.store}, found {error.cause.strerror}; "
                "put both on storage that all nodes share"
            ) from error
        raise
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError):
        yield from run_jobs_in_pool([job], settings, known, 1)
