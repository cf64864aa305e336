"""Stores read over HTTP from a server that misbehaves: what is bad is never used, what is good is never lost."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from dataset.errors import ConfigError, SchemaError, ShardError
from dataset.io.fetch import Patience
from dataset.store.manifest import MANIFEST_NAME, Manifest
from dataset.store.reencode import encode_windows
from dataset.store.store import Store
from dataset.verify.verify import verify
from tests.dataset import servers
from tests.dataset.servers import Fault, FaultyServer, serving

PATIENCE = Patience(attempts=3, backoff_s=0.01)
HASTE = Patience(attempts=2, backoff_s=0.01)


def patience_with(fault: Fault, patience: Patience) -> Patience:
    """Short where the fault is a stall; elsewhere a machine that is merely slow must not look like one."""
    return replace(patience, stall_s=1.0) if fault in (servers.silent, servers.drip) else patience


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPHIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "cache" / "shards"


@pytest.fixture
def server(generated_store: Path) -> Iterator[FaultyServer]:
    with serving(generated_store) as found:
        yield found


@pytest.fixture
def shard(generated_store: Path) -> str:
    """The train shard with most samples."""
    shards = Manifest.load(generated_store).of_kind("windows", "train")
    return max(shards, key=lambda shard: shard.samples).path


def sample_ids(store: Store) -> list[str]:
    return [sample.id for sample in store.samples("all")]


def test_a_store_behind_a_url_hands_out_what_a_local_one_does(server: FaultyServer, generated_store: Path) -> None:
    local, remote = Store(generated_store), Store(server.url)
    assert remote.manifest == local.manifest
    assert remote.replays().collect().equals(local.replays().collect())
    assert remote.frames().collect().equals(local.frames().collect())
    assert sample_ids(remote) == sample_ids(local)
    for shard in local.manifest.of_kind("windows"):
        assert remote.shard_bytes(shard) == local.shard_bytes(shard)
    (first, *_) = sample_ids(local)
    assert remote.columns(first)["a_x"].tolist() == local.columns(first)["a_x"].tolist()


@pytest.mark.parametrize("fault", servers.BAD, ids=lambda fault: fault.__name__)
def test_a_shard_that_stays_bad_is_always_found_out_and_named(server: FaultyServer, shard: str, fault: Fault) -> None:
    server.always[shard] = fault
    store = Store(server.url, patience=patience_with(fault, HASTE))
    with pytest.raises(ShardError, match=rf"shard {shard} of {server.url}: must arrive as .*, found .* of 2 attempts"):
        sample_ids(store)


@pytest.mark.parametrize("fault", servers.BAD, ids=lambda fault: fault.__name__)
def test_a_shard_that_was_bad_once_is_read_whole_in_the_end(
    server: FaultyServer, generated_store: Path, shard: str, fault: Fault
) -> None:
    server.faults[shard] = [fault]
    store = Store(server.url, patience=patience_with(fault, PATIENCE))
    assert sample_ids(store) == sample_ids(Store(generated_store))
    assert len(server.ranges(shard)) >= 2


@pytest.mark.parametrize("fault", servers.GOOD, ids=lambda fault: fault.__name__)
def test_what_a_good_server_may_do_costs_no_attempt(
    server: FaultyServer, generated_store: Path, shard: str, fault: Fault
) -> None:
    server.always = dict.fromkeys([MANIFEST_NAME, shard], fault)
    store = Store(server.url, patience=Patience(attempts=1))
    assert sample_ids(store) == sample_ids(Store(generated_store))


@pytest.mark.parametrize("fault", servers.BAD_FOR_ANY_FILE, ids=lambda fault: fault.__name__)
def test_a_bad_table_of_frames_or_replays_is_never_queried(
    server: FaultyServer, generated_store: Path, fault: Fault
) -> None:
    (frames, _) = (found.path for found in Manifest.load(generated_store).of_kind("frames"))
    server.always = dict.fromkeys([frames, "replays.parquet"], fault)
    store = Store(server.url, patience=patience_with(fault, HASTE))
    with pytest.raises(ShardError, match=f"shard {frames} of"):
        store.frames()
    with pytest.raises(ShardError, match=r"shard replays\.parquet of"):
        store.replays()


@pytest.mark.parametrize("fault", [servers.cut_with_length, servers.cut_within_a_chunk, servers.reset, servers.drip])
def test_a_broken_transfer_goes_on_where_it_ended(server: FaultyServer, shard: str, fault: Fault) -> None:
    server.faults[shard] = [fault]
    store = Store(server.url, patience=patience_with(fault, PATIENCE))
    sample_ids(store)
    first, second, *_ = server.ranges(shard)
    assert (first, second and second.startswith("bytes=")) == (None, True)


def test_a_broken_transfer_starts_over_where_ranges_are_ignored(
    server: FaultyServer, generated_store: Path, shard: str
) -> None:
    server.faults[shard] = [servers.cut_with_length, servers.ignores_ranges]
    assert sample_ids(Store(server.url, patience=PATIENCE)) == sample_ids(Store(generated_store))
    half = (generated_store / shard).stat().st_size // 2
    assert server.ranges(shard) == [None, f"bytes={half}-"]


def test_wrong_bytes_are_thrown_away_and_asked_for_past_all_caches(server: FaultyServer, shard: str) -> None:
    server.faults[shard] = [servers.stale]
    sample_ids(Store(server.url, patience=PATIENCE))
    asked = [headers for name, headers in server.asked if name == shard]
    assert [(headers.get("Range"), headers.get("Cache-Control")) for headers in asked] == [
        (None, None),
        (None, "no-cache"),
    ]


def test_a_later_process_goes_on_with_what_an_earlier_one_left(
    server: FaultyServer, shard: str, generated_store: Path
) -> None:
    server.always[shard] = servers.cut_with_length
    with pytest.raises(ShardError):
        sample_ids(Store(server.url, patience=Patience(attempts=1)))
    server.always.clear()
    assert sample_ids(Store(server.url, patience=Patience(attempts=1))) == sample_ids(Store(generated_store))
    assert server.ranges(shard) == [None, f"bytes={(generated_store / shard).stat().st_size // 2}-"]


def test_a_range_that_was_not_asked_for_is_not_appended(server: FaultyServer, shard: str) -> None:
    server.always[shard] = servers.another_range
    with pytest.raises(ShardError, match=r"found another range than asked for \(status 206\)"):
        sample_ids(Store(server.url, patience=HASTE))


def test_a_missing_shard_is_not_asked_for_again(server: FaultyServer, generated_store: Path, tmp_path: Path) -> None:
    shard = Store(server.url).manifest.of_kind("windows", "val")[0].path
    server.always[shard] = lambda handler, data: handler.send_error(404)
    with pytest.raises(ShardError, match=rf"shard {shard} of .*, found status 404 Not Found; check the address"):
        list(Store(server.url).samples("val"))
    assert len(server.ranges(shard)) == 1


def test_a_stalled_transfer_says_so(server: FaultyServer, shard: str) -> None:
    for fault, told in ((servers.silent, r"nothing for 1 s"), (servers.drip, r"\d+ bytes in \d+\.\d s")):
        server.always[shard] = fault
        with pytest.raises(ShardError, match=rf"found a stalled transfer: {told} in the last of 2 attempts"):
            sample_ids(Store(server.url, patience=patience_with(fault, HASTE)))


def test_bad_shards_are_skipped_and_counted_up_to_what_is_tolerated(
    server: FaultyServer, generated_store: Path, cache: Path
) -> None:
    local = Store(generated_store)
    first, second = local.manifest.of_kind("windows", "train")
    server.always = {first.path: servers.flipped}
    store = Store(server.url, tolerate_bad_shards=1, patience=HASTE)
    kept = [sample.id for sample in store.samples("train")]
    assert len(kept) == second.samples
    assert list(store.skipped) == [first.path]
    assert "found" in store.skipped[first.path]
    asked = len(server.asked)
    assert [sample.id for sample in store.samples("train")] == kept
    assert len(server.asked) == asked, "a skipped shard stays skipped"
    server.always[second.path] = servers.flipped
    shutil.rmtree(cache)
    strict = Store(server.url, tolerate_bad_shards=1, patience=HASTE)
    for _ in range(2):
        with pytest.raises(ShardError, match=f"shard {second.path}"):
            list(strict.samples("train"))


def test_bad_shards_of_a_local_store_can_be_tolerated_too(store: Path) -> None:
    first, second = Store(store).manifest.of_kind("windows", "train")
    (store / first.path).write_bytes(b"")
    opened = Store(store, tolerate_bad_shards=1)
    assert len(list(opened.samples("train"))) == second.samples
    assert list(opened.skipped) == [first.path]
    with pytest.raises(ConfigError, match="--tolerate-bad-shards: 0 or more shards, found -1"):
        Store(store, tolerate_bad_shards=-1)


@pytest.mark.parametrize("fault", [servers.cut_with_length, servers.cut_without_length, servers.portal, servers.empty])
def test_a_damaged_manifest_is_asked_for_again_and_then_refused(server: FaultyServer, fault: Fault) -> None:
    server.faults[MANIFEST_NAME] = [fault]
    assert Store(server.url, patience=HASTE).manifest.replays == 6
    server.always[MANIFEST_NAME] = fault
    with pytest.raises(
        ShardError, match=rf"store {server.url}: a store holds a readable manifest\.json, found a damaged"
    ):
        Store(server.url, patience=HASTE)


def test_a_manifest_that_lost_a_shard_or_moved_one_is_refused(store: Path) -> None:
    manifest = Manifest.load(store)
    train, *_ = manifest.of_kind("windows", "train")
    lost = tuple(shard for shard in manifest.shards if shard != train)
    moved = (*lost, replace(train, path=train.path.replace("train", "test"), split="test", samples=train.samples + 1))
    for shards in (lost, moved):
        replace(manifest, shards=shards).save(store)
        with serving(store) as server, pytest.raises(SchemaError, match=r"windows shards must hold .* copy the manif"):
            Store(server.url)


def test_a_shard_with_other_samples_than_the_manifest_counts_is_refused_before_the_first(store: Path) -> None:
    manifest = Manifest.load(store)
    (train, *_), (val,) = (manifest.of_kind("windows", split) for split in ("train", "val"))
    swapped = {
        train.path: replace(train, samples=val.samples, frames=val.frames),
        val.path: replace(val, samples=train.samples, frames=train.frames),
    }
    shards = tuple(swapped.get(shard.path, shard) for shard in manifest.shards)
    replace(manifest, shards=shards).save(store)
    with serving(store) as server:
        for opened in (Store(store), Store(server.url)):
            with pytest.raises(
                ShardError, match=f"shard {train.path}: the manifest lists 1 samples of 2400 frames, found 2 of 4800"
            ):
                next(opened.samples("train"))


def test_the_previous_table_of_replays_is_read_where_the_newest_is_not_yet_the_manifests(store: Path) -> None:
    expected = Store(store).replays().collect()
    (store / "replays.parquet").replace(store / "replays.previous.parquet")
    (store / "replays.parquet").write_bytes(b"newer")
    with serving(store) as server:
        assert Store(server.url, patience=HASTE).replays().collect().equals(expected)


def test_a_url_that_carries_credentials_is_refused_without_repeating_them() -> None:
    for url in ("https://me:hunter2@host/store", "https://host/store?token=hunter2"):
        with pytest.raises(ConfigError, match=r"keep credentials in ~/\.netrc") as caught:
            Store(url)
        assert "hunter2" not in str(caught.value)


def test_a_url_at_which_nothing_can_be_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigError, match="found one that nothing can be at") as caught:
        Store("http://me:hunter2@[::1")
    assert "hunter2" not in str(caught.value)


def test_credentials_of_netrc_are_sent_but_not_to_where_a_redirect_leads(
    server: FaultyServer, shard: str, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    (tmp_path / ".netrc").chmod(0o600)
    server.always[shard] = servers.redirect
    store = Store(server.url)
    sample_ids(store)
    sent = ["Authorization" in headers for name, headers in server.asked if name == shard]
    assert sent == [True, False]


def test_urls_that_nothing_reads_are_usage_errors() -> None:
    with pytest.raises(ConfigError, match=r"store nothing://x: must be a path or a URL that fsspec knows"):
        Store("nothing://x")


def test_samples_of_a_url_are_picked_by_split(server: FaultyServer, generated_store: Path) -> None:
    remote = Store(server.url)
    splits = remote.replays().group_by("split").agg(pl.col("id").sort()).collect()
    found = {split: sorted(sample.id for sample in remote.samples(split)) for split in ("train", "val", "test")}
    assert found == dict(splits.iter_rows())


@pytest.mark.parametrize("url", ["s3://melee/store", "s3:/melee/store"])
def test_a_url_is_neither_encoded_again_nor_audited(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for write in (
        lambda: encode_windows(Path(url)),
        lambda: verify(url),
    ):
        with pytest.raises(ConfigError, match="this command works in a folder on this machine, found a URL"):
            write()
    assert list(tmp_path.iterdir()) == []


def test_a_url_that_went_through_pathlib_is_the_same_store(server: FaultyServer) -> None:
    assert Store(Path(server.url)).path == server.url


def test_the_url_of_a_file_is_its_folder(generated_store: Path) -> None:
    assert Store(f"file://{generated_store}").path == generated_store


def test_the_next_shards_are_fetched_while_one_is_used(server: FaultyServer) -> None:
    store = Store(server.url)
    shards = store.manifest.of_kind("windows")
    walk = store.usable_shards(shards)
    assert next(walk)[0] == shards[0]
    deadline = time.monotonic() + 60
    while not all(server.ranges(shard.path) for shard in shards[:3]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [len(server.ranges(shard.path)) for shard in shards] == [1, 1, 1, 0]
    assert [shard for shard, _ in walk] == shards[1:]
