"""Sources behind URLs: on a web server that misbehaves as told, in fsspec's memory, and in a bucket of moto's S3 server."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from dataset.errors import ConfigError, ExphilError, ShardError
from dataset.io.fetch import Patience
from dataset.store.store import Store
from ingest.command import as_json, ingest_datasets, watch_sources
from ingest.jobs.cached_store import cached_store
from ingest.jobs.pipeline import IngestReport, ingest
from ingest.options import IngestOptions
from ingest.sources import remote
from ingest.sources.remote import fetched
from tests.dataset import servers
from tests.dataset.servers import Fault, FaultyServer, Handler, serving

PATIENCE = Patience(attempts=3, backoff_s=0.01)


def options() -> IngestOptions:
    return IngestOptions(workers=1, min_frames=1)


def counts(report: IngestReport) -> tuple[int, int, int, int]:
    """Found, new, ingested, duplicate."""
    return report.replays_found, report.replays_new, report.replays_ingested, report.replays_duplicate


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPHIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "cache" / "sources"


@pytest.fixture
def served(duels: Path, tmp_path: Path) -> Path:
    """A folder with two archives of two duels, and something else."""
    folder = tmp_path / "served"
    (folder / "more").mkdir(parents=True)
    paths = sorted(duels.iterdir())
    for name, held in (("a b.zip", paths[:2]), ("more/c.zip", paths[2:])):
        with zipfile.ZipFile(folder / name, "w") as archive:
            for path in held:
                archive.write(path, path.name)
    (folder / "notes.txt").write_text("no replay")
    return folder


@pytest.fixture
def server(served: Path) -> Iterator[FaultyServer]:
    shutil.copyfile(served / "a b.zip", served / "a.zip")
    with serving(served) as found:
        yield found


def test_an_archive_on_a_web_server_is_fetched_once_and_read_here(
    server: FaultyServer, served: Path, tmp_path: Path, cache: Path
) -> None:
    url = Path(f"{server.url}/a.zip")  # as the command line hands it on, with one slash
    report = ingest([url], tmp_path / "store", options())
    assert (counts(report), report.digest) == (
        (2, 2, 2, 0),
        ingest([served / "a.zip"], tmp_path / "here", options()).digest,
    )
    (kept,) = cache.glob("*.zip")
    assert kept.name.count(".zip") == 1
    assert kept.read_bytes() == (served / "a.zip").read_bytes()
    assert counts(ingest([url], tmp_path / "store", options())) == (2, 0, 0, 0)
    assert [path.name for path in cache.glob("*.zip")] == [kept.name]


@pytest.mark.parametrize("fault", [servers.cut_with_length, servers.reset, servers.unavailable])
def test_a_transfer_that_breaks_off_is_gone_on_with(server: FaultyServer, served: Path, fault: Fault) -> None:
    server.faults["a.zip"] = [servers.whole, fault]  # the first answers how long it is
    (path,) = fetched(f"{server.url}/a.zip", PATIENCE)
    assert path.read_bytes() == (served / "a.zip").read_bytes()


def test_a_server_that_knows_heads_is_asked_for_no_more_than_that(
    server: FaultyServer, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[str] = []

    def head(self: Handler) -> None:
        heads.append(self.path)
        size = (served / self.path.lstrip("/")).stat().st_size
        # This one is wrong about the first, as some are, and each of its machines has a tag of its own.
        self.answer(b"", length=size if len(heads) > 1 else 0, Last_Modified="then", ETag=f"{len(heads)}")

    monkeypatch.setattr(Handler, "do_HEAD", head, raising=False)
    monkeypatch.setattr(servers, "whole", with_time(servers.whole))
    (path,) = fetched(f"{server.url}/a.zip", PATIENCE)
    assert path.read_bytes() == (served / "a.zip").read_bytes()
    assert (len(heads), len(server.asked)) == (2, 2)


def with_time(answer: Fault) -> Fault:
    """As ``answer`` does, and the time of the last change."""

    def answered(handler: Handler, data: bytes) -> None:
        real = handler.answer
        handler.answer = lambda *given, **headers: real(*given, Last_Modified="then", **headers)  # type: ignore[method-assign]
        answer(handler, data)

    return answered


def test_a_transfer_that_stays_cut_is_an_error_that_names_the_source(server: FaultyServer) -> None:
    server.faults["a.zip"] = [servers.whole]
    server.always["a.zip"] = servers.empty
    with pytest.raises(
        ShardError, match=rf"source {server.url}/a.zip: must arrive as the [\d,]+ bytes that its server"
    ):
        fetched(f"{server.url}/a.zip", PATIENCE)


def test_a_file_without_a_byte_is_a_replay_that_failed(server: FaultyServer, served: Path, tmp_path: Path) -> None:
    (served / "empty.slp").write_bytes(b"")
    assert ingest([f"{server.url}/empty.slp"], tmp_path / "store", options()).failures == {"not_slp": 1}


def test_a_file_that_changed_is_fetched_anew_and_its_replays_are_known(
    server: FaultyServer, served: Path, duels: Path, tmp_path: Path
) -> None:
    ingest([f"{server.url}/a.zip"], tmp_path / "store", options())
    with zipfile.ZipFile(served / "a.zip", "a") as archive:
        archive.write(duels / "duel-3.slp", "3.slp")
    assert counts(ingest([f"{server.url}/a.zip"], tmp_path / "store", options())) == (3, 3, 1, 2)


def test_what_a_url_cannot_be_is_said(server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, message in (
        (f"{server.url}/more", "a web server lists no folders, so it must be one file that ends in .slp"),
        (f"{server.url}/gone.zip", "must be a file or folder that can be read, found status 404"),
        ("nope://host/a.zip", "must be a path or a URL that fsspec knows"),
        ("memory://nothing/here", "found none; check the address|can be read, found"),
    ):
        with pytest.raises((ConfigError, ShardError), match=message):
            fetched(url, PATIENCE)
    monkeypatch.setenv("EXPHIL_CACHE_GB", "0.000001")
    with pytest.raises(ConfigError, match="set EXPHIL_CACHE_GB higher"):
        fetched(f"{server.url}/a.zip", PATIENCE)
    with pytest.raises(ConfigError, match=rf"--watch: looks at folders of this machine, found {server.url}/a.zip"):
        watch_sources([Path(f"{server.url}/a.zip")], tmp_path / "store", None, {}, 1.0)


def test_a_folder_in_a_bucket_is_a_source_of_the_datasets_file(
    s3: Any, served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.mkdir("melee")
    s3.put(str(served), "melee/replays", recursive=True)
    monkeypatch.chdir(tmp_path)
    Path("data_manifest.yaml").write_text(
        "datasets:\n  all:\n    sources: [s3://melee/replays]\n    store: s\n    min_frames: 1\n"
        "  one:\n    sources: ['s3://melee/replays/a b.zip']\n    store: t\n    min_frames: 1\n"
    )
    reports = ingest_datasets(None, None, {}, {"workers": 1, "dry_run": False})
    assert [counts(report) for report in reports] == [(4, 4, 4, 0), (2, 2, 2, 0)]
    assert json.loads(as_json(reports))["store_replays"] == 6
    assert Path("data_manifest.yaml").read_text().count("locked:") == 2
    assert [counts(report)[1] for report in ingest_datasets(None, None, {}, {"workers": 1, "dry_run": False})] == [0, 0]


@pytest.mark.parametrize("change", ["another comes", "one changes"])
def test_a_folder_may_grow_while_it_is_fetched_but_what_is_fetched_may_not_change(
    served: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(served), "/melee-sources", recursive=True)
    real = remote.fetch

    def meanwhile(*given: Any) -> None:
        real(*given)
        name = "more/new.zip" if change == "another comes" else "more/c.zip"
        memory.put_file(str(served / "a b.zip"), f"/melee-sources/{name}")

    monkeypatch.setattr(remote, "fetch", meanwhile)
    try:
        if change == "another comes":
            assert len(fetched("memory://melee-sources", PATIENCE)) == 2
        else:
            with pytest.raises(ExphilError, match=r"must not change while it is read|must arrive as"):
                fetched("memory://melee-sources", PATIENCE)
    finally:
        memory.rm("/melee-sources", recursive=True)


def test_a_bucket_that_is_not_there_is_said_without_secrets(s3: Any) -> None:
    with pytest.raises(ShardError, match=r"source s3://nothing/here: must be a file or folder that can be read, found"):
        fetched("s3://nothing/here", PATIENCE)


def test_other_backends_are_read_and_a_store_is_made_of_them_on_demand(served: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(served), "/melee-sources", recursive=True)
    try:
        assert Store(cached_store(["memory://melee-sources"], options())).manifest.replays == 4
    finally:
        memory.rm("/melee-sources", recursive=True)
