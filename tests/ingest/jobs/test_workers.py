import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError
from ingest.jobs import workers
from ingest.jobs.job import Job, JobResult, Known, Settings, run_jobs
from ingest.jobs.pipeline import ingest
from ingest.jobs.workers import run_jobs_in_pool
from ingest.options import IngestOptions
from ingest.replay.judge import Names
from ingest.sources.find import find_candidates
from ingest.sources.reader import Candidate


@dataclass(frozen=True)
class DeadlyNames(Names):
    """Kills the process that parses a replay of the named player, as a crash in the parser would."""

    victim: str = ""

    def of(self, name: str | None) -> str | None:
        if name == self.victim:
            os.kill(os.getpid(), signal.SIGKILL)
        return name


@pytest.fixture
def candidates(tmp_path: Path) -> list[Candidate]:
    for seed, ports in enumerate(((1, 2), (3, 4), (1, 2))):  # duelists are named after their ports
        generate_replay(tmp_path / f"{seed}.slp", seed=seed, frames=300, ports=ports)
    return find_candidates([tmp_path])


def settings(store: Path, victim: str = "") -> Settings:
    return Settings(
        store=store,
        options=IngestOptions(min_frames=1),
        names=DeadlyNames(b"", True, victim),
    )


def test_a_replay_that_kills_its_worker_is_lost_alone(candidates: list[Candidate], tmp_path: Path) -> None:
    jobs = [Job(index=0, groups=((candidates[0],), (candidates[1],))), Job(index=1, groups=((candidates[2],),))]
    results = list(run_jobs_in_pool(jobs, settings(tmp_path, "Duelist 4"), Known(), workers=2))
    rows = {Path(row["source"]).name: row for result in results for row in result.rows}
    assert {name: (row["status"], row.get("reason")) for name, row in rows.items()} == {
        "0.slp": ("ok", None),
        "1.slp": ("failed", "worker_died"),
        "2.slp": ("ok", None),
    }
    assert sorted(shard.path for result in results for shard in result.shards if shard.kind == "frames") == [
        "frames/frames-00000.parquet",
        "frames/frames-00001.parquet",
    ]


def test_this_process_and_a_pool_give_the_same_rows(candidates: list[Candidate], tmp_path: Path) -> None:
    jobs = [Job(index=i, groups=((candidate,),)) for i, candidate in enumerate(candidates[:2])]
    here = list(run_jobs(jobs, settings(tmp_path / "here"), Known()))
    pooled = list(run_jobs_in_pool(jobs, settings(tmp_path / "pooled"), Known(), workers=2))
    pooled.sort(key=lambda result: result.shards[0].path)
    assert [(result.rows, result.shards) for result in here] == [(result.rows, result.shards) for result in pooled]


class TaskError(Exception):
    """As Ray wraps what a task raised."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class CrashError(Exception):
    """As Ray tells that a worker died."""


class OneCpu:
    """A cluster of one CPU in this process, whose tasks may fail."""

    exceptions = SimpleNamespace(
        RayTaskError=TaskError, WorkerCrashedError=CrashError, NodeDiedError=CrashError, OutOfMemoryError=CrashError
    )

    def __init__(self, failure: Exception | None) -> None:
        self.failure, self.is_open = failure, True

    def remote(self, **_: object) -> Callable[[Callable[..., Any]], Any]:
        return lambda function: SimpleNamespace(remote=lambda *given: lambda: function(*given))

    def put(self, value: object) -> object:
        return value

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 1.0}

    def wait(self, references: list[Any]) -> tuple[list[Any], list[Any]]:
        assert len(references) == 1
        return references, []

    def get(self, reference: Callable[[], Any]) -> Any:
        if self.failure is not None:
            raise self.failure
        return reference()

    def shutdown(self) -> None:
        self.is_open = False


@pytest.mark.parametrize("failure", [None, CrashError()])
def test_a_job_is_done_on_a_ray_cluster_or_here_if_its_worker_dies(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception | None
) -> None:
    cluster = OneCpu(failure)
    monkeypatch.setattr(workers, "_connect_ray", lambda address: cluster)
    expected = ingest([duels], tmp_path / "here", IngestOptions(workers=1, min_frames=1))
    report = ingest([duels], tmp_path / "there", IngestOptions(ray="local", min_frames=1))
    assert (report.replays_ingested, report.digest) == (4, expected.digest)
    assert not cluster.is_open


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")
def test_a_task_has_the_time_for_each_replay_that_a_local_worker_has(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[float] = []

    def run_job(job: Job, settings: Settings, known: Known, before_each: Callable[[], None]) -> JobResult:
        before_each()
        left.append(signal.getitimer(signal.ITIMER_REAL)[0])
        return run_a_job(job, settings, known, before_each)

    run_a_job = workers.run_job
    monkeypatch.setattr(workers, "_connect_ray", lambda address: OneCpu(None))
    monkeypatch.setattr(workers, "run_job", run_job)
    monkeypatch.setattr(workers, "TIME_LIMIT_S", 3600.0)
    assert ingest([duels], tmp_path, IngestOptions(ray="local", min_frames=1)).replays_ingested == 4
    assert all(1800 < seconds <= 3600 for seconds in left)
    assert len(left) == 1
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_node_that_does_not_see_the_store_is_an_error_that_names_it(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = OneCpu(TaskError(FileNotFoundError(2, "No such file or directory")))
    monkeypatch.setattr(workers, "_connect_ray", lambda address: cluster)
    with pytest.raises(ConfigError, match=r"every node must see the sources and write to .*store, found No such file"):
        ingest([duels], tmp_path / "store", IngestOptions(ray="local"))
    assert not cluster.is_open


def test_without_ray_the_error_names_the_extra(duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"needs Ray, found none installed; pip install 'exphil\[ray\]'"):
        ingest([duels], tmp_path, IngestOptions(ray="local"))


def test_a_number_of_workers_cannot_take_effect_beside_a_cluster() -> None:
    with pytest.raises(ConfigError, match="beside --ray"):
        IngestOptions(ray="local", workers=2)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra [ray] is not installed")
def test_a_real_cluster_of_this_machine_gives_the_same_digest(duels: Path, tmp_path: Path) -> None:
    expected = ingest([duels], tmp_path / "here", IngestOptions(workers=1, min_frames=1))
    code = "import typer, ingest.cli as c; a = typer.Typer(); c.register(a); a.command('x')(lambda: None); a()"
    options = ["--store", str(tmp_path / "there"), "--min-frames", "1", "--ray", "local", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, "ingest", str(duels), *options], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1])["digest"] == expected.digest


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra [ray] is not installed")
def test_a_replay_that_hangs_a_real_task_is_lost_alone(tmp_path: Path) -> None:
    script = [sys.executable, "-W", "ignore", "-m", "tests.ingest.hanging_ray", str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == {"0.slp": ["ok", None], "1.slp": ["failed", "worker_timeout"]}
