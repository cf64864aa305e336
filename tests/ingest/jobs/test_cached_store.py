import shutil
from pathlib import Path

import pytest

from dataset.errors import ConfigError
from dataset.store.store import Store
from ingest.jobs import cached_store as cached
from ingest.jobs import pipeline
from ingest.jobs.cached_store import cached_store
from ingest.jobs.pipeline import Progress
from ingest.options import IngestOptions

OPTIONS = IngestOptions(workers=1, min_frames=1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPHIL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_store_is_made_once_for_content_and_options(
    duels: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cached_store([duels], OPTIONS)
    assert Store(first).manifest.replays == 4
    assert first.is_relative_to(cache)
    moved = shutil.copytree(duels, tmp_path / "moved")
    monkeypatch.setattr(cached, "ingest", None)  # nothing may be ingested again
    assert cached_store([moved], OPTIONS) == first
    assert cached_store([moved], IngestOptions(workers=2, min_frames=1)) == first


def test_other_content_or_options_make_another_store(duels: Path) -> None:
    stores = {
        cached_store([duels], OPTIONS),
        cached_store([duels / "duel-0.slp"], OPTIONS),
        cached_store([duels], IngestOptions(workers=1, min_frames=1, rollback="first")),
        cached_store([duels], IngestOptions(workers=1, min_frames=1, character="fox")),
    }
    assert len(stores) == 4


def test_a_store_that_was_not_finished_is_not_taken_for_one(duels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MIN_JOB_BYTES", 1)
    monkeypatch.setattr(pipeline, "MAX_JOB_BYTES", 1)

    def interrupt(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_store([duels], OPTIONS, on_progress=interrupt)
    assert Store(cached_store([duels], OPTIONS)).manifest.replays == 4


def test_replays_of_which_none_is_let_in_are_an_error_with_reasons(duels: Path) -> None:
    with pytest.raises(ConfigError, match="found 4 character_absent"):
        cached_store([duels], IngestOptions(workers=1, character="falco"))


def test_options_without_a_meaning_here_are_refused(duels: Path) -> None:
    with pytest.raises(ConfigError, match="cannot take effect"):
        cached_store([duels], IngestOptions(rebuild=True))
