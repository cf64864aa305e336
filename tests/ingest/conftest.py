"""Generated duels, as files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dataset.duels.generate import generate_replay

SEEDS = (0, 1, 2, 3)


@pytest.fixture(scope="session")
def duels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four duels of 600 frames, Mewtwo against Fox; do not write to it."""
    folder = tmp_path_factory.mktemp("duels")
    for seed in SEEDS:
        generate_replay(folder / f"duel-{seed}.slp", seed=seed, frames=600)
    return folder


@pytest.fixture(scope="session")
def duel_bytes(duels: Path) -> bytes:
    """One duel's file."""
    return (duels / "duel-0.slp").read_bytes()


@pytest.fixture
def make_duel(tmp_path: Path) -> Callable[..., Path]:
    """Writes one duel into the test's folder: ``make_duel(name, seed, frames=600, …)``."""

    def make(name: str, seed: int, frames: int = 600, **others: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        generate_replay(path, seed=seed, frames=frames, **others)  # type: ignore[arg-type]
        return path

    return make
