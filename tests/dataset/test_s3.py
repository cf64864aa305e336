"""Stores in a bucket of moto's S3 server, and behind a backend that fails now and then."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from dataset.errors import ConfigError, ShardError
from dataset.io.fetch import Patience
from dataset.store.store import Store
from tests.conftest import S3_SECRET
from tests.dataset import servers

HASTE = Patience(attempts=2, backoff_s=0.01)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EXPHIL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "shards"


@pytest.fixture
def bucket(s3: Any, generated_store: Path) -> Any:
    """The generated store in ``s3://melee/store``; the file system to break it with."""
    s3.mkdir("melee")
    s3.put(f"{generated_store}/", "melee/store", recursive=True)
    return s3


def test_a_store_in_a_bucket_hands_out_what_a_local_one_does(bucket: Any, generated_store: Path) -> None:
    local, remote = Store(generated_store), Store("s3://melee/store")
    assert [sample.id for sample in remote.samples("all")] == [sample.id for sample in local.samples("all")]
    assert remote.frames().collect().equals(local.frames().collect())
    assert remote.replays().collect().equals(local.replays().collect())


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flip(data: bytes) -> bytes:
    return data[:-600] + bytes([data[-600] ^ 1]) + data[-599:]


@pytest.mark.parametrize("damage", [_cut, servers.between_members, _flip, lambda data: b""])
def test_a_damaged_object_is_always_found_out_and_named(bucket: Any, damage: Any) -> None:
    store = Store("s3://melee/store", patience=HASTE)
    shard = store.manifest.of_kind("windows", "train")[0].path
    bucket.pipe(f"melee/store/{shard}", damage(bucket.cat(f"melee/store/{shard}")))
    with pytest.raises(ShardError, match=rf"shard {shard} of s3://melee/store: .* found .* in the last of 2 attempts"):
        next(store.samples("train"))


def test_a_missing_object_is_not_asked_for_again(bucket: Any) -> None:
    store = Store("s3://melee/store")
    shard = store.manifest.of_kind("windows", "train")[0].path
    bucket.rm(f"melee/store/{shard}")
    with pytest.raises(ShardError, match=f"shard {shard} of .*, found no such file; check the address"):
        next(store.samples("train"))


def test_a_bucket_that_is_not_there_is_no_store(bucket: Any) -> None:
    with pytest.raises(
        ShardError, match=r"store s3://nobody/store: a store holds a readable manifest\.json, found no such"
    ):
        Store("s3://nobody/store")


def test_missing_credentials_are_told_without_a_search_of_minutes(
    bucket: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    type(bucket).clear_instance_cache()
    with pytest.raises(ShardError, match="found no credentials in the environment"):
        Store("s3://melee/store")
    type(bucket).clear_instance_cache()


def test_secrets_of_the_environment_are_in_no_error(bucket: Any) -> None:
    store = Store("s3://melee/store", patience=HASTE)
    shard = store.manifest.of_kind("windows", "train")[0].path
    bucket.pipe(f"melee/store/{shard}", b"damaged")
    with pytest.raises(ShardError) as caught:
        next(store.samples("train"))
    assert S3_SECRET not in str(caught.value)


class Flaky(MemoryFileSystem):  # type: ignore[misc]
    """Memory whose first answers fail, and which gives no more than a part of what is asked for."""

    protocol = "flaky"
    cachable = False
    failures: ClassVar[list[Exception]] = []
    asked: ClassVar[list[tuple[int | None, int | None]]] = []

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("flaky://", "memory://")))

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        self.asked.append((start, end))
        if self.failures:
            raise self.failures.pop(0)
        data = super().cat_file(path, start=start, end=end)
        return bytes(data if start is None else data[:40_000])


@pytest.fixture
def flaky(generated_store: Path) -> Iterator[type[Flaky]]:
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    Flaky().put(str(generated_store), "/store", recursive=True)
    Flaky.failures.clear()
    Flaky.asked.clear()
    yield Flaky
    Flaky().rm("/store", recursive=True)


def test_a_backend_that_fails_is_asked_again_and_parts_are_put_together(
    flaky: type[Flaky], generated_store: Path
) -> None:
    flaky.failures += [OSError("reset"), RuntimeError("whatever a backend raises")]
    store = Store("flaky://store", patience=Patience(attempts=3, backoff_s=0.01))
    assert [sample.id for sample in store.samples("all")] == [
        sample.id for sample in Store(generated_store).samples("all")
    ]
    size = store.manifest.of_kind("windows", "train")[0].bytes
    assert (0, size) in flaky.asked
    assert (40_000, size) in flaky.asked


def test_a_backend_that_keeps_failing_is_named_with_its_cause(flaky: type[Flaky]) -> None:
    store = Store("flaky://store", patience=HASTE)
    flaky.failures += [OSError("reset")] * 9
    with pytest.raises(ShardError, match="found OSError reset in the last of 2 attempts"):
        next(store.samples("train"))


def test_a_missing_backend_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(ConfigError, match=r"a backend that is not installed .* pip install 'exphil\[s3\]'"):
        Store("s3://melee/store")
