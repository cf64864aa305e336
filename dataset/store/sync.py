"""Copies runs and stores to a remote and back: interrupted copies resume, nothing is deleted, and the result is checked.

A store's shards are copied first and its manifest last, so that a reader of the other side sees either the old store or the new
one. A side that holds replays which the other lacks is never overwritten. The salt behind hashed names is not copied.
"""

from contextlib import nullcontext
from pathlib import Path

from dataset.errors import ConfigError, ShardError, require_known
from dataset.io import rclone
from dataset.io.atomic import sha256_of, writing
from dataset.io.rclone import Progress
from dataset.io.remote_folder import Copied, RemoteFolder
from dataset.store.location import remove_temporary
from dataset.store.manifest import MANIFEST_NAME, Manifest

_NOT_COPIED = ("--exclude", "*.tmp", "--exclude", "*.partial")
_SMALL_FILES = ("README.md", "replays.previous.parquet", "replays.parquet")
"""Files that belong to a manifest; those that exist are copied just before it."""


def sync_runs(
    direction: str, runs: Path, remote: str, *, is_dry: bool = False, on_progress: Progress | None = None
) -> Copied:
    """Copy runs to ``remote/runs`` or back; a file that is newer on the other side is left alone.

    Args:
        direction: ``up`` or ``down``.
        runs: the folder that holds the run folders.
        remote: a remote of rclone's, or a folder.
        is_dry: only count what would be copied.
        on_progress: called with a line that says how far the copy is.

    Raises:
        ConfigError: there is nothing to copy.
        ExphilError: the copy failed, or differs.
    """
    away = f"{rclone.require_remote(remote)}/runs"
    if _is_up(direction) and not runs.is_dir():
        raise ConfigError(f"runs {runs}: nothing to sync up, found no such folder; train first, or give another folder")
    ends = (str(runs), away) if _is_up(direction) else (away, str(runs))
    return rclone.copy(*ends, options=("--update", *_NOT_COPIED), is_dry=is_dry, on_progress=on_progress)


def sync_store(
    direction: str, store: Path, remote: str, *, is_dry: bool = False, on_progress: Progress | None = None
) -> Copied:
    """Copy a store to ``remote/NAME``, NAME being its folder's, or from there.

    Raises:
        ConfigError: the destination holds replays that the source lacks; the source is no store.
        ShardError: a shard that came down is not what the manifest lists.
        ExphilError: the copy failed, or differs.
    """
    away = rclone.RcloneFolder(f"{rclone.require_remote(remote)}/{store.resolve().name}", on_progress)
    return store_up(store, away, is_dry=is_dry) if _is_up(direction) else store_down(store, away, is_dry=is_dry)


def store_up(store: Path, away: RemoteFolder, *, is_dry: bool = False) -> Copied:
    """Copy a store to the other side; raises as ``sync_store`` does."""
    Manifest.load(store)  # before a lock makes the folder
    with writing(store):
        if not is_dry:
            remove_temporary(store)
        here = Manifest.load(store)
        _require_forward(here, _manifest(away), str(store), away.name)
        shards = [shard.path for shard in here.shards]
        small = [name for name in _SMALL_FILES if (store / name).is_file()]
        done = Copied()
        for files in (shards, small, [MANIFEST_NAME]):
            done += away.send(store, files, is_dry=is_dry)
        if not is_dry:
            away.check(store, [*shards, *small, MANIFEST_NAME])
        return done


def store_down(store: Path, away: RemoteFolder, *, is_dry: bool = False) -> Copied:
    """Copy a store from the other side; raises as ``sync_store`` does."""
    there = _manifest(away)
    if there is None:
        raise ConfigError(
            f"remote {away.name}: a store holds a {MANIFEST_NAME}, found none; name the folder that holds the store's"
        )
    with nullcontext() if is_dry else writing(store):
        if not is_dry:
            remove_temporary(store)
        here = Manifest.load(store) if (store / MANIFEST_NAME).is_file() else None
        _require_forward(there, here, away.name, str(store))
        done = away.fetch(store, [shard.path for shard in there.shards], is_dry=is_dry)
        if not is_dry:
            _require_sound(store, there)
        for files in (_SMALL_FILES, [MANIFEST_NAME]):
            done += away.fetch(store, files, is_dry=is_dry)
        return done


def _manifest(away: RemoteFolder) -> Manifest | None:
    text = away.read_text(MANIFEST_NAME)
    return None if text is None else Manifest.from_json(text, away.name)


def _require_forward(source: Manifest, destination: Manifest | None, name: str, other: str) -> None:
    """Refuse to copy a store over one that holds frames which it lacks: frame shards are only ever added."""
    if destination is None:
        return
    held = {(shard.path, shard.samples, shard.frames) for shard in source.of_kind("frames")}
    lost = [one.path for one in destination.of_kind("frames") if (one.path, one.samples, one.frames) not in held]
    if lost:
        raise ConfigError(
            f"{other}: a sync may not lose replays, found {len(lost)} frame shards there that {name} lacks, from {lost[0]} on; "
            "sync the other way first, or give another --remote folder"
        )


def _require_sound(store: Path, manifest: Manifest) -> None:
    for shard in manifest.shards:
        path = store / shard.path
        found = sha256_of(path) if path.is_file() else "no such file"
        if found != shard.sha256:
            raise ShardError(
                f"shard {shard.path}: must have the SHA-256 that the remote's manifest lists ({shard.sha256[:12]}…), found "
                f"{found[:12]}; sync it up again from where the store was made"
            )


def _is_up(direction: str) -> bool:
    return require_known("direction", direction, ("up", "down")) == "up"
