"""Runs jobs on a Ray cluster: the same pure function as in a local pool, one job a CPU.

In: jobs and the address of a cluster. Out: their results as they finish. The surprise: nothing but paths and rows travel, so
sources and store must lie under the same paths on every node (shared storage), and exphil must be installed there; a job
whose worker died, or was stopped because a replay took too long, is run again in a local pool, which finds that replay.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from dataset.errors import ConfigError
from ingest.jobs import workers
from ingest.jobs.job import Job, JobResult, Known, Settings

LOCAL = "local"
"""The address that starts a cluster of this machine alone, for a run."""


def run_jobs_on_ray(jobs: Sequence[Job], settings: Settings, known: Known, address: str) -> Iterator[JobResult]:
    """Results of all jobs, in the order in which they finish.

    Raises:
        ConfigError: Ray is not installed, no cluster answers at the address, or a node does not see sources and store.
    """
    if not jobs:
        return
    ray = _connected(address)
    try:
        yield from _drain(ray, jobs, settings, known)
    finally:
        ray.shutdown()


def _connected(address: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            f"--ray {address}: needs Ray, found none installed; pip install 'exphil[ray]', or leave --ray out"
        ) from error
    try:
        if address == LOCAL:
            ray.init(address=LOCAL, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        else:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise ConfigError(
            f"--ray {address}: must be the address of a running cluster or '{LOCAL}', found none there "
            f"({type(error).__name__}); start one with 'ray start --head'"
        ) from error
    return ray


def _drain(ray: Any, jobs: Sequence[Job], settings: Settings, known: Known) -> Iterator[JobResult]:
    """Keep every CPU of the cluster busy until no job waits."""
    task = ray.remote(max_retries=0)(workers.run_in_time)
    shared = ray.put(settings), ray.put(known), workers.TIME_LIMIT_S
    room = max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting: deque[Job] = deque(jobs)
    flying: dict[Any, Job] = {}
    while waiting or flying:
        while waiting and len(flying) < room:
            job = waiting.popleft()
            flying[task.remote(job, *shared)] = job
        done, _ = ray.wait(list(flying))
        for reference in done:
            yield from _result(ray, reference, flying.pop(reference), settings, known)


def _result(ray: Any, reference: Any, job: Job, settings: Settings, known: Known) -> Iterator[JobResult]:
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
        yield from workers.run_jobs(
            [job], settings, known, 2
        )  # in a pool, not in this process, which would die with it
