"""A cache of its own for each test, and a store behind a server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dataset.servers import FaultyServer, serving


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPHIL_CACHE", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home" / "shards"


@pytest.fixture
def server(generated_store: Path) -> Iterator[FaultyServer]:
    with serving(generated_store) as found:
        yield found
