"""Fixtures shared by every stage: where real replays lie, and a generated one."""

import os
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

S3_SECRET = "hunter2-never-print-me"
# PyTorch's threads spin while they wait for each other. Tests train tiny policies, several at once on few cores: there,
# spinning takes ten times as long as the work. One thread on any machine also makes sums round alike everywhere.
# Processes that tests start inherit both; they must be set before anything imports torch.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")
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


@pytest.fixture
def s3_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of moto's S3 server without any bucket, to which the environment points."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    for name, value in (
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "someone"),
        ("AWS_SECRET_ACCESS_KEY", S3_SECRET),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("no_proxy", "127.0.0.1"),
    ):
        monkeypatch.setenv(name, value)
    # All servers of a process share what they hold.
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")).close()
    yield endpoint
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str) -> Iterator[Any]:
    """That server as a file system, which remembers nothing of an earlier test's."""
    kind = fsspec.get_filesystem_class("s3")
    kind.clear_instance_cache()
    yield fsspec.filesystem("s3")
    kind.clear_instance_cache()
