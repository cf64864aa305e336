"""The page about many replays: computed, and from figures that were measured."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from dataset.stream.bank import MEMORY
from ingest.jobs.commit import COMMIT_SHARE
from ingest.jobs.pipeline import JOBS_OF_A_RUN, MAX_JOB_BYTES, MIN_JOB_BYTES

ROOT = Path(__file__).parent.parent
SCALE: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "scale"))


def test_the_page_is_computed_from_its_rates() -> None:
    assert (ROOT / "docs" / "scale.md").read_text(encoding="utf-8") == SCALE["page"]()


@pytest.mark.parametrize("rate", SCALE["RATES"], ids=lambda rate: rate.quote)
def test_every_rate_occurs_in_the_results_it_names(rate: Any) -> None:
    assert rate.quote in (ROOT / "benchmarks" / "results" / rate.source).read_text(encoding="utf-8")


def test_an_ingest_is_cut_into_commits_as_ingest_does() -> None:
    assert (SCALE["MIB"] * 64, SCALE["GIB"], 64) == (MIN_JOB_BYTES, MAX_JOB_BYTES, JOBS_OF_A_RUN)
    assert SCALE["COMMIT_SHARE"] == COMMIT_SHARE
    assert SCALE["KEPT"] == MEMORY


def test_all_commits_together_write_each_row_few_times_however_many_replays_there_are() -> None:
    (_, few), (_, many) = (SCALE["commits"](replays) for replays in (100_000, 1_000_000))
    assert few < 17 * 100_000
    assert many < 17 * 1_000_000
