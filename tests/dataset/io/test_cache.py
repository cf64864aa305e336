"""The cache of fetched shards: bounded, shared by processes, and never believed without a hash."""

import hashlib
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dataset.errors import ConfigError
from dataset.io.cache import Cache, cache_limit_bytes
from dataset.io.fetch import Wanted
from dataset.store.store import Store
from tests.dataset.servers import FaultyServer, slow

ROOT = Path(__file__).resolve().parents[3]


class Origin:
    """Files of any content to fetch, and which were fetched."""

    def __init__(self) -> None:
        self.fetched: list[str] = []

    def file(self, name: str, size: int) -> tuple[Wanted, bytes]:
        data = (name.encode() * size)[:size]
        return Wanted(path=f"{name}.tar", sha256=hashlib.sha256(data).hexdigest(), size=size), data

    def read(self, cache: Cache, name: str, size: int = 100) -> bytes:
        wanted, data = self.file(name, size)

        def download(target: Path) -> None:
            self.fetched.append(name)
            target.write_bytes(data)

        return cache.read(wanted, download)


def names_in(folder: Path, origin: Origin, names: str, size: int = 100) -> set[str]:
    return {name for name in names if (folder / f"{origin.file(name, size)[0].sha256}.tar").exists()}


def age(folder: Path, origin: Origin, name: str, seconds: float) -> None:
    """Pretend that a file was last used so long ago."""
    then = time.time() - seconds
    os.utime(folder / f"{origin.file(name, 100)[0].sha256}.tar", (then, then))


def test_what_was_fetched_once_is_read_from_the_cache(tmp_path: Path) -> None:
    origin, cache = Origin(), Cache(tmp_path / "cache", 1000)
    assert {origin.read(cache, "a") for _ in range(3)} == {b"a" * 100}
    assert origin.fetched == ["a"]


def test_a_warm_cache_asks_a_server_for_the_manifest_alone(server: FaultyServer) -> None:
    first = [sample.id for sample in Store(server.url).samples("all")]
    server.asked.clear()
    assert [sample.id for sample in Store(server.url).samples("all")] == first
    assert [name for name, _ in server.asked] == ["manifest.json"]


def test_damage_in_the_cache_is_found_and_fetched_again(server: FaultyServer, home: Path) -> None:
    store = Store(server.url)
    (shard, *_) = store.manifest.of_kind("windows", "train")
    (frames, *_) = store.manifest.of_kind("frames")
    good, table = store.shard_bytes(shard), store.shard_path(frames).read_bytes()
    for path, data in ((home / f"{shard.sha256}.tar", good), (home / f"{frames.sha256}.parquet", table)):
        for damaged in (data[:-1], data[:500] + bytes([data[500] ^ 1]) + data[501:], b""):
            path.write_bytes(damaged)
            assert (store.shard_bytes(shard), store.shard_path(frames).read_bytes()) == (good, table)
    assert len(server.ranges(shard.path)) == len(server.ranges(frames.path)) == 4


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    origin, cache = Origin(), Cache(tmp_path / "cache", 300)
    for name, seconds in (("a", 30), ("b", 20), ("c", 10)):
        origin.read(cache, name)
        age(cache.folder, origin, name, seconds)
    origin.read(cache, "a")  # used again: now b is the oldest
    origin.read(cache, "d")
    assert names_in(cache.folder, origin, "abcd") == {"a", "c", "d"}
    origin.read(cache, "e")
    assert names_in(cache.folder, origin, "abcde") == {"a", "d", "e"}
    assert sum(file.stat().st_size for file in cache.folder.glob("*.tar")) == 300


def test_a_file_larger_than_the_cache_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.tar needs 0\.000 GB, found no room .* set EXPHIL_CACHE_GB higher"):
        Origin().read(Cache(tmp_path / "cache", 99), "a")


def test_a_query_larger_than_the_cache_is_a_wrong_setting(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPHIL_CACHE_GB", "0.0001")
    with pytest.raises(ConfigError, match=r"must hold all files of a query at once, .* found a limit of 0\.00 GB"):
        Store(server.url).frames()


@pytest.mark.parametrize("text", ["0", "-1", "many", "inf", "nan"])
def test_a_limit_that_is_no_size_is_a_wrong_setting(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("EXPHIL_CACHE_GB", text)
    with pytest.raises(ConfigError, match=f"EXPHIL_CACHE_GB: the cache's size in GB, a number above 0, found '{text}'"):
        cache_limit_bytes()


def test_the_limit_is_20_gb_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXPHIL_CACHE_GB", raising=False)
    assert cache_limit_bytes() == 20_000_000_000
    monkeypatch.setenv("EXPHIL_CACHE_GB", "1.5")
    assert cache_limit_bytes() == 1_500_000_000


def test_what_a_living_process_queries_is_not_evicted_and_a_dead_ones_is(tmp_path: Path) -> None:
    folder, origin = tmp_path / "cache", Origin()
    wanted, data = origin.file("a", 100)
    code = (
        "import sys; from pathlib import Path; from dataset.io.cache import Cache; from dataset.io.fetch import Wanted\n"
        f"one = Wanted(path='a.tar', sha256={wanted.sha256!r}, size=100)\n"
        f"Cache(Path({str(folder)!r}), 250).paths([one], lambda one: lambda path: path.write_bytes({data!r}))\n"
        "print('pinned', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, cwd=ROOT) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"pinned\n"
        age(folder, origin, "a", 100)
        cache = Cache(folder, 250)
        origin.read(cache, "b")
        origin.read(cache, "c")
        assert names_in(folder, origin, "abc") == {"a", "c"}
        other.stdin.close()
        assert other.wait() == 0
    origin.read(cache, "d")
    assert names_in(folder, origin, "abcd") == {"c", "d"}
    assert list(folder.glob("*.kept")) == []


def test_processes_that_want_the_same_shards_fetch_each_once(server: FaultyServer, home: Path) -> None:
    code = (
        "from dataset.store.store import Store\n"
        f"print(sum(sample.num_frames for sample in Store({server.url!r}).samples('all')))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=-1, cwd=ROOT) for _ in range(3)]
    assert [process.communicate()[0] for process in running] == [b"14400\n"] * 3
    shards = Store(server.url).manifest.of_kind("windows")
    assert [len(server.ranges(shard.path)) for shard in shards] == [1] * len(shards)
    assert sorted(path.name for path in home.glob("*.tar")) == sorted(f"{shard.sha256}.tar" for shard in shards)
    assert list(home.glob("*.partial")) == []


def test_readers_that_want_a_file_at_the_same_time_wait_for_the_one_that_fetches_it(server: FaultyServer) -> None:
    stores = [Store(server.url) for _ in range(3)]
    (shard,) = stores[0].manifest.of_kind("windows", "val")
    server.always[shard.path] = slow
    with ThreadPoolExecutor(3) as pool:
        found = set(pool.map(lambda store: store.shard_bytes(shard), stores))
    assert found == {(server.folder / shard.path).read_bytes()}
    assert len(server.ranges(shard.path)) == 1


def test_an_abandoned_partial_file_makes_room_and_a_growing_one_stays(tmp_path: Path) -> None:
    origin, cache = Origin(), Cache(tmp_path / "cache", 300)
    for name, seconds in (("growing", 10), ("abandoned", 7200)):
        partial = cache.folder / f"{name}.partial"
        partial.write_bytes(bytes(100))
        os.utime(partial, (time.time() - seconds,) * 2)
    origin.read(cache, "a")
    origin.read(cache, "b")
    assert [partial.name for partial in cache.folder.glob("*.partial")] == ["growing.partial"]
    assert names_in(cache.folder, origin, "ab") == {"a", "b"}
