"""A store open for writing: locked, checked against the options, and committed as results of jobs come in.

Each commit writes the whole table of replays anew, so it waits until enough of that is new. A kill loses at most this share of
the store, and the next run does it again.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataset.codecs.registry import get_codec
from dataset.errors import ConfigError, ExphilError, SchemaError
from dataset.features.layout import ENCODER_DIGEST
from dataset.io.atomic import LOCK_NAME, TEMPORARY_SUFFIX, writing
from dataset.melee.ids import character_from_name
from dataset.reporting.terminal import command_line, option_name
from dataset.schema import SCHEMA_VERSION
from dataset.store.frame_table import next_number
from dataset.store.hub_card import HUB_CARD_NAME, write_hub_card
from dataset.store.location import open_files, remove_leftovers, shard_files
from dataset.store.manifest import MANIFEST_NAME, Manifest, ShardInfo, check_schema
from dataset.store.replay_table import (
    PREVIOUS_REPLAYS_NAME,
    REPLAY_SCHEMA,
    REPLAYS_NAME,
    ReplayRow,
    all_rows,
    left_out,
    passing,
    replays_path,
    save_replays,
    scan_replays,
)
from dataset.store.store import Store
from ingest.jobs.job import JobResult
from ingest.jobs.same_game import Games, rank, row_key, without_samples
from ingest.options import DEFAULT_CODEC, IngestOptions
from ingest.replay.judge import SALT_NAME, Names, store_salt

_Place = tuple[str | None, str | None]
_State = tuple[int, int]

COMMIT_SHARE = 1 / 16
"""The share of the table's rows that are new when it is written. So all commits of a store write each row at most 16 times on
average, besides the last commit of every run."""

PASSING = ("unreadable_file", "unreadable_folder", "changed")
"""Reasons that concern the system and not a replay: each run tries again and reports them, and no row is kept."""

_OWN = {"frames", "windows", REPLAYS_NAME, PREVIOUS_REPLAYS_NAME, LOCK_NAME, SALT_NAME, HUB_CARD_NAME}
"""What a store may hold before its first manifest."""


@contextmanager
def open_store(folder: Path, options: IngestOptions, url: str | None = None) -> Iterator["OpenStore"]:
    """The store in ``folder``, created if need be, locked while the context lasts.

    Its shards may lie behind a ``url`` instead (``ingest.jobs.remote_store``).

    Raises:
        BusyError: another process writes to it.
        ConfigError: the options contradict it, or the folder holds something else.
        SchemaError: it was written by another version of exphil.
        ExphilError: the disk is full, or the folder may not be written to.
    """
    try:
        _require_no_foreign_files(folder)
        dry = OpenStore(folder, options, url) if options.dry_run else None
    except OSError as error:
        raise ExphilError(
            f"store {folder}: needs permission to be read, found: {error.strerror}; mend that, or give another --store"
        ) from error
    if dry is not None:
        yield dry
        return
    with writing(folder):
        opened = OpenStore(folder, options, url)
        opened.clean()
        yield opened


def _require_no_foreign_files(folder: Path) -> None:
    """Refuse a folder that holds anything but what an ingest, perhaps a killed one, leaves behind."""
    if folder.is_dir() and not (folder / MANIFEST_NAME).exists():
        foreign = sorted(
            path.name for path in folder.iterdir() if path.name not in _OWN and path.suffix != TEMPORARY_SUFFIX
        )
        if foreign:
            raise ConfigError(
                f"store {folder}: must be a store, an empty folder or a new one, found {foreign[0]} in it; "
                f"give a folder of its own, e.g. --store {folder / 'store'}"
            )
    elif folder.exists() and not folder.is_dir():
        raise ConfigError(f"store {folder}: must be a folder, found a file; give another --store")


class OpenStore:
    """A store open for writing; ``open_store`` makes it."""

    def __init__(self, folder: Path, options: IngestOptions, url: str | None = None) -> None:
        self.folder, self._url = folder, url
        self._is_dry = options.dry_run
        self.names = Names(_salt(folder, options.dry_run), options.keep_names)
        self._on_disk = _manifest_on_disk(folder, options.rebuild)
        self.rows: list[ReplayRow] = []
        self.manifest = new_manifest(options)
        if self._on_disk is not None and not options.rebuild:
            self.manifest = Store(folder).manifest
            check_schema(folder, self.manifest)
            _check_settings(self.manifest, options, folder)
            rows = all_rows(scan_replays(replays_path(folder, self.manifest)))
            self.rows = [row for row in rows if row["reason"] not in PASSING]
        self._by_place: dict[_Place, list[ReplayRow]] = {}
        for row in self.rows:
            self._by_place.setdefault(_place(row), []).append(row)
        self.games = Games(row for row in self.rows if row["status"] == "ok")
        self._gone: dict[str, ReplayRow] = {}  # rows as they were before a better recording came
        self._first_free = 0
        self._outdated: set[int] = set()
        self._shards: tuple[ShardInfo, ...] = ()
        self._num_taken = 0
        self._is_begun = self._on_disk is not None and not options.rebuild

    @property
    def next_index(self) -> int:
        """The number of the next shards: above all that lie in the folder, or are listed and lie behind a URL."""
        listed = [] if self._on_disk is None else [shard.path for shard in self._on_disk.shards]
        return next_number((*shard_files(self.folder), *listed))

    def reserve(self, count: int) -> None:
        """Set the next ``count`` numbers aside for the shards of a run's jobs."""
        self._first_free = self.next_index + count

    def take(self, result: JobResult) -> list[ReplayRow]:
        """Take a job's rows and shards, which are committed once there are enough; returns the rows that are new."""
        momentary = [row for row in result.rows if row.get("reason") in PASSING]
        lasting = [row for row in result.rows if row.get("reason") not in PASSING]
        fresh = self._merge(lasting)
        self._shards += result.shards
        self._num_taken += len(lasting)
        if self._num_taken and self._num_taken >= COMMIT_SHARE * len(self.rows):
            self.commit()
        return fresh + momentary

    def commit(self) -> None:
        """Write the table of replays and the manifest with all that was taken."""
        self.rows = [row for row in self.rows if id(row) not in self._outdated]
        ok = [row for row in self.rows if row["status"] == "ok"]
        kept = [row for row in self.rows if row["status"] != "ok" and row["shard"] is not None]
        left = left_out(ok, self.manifest.where)
        shards = self._without_gone((*self.manifest.shards, *self._shards))
        self.manifest = replace(
            self.manifest,
            kept_replays=len(kept),
            kept_frames=sum(row["frames"] for row in kept),
            replays=len(ok),
            frames=sum(row["frames"] for row in ok),
            left_replays=len(left),
            left_frames=sum(left.values()),
            shards=tuple(sorted(shards, key=lambda shard: shard.path)),
        )
        self.manifest = replace(self.manifest, digest=self.manifest.data_digest(ok, left))
        self._outdated, self._gone, self._shards, self._num_taken, self._is_begun = set(), {}, (), 0, True
        if not self._is_dry:
            self.manifest = self._on_disk = save_replays(self.folder, self.rows, self.manifest, self._on_disk)

    def _without_gone(self, shards: tuple[ShardInfo, ...]) -> Sequence[ShardInfo]:
        """The shards without the window samples of recordings that a better one of their game has replaced."""
        gone = {id_: row for id_, row in self._gone.items() if passing([row], self.manifest.where)[0]}
        if self._is_dry or not gone:
            return shards
        return without_samples(self.folder, shards, gone, max(self._first_free, self.next_index), self._read)

    def _read(self, shard: ShardInfo) -> bytes:
        is_here = self._url is None or (self.folder / shard.path).is_file()
        return open_files(self.folder if is_here else str(self._url)).read(shard)

    def finish(self) -> None:
        """Commit what is left and delete the shards that a rebuild replaced."""
        if self._num_taken or not self._is_begun:
            self.commit()
        self.clean()
        if not self._is_dry:
            write_hub_card(self.folder, self.manifest)

    def clean(self) -> None:
        """Delete what a killed run or a rebuild left: files in the store's folders that no manifest lists."""
        if not self._is_dry:
            remove_leftovers(self.folder, self._on_disk)

    def _merge(self, rows: list[ReplayRow]) -> list[ReplayRow]:
        """Add rows and return them, but for those of touched files whose content did not change: these update the old row."""
        fresh: list[ReplayRow] = []
        states: dict[_Place, _State] = {}
        for found in rows:
            row = {name: found.get(name) for name in REPLAY_SCHEMA.names}
            states |= {_place(row): _state(row)} | ({(row["source"], None): _state(row)} if row["member"] else {})
            old = self._by_place.get(_place(row), [])
            same = next((other for other in old if other["id"] is not None and other["id"] == row["id"]), None)
            if same is None:
                fresh.append(row)
            else:
                same.update({key: row[key] for key in ("size", "mtime", "archive_size", "crc")})
        for place, state in states.items():  # rows about a file, or its archive, as it was before are outdated
            old = self._by_place.get(place, [])
            void = [row for row in old if row["status"] != "ok" and row["shard"] is None and _state(row) != state]
            self._outdated |= set(map(id, void))
            self._by_place[place] = [row for row in old if id(row) not in self._outdated]
        for row in fresh:
            self._by_place.setdefault(_place(row), []).append(row)
            self._compete(row)
        self.rows += fresh
        return fresh

    def _compete(self, row: ReplayRow) -> None:
        """Keep a new recording instead of a worse one of its game from an earlier run, whose frames stay where they are."""
        key = row_key(row) if row["status"] == "ok" else None
        if key is None:
            return
        worse = self.games.rival(key)
        if worse is not None and rank(worse) < rank(row):
            worse = row
        else:
            self.games.keep(key, row)
        if worse is not None:
            self._gone[worse["id"]] = dict(worse)
            worse |= {"status": "duplicate", "reason": "same_game", "split": None}


def _place(row: ReplayRow) -> _Place:
    return row["source"], row["member"]


def _state(row: ReplayRow) -> _State:
    """What a touch changes, of the file or of the archive in which it lies."""
    return row["mtime"], row["size"] if row["archive_size"] is None else row["archive_size"]


def _salt(folder: Path, is_dry: bool) -> bytes:
    if is_dry and not (folder / SALT_NAME).exists():
        return secrets.token_bytes(32)
    return store_salt(folder)


def _manifest_on_disk(folder: Path, is_rebuild: bool) -> Manifest | None:
    if not (folder / MANIFEST_NAME).exists():
        return None
    try:
        return Manifest.load(folder)
    except SchemaError:
        if is_rebuild:  # whatever it was, it is replaced
            return None
        raise


def new_manifest(options: IngestOptions) -> Manifest:
    """The manifest of a store without replays."""
    codec = get_codec(options.codec or DEFAULT_CODEC)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        encoder_digest=ENCODER_DIGEST,
        codec=codec.name,
        codec_digest=codec.digest,
        rollback=options.rollback,
        split_seed=options.split_seed,
        filters=_filters(options),
        replays=0,
        frames=0,
        digest="",
        shards=(),
    )
    return replace(manifest, digest=manifest.data_digest(()))


def _filters(options: IngestOptions) -> dict[str, Any]:
    """The filters as the manifest holds them."""
    kept = {"keep_all": True} if options.keep_all else {}
    return kept | {
        "character": None if options.character is None else character_from_name(options.character).name,
        "include_cpu": options.include_cpu,
        "min_frames": options.min_frames,
        "keep_names": options.keep_names,
    }


def _check_settings(manifest: Manifest, options: IngestOptions, folder: Path) -> None:
    if options.codec not in (None, manifest.codec):
        raise ConfigError(
            f"store {folder}: its windows are of codec {manifest.codec!r}, found {options.codec!r}; leave --codec out, or run "
            f"'{command_line('encode', '--store', folder, '--codec', options.codec)}' first"
        )
    bound = {"rollback": manifest.rollback, "split_seed": manifest.split_seed, **manifest.filters}
    wanted = {"rollback": options.rollback, "split_seed": options.split_seed, **_filters(options)}
    for name in bound | wanted:
        value = wanted.get(name, False)
        if bound.get(name, False) != value:
            raise ConfigError(
                f"store {folder}: was made with {_spelled(name, bound.get(name))} and keeps that for life, found "
                f"{_spelled(name, value)}; give what it has, another --store, or --rebuild to start it over"
            )


def _spelled(name: str, value: object) -> str:
    """A setting as a user gives it."""
    flag = option_name(name)
    return f"no {flag}" if value is None or value is False else flag if value is True else f"{flag} {value}"
