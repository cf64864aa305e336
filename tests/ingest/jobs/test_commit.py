"""When a store being written is committed: the sum of what is written must not grow with the square of its replays."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dataset.store import replay_table
from dataset.store.manifest import Manifest
from dataset.store.replay_table import ReplayRow
from dataset.store.store import Store
from ingest.jobs import commit
from ingest.jobs.commit import COMMIT_SHARE, open_store
from ingest.jobs.job import JobResult
from ingest.options import IngestOptions

JOBS = 200


def job(number: int, **changes: object) -> JobResult:
    """A job of one file that could not be read."""
    row: ReplayRow = {
        "id": f"{number:032d}",
        "status": "failed",
        "reason": "damaged",
        "source": f"{number}.slp",
        **changes,
    }
    return JobResult(rows=[row], shards=(), cpu_seconds=0.0)


def ids_in(store: Path) -> list[str]:
    return Store(store).replays().collect()["id"].to_list()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each table that is written."""
    counts: list[int] = []

    def counting(folder: Path, rows: Iterable[Mapping[str, Any]], *manifests: Any) -> Manifest:
        counts.append(len(list(rows)))
        return replay_table.save_replays(folder, rows, *manifests)

    monkeypatch.setattr(commit, "save_replays", counting)
    return counts


def test_commits_write_each_row_few_times_however_many_jobs_there_are(tmp_path: Path, written: list[int]) -> None:
    with open_store(tmp_path, IngestOptions()) as opened:
        for number in range(JOBS):
            opened.take(job(number))
        opened.finish()
    assert written[:16] == list(range(1, 17)), "a small store is committed after every job"
    assert written[-1] == JOBS
    assert sum(written) <= (1 / COMMIT_SHARE + 1) * JOBS  # a commit after every job would write 20 100
    for before, after in pairwise(written[:-1]):
        assert after - before == max(1, -(-before // 15)), "the new rows are a sixteenth of the table they make"


def test_jobs_that_a_kill_took_before_their_commit_are_done_again_by_the_next_run(
    tmp_path: Path, written: list[int]
) -> None:
    with open_store(tmp_path, IngestOptions()) as opened:
        for number in range(100):
            opened.take(job(number))  # and no finish
    assert len(ids_in(tmp_path)) == written[-1] < 100
    with open_store(tmp_path, IngestOptions()) as opened:
        for number in range(written[-1], 100):
            opened.take(job(number))
        opened.finish()
    assert ids_in(tmp_path) == [f"{number:032d}" for number in range(100)]


def test_a_run_that_only_refreshes_rows_is_committed_at_its_end(tmp_path: Path) -> None:
    with open_store(tmp_path, IngestOptions()) as opened:
        for number in range(40):
            opened.take(job(number, mtime=1))
        opened.finish()
    with open_store(tmp_path, IngestOptions()) as opened:
        assert opened.take(job(7, mtime=2)) == []
        opened.finish()
    assert Store(tmp_path).replays().collect()["mtime"].to_list() == [2 if number == 7 else 1 for number in range(40)]


def test_a_file_that_was_mended_takes_the_place_of_its_failed_row(tmp_path: Path) -> None:
    with open_store(tmp_path, IngestOptions()) as opened:
        for number in range(40):
            opened.take(job(number))
        for content in (101, 102):
            assert len(opened.take(job(content, source="7.slp", mtime=content))) == 1
        opened.finish()
    ids = [f"{number:032d}" for number in (*range(7), *range(8, 40), 102)]
    assert ids_in(tmp_path) == ids
