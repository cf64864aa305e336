"""A small store of generated duels, ingested once a session."""

import shutil
from pathlib import Path

import pytest

from dataset.duels.generate import generate_replay
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions

DUELS = (
    ((0, "fox", "final_destination"), (1, "marth", "battlefield"), (11, "falco", "dream_land")),
    ((2, "fox", "yoshis_story"), (3, "mewtwo", "pokemon_stadium"), (7, "marth", "fountain_of_dreams")),
)
"""(seed, Mewtwo's opponent, stage) of two ingests; by their match ids seed 11 falls into val, 7 into test."""


@pytest.fixture(scope="session")
def generated_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six duels of 2 400 frames in two frame shards and four window shards; do not write to it."""
    folder = tmp_path_factory.mktemp("generated")
    for number, duels in enumerate(DUELS):
        source = folder / f"replays-{number}"
        source.mkdir()
        for seed, opponent, stage in duels:
            generate_replay(
                source / f"{seed}.slp", seed=seed, characters=("mewtwo", opponent), stage=stage, frames=2400
            )
        ingest([source], folder / "store", IngestOptions(workers=1))
    return folder / "store"


@pytest.fixture
def store(generated_store: Path, tmp_path: Path) -> Path:
    """A copy of the generated store to break."""
    return Path(shutil.copytree(generated_store, tmp_path / "store"))
