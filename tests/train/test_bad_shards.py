"""Training and measuring on stores behind a URL, and with shards that are damaged."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from dataset.errors import ConfigError, ShardError
from dataset.store.manifest import Manifest
from tests.dataset.servers import serving
from tests.train.builders import tiny_splits, write_store
from train.cli import register

TINY = "--hidden-sizes 16,16 --batch-size 2 --window-size 10 --epochs 1 --train-character falco --device cpu"
BAD = "windows/train-000001.tar"


def exphil(line: str) -> Result:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, line.split())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three train replays in a good shard, one in a shard whose bytes were flipped."""
    folder = write_store(tmp_path / "store", tiny_splits())
    manifest = Manifest.load(folder)
    other = Manifest.load(write_store(tmp_path / "other", tiny_splits(train=1))).of_kind("windows", "train")[0]
    shards = (*manifest.shards, replace(other, path=BAD))
    replays, frames = manifest.replays + other.samples, manifest.frames + other.frames
    replace(manifest, shards=shards, replays=replays, frames=frames).save(folder)
    data = (tmp_path / "other" / other.path).read_bytes()
    (folder / BAD).write_bytes(data[:700] + bytes([data[700] ^ 1]) + data[701:])
    return folder


def test_a_bad_shard_stops_training_with_its_name(store: Path, tmp_path: Path) -> None:
    result = exphil(f"train --store {store} --name bad --runs {tmp_path} {TINY}")
    assert isinstance(result.exception, ShardError)
    assert str(result.exception).startswith(f"shard {BAD}: ")


def test_tolerated_shards_are_skipped_counted_and_recorded(store: Path, tmp_path: Path) -> None:
    line = f"train --store {store} --name kept --runs {tmp_path} --tolerate-bad-shards 1 --json {TINY}"
    result = exphil(line)
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)["skipped_shards"] == [BAD]
    assert f"1 bad shards were skipped, their replays are missing: {BAD}" in result.stderr
    data = json.loads((tmp_path / "kept" / "config.json").read_text())["data"]
    assert (data["skipped_shards"], data["train"]["replays"]) == ([BAD], 3)
    told = exphil(
        f"eval --policy {tmp_path}/kept --store {store} --split all --allow-seen --tolerate-bad-shards 1 --json"
    )
    report = json.loads(told.stdout)
    assert (report["skipped_shards"], report["replays"]) == ([BAD], 7)
    assert f"bad shard {BAD} was skipped, its replays are missing" in told.stderr


def test_a_shard_that_a_stranger_wrote_stops_training_or_is_tolerated_as_a_damaged_one(
    store: Path, tmp_path: Path
) -> None:
    manifest, data = Manifest.load(store), bytearray((store / BAD).read_bytes())
    data[124:136] = b"-0000000001\0"  # the size of its first member
    (store / BAD).write_bytes(data)
    shards = tuple(
        replace(one, sha256=hashlib.sha256(data).hexdigest()) if one.path == BAD else one for one in manifest.shards
    )
    replace(manifest, shards=shards).save(store)
    refused = exphil(f"train --store {store} --name bad --runs {tmp_path} {TINY}")
    assert isinstance(refused.exception, ShardError)
    assert f"shard {BAD}: window shard: " in str(refused.exception)
    result = exphil(f"train --store {store} --name kept --runs {tmp_path} --tolerate-bad-shards 1 --json {TINY}")
    assert json.loads(result.stdout)["skipped_shards"] == [BAD]


def test_fewer_than_no_shard_cannot_be_tolerated(store: Path, tmp_path: Path) -> None:
    result = exphil(f"train --store {store} --name bad --runs {tmp_path} --tolerate-bad-shards -1 {TINY}")
    assert isinstance(result.exception, ConfigError)


def test_training_over_http_is_training_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPHIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = write_store(tmp_path / "whole", tiny_splits())
    with serving(folder) as server:
        losses = [
            json.loads(exphil(f"train --store {store} --name {name} --runs {tmp_path} --json {TINY}").stdout)["val_nll"]
            for name, store in (("far", server.url), ("near", str(folder)))
        ]
    assert losses[0] == losses[1]
