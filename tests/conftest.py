"""Fixtures shared by every stage: where real replays lie, and a generated one."""

import os
import zipfile
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "replays"


def replay_archive(name: str) -> Path:
    """The archive of real replays of that name, or skip: the project itself holds none."""
    path = Path(os.environ.get("EXPHIL_REPLAYS", _DEFAULT)) / name
    if not path.exists():
        pytest.skip(f"real replays absent: {name} is not in $EXPHIL_REPLAYS")
    return path


@pytest.fixture(scope="session")
def modern_replays(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Real 1v1 games recorded by Slippi 3.18 and 3.19, smallest first."""
    return _extract("modern.zip", tmp_path_factory.mktemp("modern"), limit=4)


@pytest.fixture(scope="session")
def edge_case_replays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Odd real replays of every Slippi version, by file name."""
    return {path.name: path for path in _extract("edge-cases.zip", tmp_path_factory.mktemp("edge"), limit=None)}


def _extract(archive: str, folder: Path, limit: int | None) -> list[Path]:
    with zipfile.ZipFile(replay_archive(archive)) as source:
        members = sorted(source.infolist(), key=lambda member: member.file_size)[:limit]
        for member in members:
            source.extract(member, folder)
    return [folder / member.filename for member in members]
