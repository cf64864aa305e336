"""What tests of measuring share: a tiny store with a run trained on it."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.train.builders import tiny_config, tiny_splits, write_store
from train.config.run_config import OptimConfig
from train.fit.train_run import train_run


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "store", tiny_splits())


@pytest.fixture(scope="session")
def run(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = replace(tiny_config(), optim=OptimConfig(epochs=1, lr=0.01))
    return Path(train_run(config, store, "run", runs=tmp_path_factory.mktemp("runs"))["run"])
