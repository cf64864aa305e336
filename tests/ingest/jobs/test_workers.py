import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from dataset.duels.generate import generate_replay
from ingest.jobs.job import Job, Known, Settings
from ingest.jobs.workers import run_jobs
from ingest.replay.anonymize import Names
from ingest.replay.judge import Filters
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
        filters=Filters(min_frames=1),
        rollback="last",
        codec="axis17",
        split_seed=0,
        names=DeadlyNames(b"", True, victim),
    )


def test_a_replay_that_kills_its_worker_is_lost_alone(candidates: list[Candidate], tmp_path: Path) -> None:
    jobs = [Job(index=0, groups=((candidates[0],), (candidates[1],))), Job(index=1, groups=((candidates[2],),))]
    results = list(run_jobs(jobs, settings(tmp_path, "Duelist 4"), Known(), workers=2))
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


def test_one_worker_and_a_pool_give_the_same_rows(candidates: list[Candidate], tmp_path: Path) -> None:
    jobs = [Job(index=i, groups=((candidate,),)) for i, candidate in enumerate(candidates[:2])]
    here = list(run_jobs(jobs, settings(tmp_path / "here"), Known(), workers=1))
    pooled = list(run_jobs(jobs, settings(tmp_path / "pooled"), Known(), workers=2))
    pooled.sort(key=lambda result: result.shards[0].path)
    assert [(result.rows, result.shards) for result in here] == [(result.rows, result.shards) for result in pooled]
