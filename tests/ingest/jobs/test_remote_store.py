"""Stores written behind a URL: in fsspec's memory, and in a bucket of moto's S3 server."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from dataset.errors import ConfigError, ExphilError, SchemaError
from dataset.io.fetch import Patience
from dataset.store.manifest import MANIFEST_NAME, Manifest
from dataset.store.store import Store
from ingest.command import closing_lines
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions

URL = "memory://melee/store"
MakeDuel = Callable[..., Path]


def options(**changes: object) -> IngestOptions:
    return IngestOptions(**{"workers": 1, "min_frames": 1, **changes})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPHIL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def bucket() -> Iterator[MemoryFileSystem]:
    memory = fsspec.filesystem("memory")
    yield memory
    if memory.exists("/melee"):
        memory.rm("/melee", recursive=True)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were sent, in order."""
    names: list[str] = []
    real = MemoryFileSystem.put_file

    def put_file(self: MemoryFileSystem, local: str, remote: str, **others: Any) -> None:
        names.append(remote.removeprefix("/melee/store/"))
        real(self, local, remote, **others)

    monkeypatch.setattr(MemoryFileSystem, "put_file", put_file)
    return names


def files_of(bucket: Any) -> set[str]:
    return {name.split("melee/store/")[1] for name in bucket.find("melee/store")}


def assert_whole(bucket: Any, url: str, expected: Path) -> None:
    """What lies at the URL reads like the store in a folder, and nothing else lies there."""
    here, there = Store(expected), Store(url)
    assert there.manifest.digest == here.manifest.digest
    assert {one.id: one.num_frames for one in there.samples("all")} == {
        one.id: one.num_frames for one in here.samples("all")
    }
    assert there.frames(["frame"]).collect().height == here.manifest.frames
    small = {"README.md", "manifest.json", "replays.parquet", "replays.previous.parquet"}
    assert files_of(bucket) - small == {shard.path for shard in there.manifest.shards}


def test_a_store_is_made_behind_a_url_and_only_what_is_new_goes_up(
    bucket: MemoryFileSystem, sent: list[str], duels: Path, make_duel: MakeDuel, tmp_path: Path, cache: Path
) -> None:
    report = ingest([duels], URL, options())
    assert (report.store, report.replays_ingested) == (URL, 4)
    expected = tmp_path / "expected"
    ingest([duels], expected, options())
    assert_whole(bucket, URL, expected)
    assert sent[-3:] == ["README.md", "replays.parquet", "manifest.json"]
    assert not list(cache.glob("staged/*/store/*/*"))  # shards do not stay
    first = {shard.path for shard in Store(URL).manifest.shards}

    sent.clear()
    assert ingest([duels], URL, options()).replays_new == 0
    assert sent == []

    more = make_duel("more.slp", 21)
    assert ingest([more], URL, options()).store_replays == 5
    ingest([more], expected, options())
    assert_whole(bucket, URL, expected)
    assert first.isdisjoint(sent)
    assert first < {shard.path for shard in Store(URL).manifest.shards}


@pytest.mark.parametrize("at", ["frames/frames-00001.parquet", "replays.parquet", "manifest.json"])
def test_a_run_killed_while_it_sends_leaves_the_store_of_before_and_the_next_run_finishes(
    bucket: MemoryFileSystem,
    duels: Path,
    make_duel: MakeDuel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
) -> None:
    expected, more = tmp_path / "expected", make_duel("more.slp", 21)
    ingest([duels], expected, options())
    before = ingest([duels], URL, options())
    real = MemoryFileSystem.put_file

    def killed(self: MemoryFileSystem, local: str, remote: str, **others: Any) -> None:
        if remote.endswith(at):
            raise KeyboardInterrupt
        real(self, local, remote, **others)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "put_file", killed)
        with pytest.raises(KeyboardInterrupt):
            ingest([more], URL, options())
    left = Store(URL, patience=Patience(attempts=2, backoff_s=0.01))  # the newest table may be another manifest's
    assert (left.manifest.digest, left.replays().collect().height) == (before.digest, 4)
    assert sum(one.num_frames for one in left.samples("all")) == before.frames
    report = ingest([more], URL, options())
    assert (report.replays_new, report.store_replays) == (0, 5)  # it was parsed by the run that was killed
    ingest([more], expected, options())
    assert_whole(bucket, URL, expected)


def test_a_run_killed_before_it_could_note_what_it_sent_sends_nothing_again(
    bucket: MemoryFileSystem, sent: list[str], duels: Path, cache: Path
) -> None:
    ingest([duels], URL, options())
    (base,) = cache.glob("staged/*/base")
    base.write_text("")
    sent.clear()
    assert ingest([duels], URL, options()).replays_new == 0
    assert sent == []


def test_another_machine_goes_on_with_the_store_and_knows_its_replays_by_content(
    bucket: MemoryFileSystem, duels: Path, make_duel: MakeDuel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest([duels], URL, options())
    monkeypatch.setenv("EXPHIL_CACHE", str(tmp_path / "another"))
    report = ingest([duels, make_duel("more.slp", 21)], URL, options())
    assert (report.replays_duplicate, report.replays_ingested, report.store_replays) == (4, 1, 5)
    ids = Store(URL).replays().filter(pl.col("status") == "ok").collect()["id"]
    assert ids.n_unique() == len(ids) == 5


def test_what_another_machine_wrote_meanwhile_is_not_lost(
    bucket: MemoryFileSystem, duels: Path, make_duel: MakeDuel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = make_duel("theirs.slp", 21), make_duel("ours.slp", 22)
    ingest([duels], URL, options())

    def meanwhile(progress: object) -> None:
        with monkeypatch.context() as patch:
            patch.setenv("EXPHIL_CACHE", str(tmp_path / "another"))
            ingest([theirs], URL, options())

    with pytest.raises(ConfigError, match="one machine at a time may write to it, found that another did meanwhile"):
        ingest([ours], URL, options(), on_progress=meanwhile)
    assert Store(URL).manifest.replays == 5
    assert ingest([ours], URL, options()).store_replays == 6
    assert sum(one.num_frames for one in Store(URL).samples("all")) == 6 * 600


@pytest.mark.parametrize("path", ["../victim", "/melee/victim", "windows/../../victim"])
def test_a_manifest_behind_a_url_that_names_other_files_deletes_none_of_them(
    bucket: MemoryFileSystem, duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    ingest([duels], URL, options())
    bucket.pipe_file("/melee/victim", b"mine")
    found = json.loads(bucket.cat_file(f"{URL}/{MANIFEST_NAME}"))
    found["shards"][-1]["path"] = path
    del found["manifest_digest"]
    bucket.pipe_file(f"{URL}/{MANIFEST_NAME}", json.dumps(found).encode())
    monkeypatch.setenv("EXPHIL_CACHE", str(tmp_path / "another"))
    for rebuild in (False, True):
        with pytest.raises(SchemaError, match=r"found damage \(shard \d+, path"):
            ingest([duels], URL, options(rebuild=rebuild))
    assert bucket.cat_file("/melee/victim") == b"mine"


def test_a_better_recording_of_a_game_takes_the_windows_of_the_worse_one_behind_the_url(
    make_duel: MakeDuel, bucket: MemoryFileSystem, tmp_path: Path
) -> None:
    worse, better, other = (
        make_duel("worse/a.slp", 1, 500),
        make_duel("better/a.slp", 1, 600),
        make_duel("worse/b.slp", 2),
    )
    ingest([worse.parent], URL, options())
    report = ingest([better], URL, options())
    assert (report.replays_ingested, report.store_replays) == (1, 2)
    assert report.digest == ingest([worse, better, other], tmp_path / "local", options()).digest
    store = Store(URL)
    assert sorted(sample.num_frames for sample in store.samples("all")) == [600, 600]
    assert {shard.path for shard in store.manifest.shards} <= files_of(bucket)
    assert len([name for name in files_of(bucket) if name.startswith("windows/")]) == len(
        store.manifest.of_kind("windows")
    )


def test_the_last_line_names_what_a_url_can_be_asked(bucket: MemoryFileSystem, duels: Path) -> None:
    report = ingest([duels / "duel-0.slp"], Path(URL), options())
    assert closing_lines(report, is_dry_run=False)[-1] == f"next: exphil stats --store {URL}"


def test_a_rebuild_replaces_what_was_there_and_a_dry_run_writes_nothing(
    bucket: MemoryFileSystem, duels: Path, tmp_path: Path
) -> None:
    ingest([duels], URL, options(dry_run=True))
    assert not bucket.exists("/melee")
    ingest([duels], URL, options())
    before = Store(URL).manifest
    ingest([duels / "duel-1.slp"], URL, options(rollback="first", rebuild=True))
    ingest([duels / "duel-1.slp"], tmp_path / "expected", options(rollback="first"))
    assert_whole(bucket, URL, tmp_path / "expected")
    assert {shard.path for shard in before.shards}.isdisjoint(files_of(bucket))


@pytest.mark.parametrize(
    ("url", "changes", "words"),
    [
        ("https://host/store", {}, "ingest writes to folders and to buckets .* found https; .* 'exphil sync up'"),
        ("file:///tmp/store", {}, "found file; give the folder itself"),
        ("nope://store", {}, "a URL that fsspec knows, found Protocol not known"),
        (URL, {"ray": "local", "workers": None}, "--ray local: its nodes write to a folder that all see"),
    ],
)
def test_a_url_that_cannot_be_written_to_is_refused(
    duels: Path, url: str, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        ingest([duels], url, options(**changes))


def test_a_transfer_that_fails_is_told_without_the_backends_words_and_gone_on_with(
    bucket: MemoryFileSystem, duels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("secret-key-hunter2")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "put_file", refuse)
        with pytest.raises(
            ExphilError, match=r"writing \S+ must be possible, found RuntimeError; .* is kept"
        ) as caught:
            ingest([duels], URL, options())
    assert "hunter2" not in str(caught.value)
    assert ingest([duels], URL, options()).replays_new == 0
    assert Store(URL).manifest.replays == 4


def test_a_bucket_takes_a_store_as_memory_does(s3: Any, duels: Path, tmp_path: Path) -> None:
    with pytest.raises(ExphilError, match="must be possible"):
        ingest([duels / "duel-0.slp"], "s3://melee/store", options())
    s3.mkdir("melee")
    first = ingest([duels / "duel-0.slp"], Path("s3://melee/store"), options())
    assert (first.store, first.store_replays) == ("s3://melee/store", 1)
    ingest([duels], "s3://melee/store", options())
    ingest([duels], tmp_path / "expected", options())
    assert_whole(s3, "s3://melee/store", tmp_path / "expected")
    assert s3.cat(f"melee/store/{MANIFEST_NAME}").decode() == Store("s3://melee/store").manifest.to_json()
    assert Manifest.from_json(s3.cat(f"melee/store/{MANIFEST_NAME}").decode(), "").replays == 4
