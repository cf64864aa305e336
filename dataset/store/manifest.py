"""The manifest, ``manifest.json``: what a store is, how its replays are split, and every file a reader may trust.

It is replaced last and atomically, so that a store is always the one its manifest describes; readers ignore files that it does
not list. Its ``digest`` is that of the replays (id, split and rows) and not of the shards, so it does not depend on their order,
the number of workers or the runs in which they arrived. The settings that a store keeps for life have a digest of their own,
which shows when one was changed by hand, and ``manifest_digest`` is that of the whole text, so that no damaged byte passes.
A manifest may come from a stranger: ``dataset.store.manifest_rules`` says what it may hold.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import xxhash

from dataset.errors import ConfigError, SchemaError
from dataset.features.layout import ALL
from dataset.io.atomic import replacing
from dataset.io.json_object import parse_object
from dataset.reporting.terminal import command_line
from dataset.schema import SCHEMA_VERSION
from dataset.store.manifest_rules import LARGEST, LARGEST_VERSION, check_manifest

MANIFEST_NAME = "manifest.json"
_SETTINGS_KEY, _WHOLE_KEY = "settings_digest", "manifest_digest"

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
_VAL_FROM, _TEST_FROM = 0.8, 0.9

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")
"""Two letters at least: ``C:/replays`` is a folder."""


def split_of(match_id: str | None, content_hash: str, seed: int) -> Split:
    """The split of a replay, by a hash: 80 % train, 10 % val, 10 % test, whatever else the store holds.

    Games of one online set share a match id and stay together.
    """
    share = xxhash.xxh3_64_intdigest(f"{seed}:{match_id or content_hash}".encode()) / 2**64
    if share < _VAL_FROM:
        return "train"
    return "val" if share < _TEST_FROM else "test"


@dataclass(frozen=True, kw_only=True)
class ShardInfo:
    """One shard of the store."""

    path: str
    """Relative to the store, with forward slashes."""
    kind: Literal["frames", "windows"]
    split: str | None
    """Of a window shard; a frame shard holds replays of every split."""
    sha256: str
    bytes: int
    samples: int
    """Replays in the shard."""
    frames: int
    """Rows in the shard."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A store, described."""

    schema_version: int
    encoder_digest: str
    codec: str
    codec_digest: str
    rollback: Literal["last", "first"]
    """Which copy of a re-simulated frame was kept."""
    split_seed: int
    filters: dict[str, Any]
    """Ingest settings that decide which replays are in: they may not change while the store grows."""
    replays: int
    """Replays with status ``ok``."""
    frames: int
    digest: str
    """See ``data_digest``."""
    shards: tuple[ShardInfo, ...]
    kept_replays: int = 0
    """Replays that were not let in and whose rows are in the frame table all the same."""
    kept_frames: int = 0
    features: str = ALL
    """Feature groups that windows hold; ``encoder_digest`` is that of the encoder under this choice."""
    where: str = ""
    """Condition (``dataset.store.replay_table``) that a replay must pass to be in a window shard; empty: all are."""
    left_replays: int = 0
    """Replays with status ``ok`` that do not pass ``where``: only frame shards hold them."""
    left_frames: int = 0
    replays_sha256: str = ""
    """Of the ``replays.parquet`` that belongs to this manifest."""

    @classmethod
    def load(cls, folder: Path | str) -> "Manifest":
        """The manifest of a store.

        Raises:
            SchemaError: there is none, it cannot be read, or it was changed by hand.
        """
        path = Path(folder) / MANIFEST_NAME
        if not path.is_file():
            raise SchemaError(
                f"store {folder}: a store holds a {MANIFEST_NAME}, found none; run "
                f"'{command_line('ingest', 'SOURCE', '--store', folder)}'"
            )
        with path.open("rb") as file:
            return cls.from_json(file.read(LARGEST + 1).decode("utf-8", errors="replace"), str(folder))

    @classmethod
    def from_json(cls, text: str, store: str) -> "Manifest":
        """The manifest written as ``text``; ``store`` names it in errors.

        Raises:
            SchemaError: it is damaged, breaks a rule of ``manifest_rules``, was changed by hand, or a newer exphil wrote it.
        """
        try:
            found = parse_object(text, LARGEST)
            _refuse_newer(found.get("schema_version"), store)
            check_manifest(found)
        except ValueError as error:
            raise SchemaError(
                f"store {store}: {MANIFEST_NAME} must be the JSON that ingest writes, found damage ({error}); "
                "restore it from a copy or run 'exphil ingest --rebuild'"
            ) from error
        settings, whole = (found.pop(key, None) for key in (_SETTINGS_KEY, _WHOLE_KEY))  # older stores have none
        manifest = cls(**found | {"shards": tuple(ShardInfo(**shard) for shard in found["shards"])})
        if settings not in (None, manifest.settings_digest):
            raise SchemaError(
                f"store {store}: rollback, split seed, filters, where and features in {MANIFEST_NAME} must be those its data was "
                f"made with (digest {settings}), found others ({manifest.settings_digest}); restore it from a copy or run "
                "'exphil ingest --rebuild'"
            )
        if whole is not None and whole != _digest_of(text.replace(_entry(whole), _entry(""), 1)):
            raise SchemaError(
                f"store {store}: {MANIFEST_NAME} must be as exphil wrote it, byte for byte ({_WHOLE_KEY} {whole[:12]}…), "
                "found it changed; restore it from a copy or run 'exphil ingest --rebuild'"
            )
        return manifest

    def to_json(self) -> str:
        """Text that ``from_json`` reads back; equal manifests give equal text."""
        keys = asdict(self) | {_SETTINGS_KEY: self.settings_digest, _WHOLE_KEY: ""}
        text = json.dumps(keys, indent=1, sort_keys=True) + "\n"
        return text.replace(_entry(""), _entry(_digest_of(text)), 1)

    @property
    def settings_digest(self) -> str:
        """Of the settings that decide which replays are in, and how; ``features`` count only if they are not all."""
        settings = [self.rollback, self.split_seed, self.filters, self.where]
        settings += [] if self.features == ALL else [self.features]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def data_digest(self, rows: Iterable[Mapping[str, Any]], left: Collection[str] = ()) -> str:
        """Digest of the data: equal exactly when the same replays, split alike, hold the same rows and encode alike.

        Args:
            rows: id, split and rows digest of every replay with status ``ok``, in any order.
            left: ids of those that are in no window.
        """
        head = f"{self.schema_version} {self.encoder_digest} {self.codec_digest} {self.rollback}\n"
        lines = (f"{r['id']} {'left' if r['id'] in left else r['split']} {r['rows_digest']}\n" for r in rows)
        return hashlib.sha256("".join([head, *sorted(lines)]).encode()).hexdigest()[:32]

    def save(self, folder: Path | str) -> None:
        """Replace the store's manifest, atomically and durably.

        Raises:
            SchemaError: nobody could read it; the one that is there stays.
        """
        text = self.to_json()
        self.from_json(text, str(folder))
        with replacing(Path(folder) / MANIFEST_NAME) as temporary:
            temporary.write_bytes(text.encode())

    def of_kind(self, kind: Literal["frames", "windows"], split: str | None = None) -> list[ShardInfo]:
        """Shards of a kind in path order, of one split if given."""
        found = [shard for shard in self.shards if shard.kind == kind and split in (None, shard.split)]
        return sorted(found, key=lambda shard: shard.path)


def _entry(digest: str) -> str:
    """How the digest of a whole manifest stands in its text."""
    return f'"{_WHOLE_KEY}": "{digest}"'


def _digest_of(text: str) -> str:
    """Of a manifest's text, in which the digest itself is empty."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _refuse_newer(version: object, store: str) -> None:
    if type(version) is int and SCHEMA_VERSION < version <= LARGEST_VERSION:
        raise SchemaError(
            f"store {store}: schema version must be {SCHEMA_VERSION}, the one of this exphil, found {version}; a newer exphil "
            "wrote it, so update this one"
        )


def check_schema(folder: Path, manifest: Manifest) -> None:
    """Refuse a frame table of another version, or one that is not there, before a command reads it again or adds to it."""
    if manifest.schema_version != SCHEMA_VERSION:
        raise SchemaError(
            f"store {folder}: the frame table must be of version {SCHEMA_VERSION}, found {manifest.schema_version}; "
            "run 'exphil ingest --rebuild' on its sources"
        )
    if manifest.replays + manifest.kept_replays and not manifest.of_kind("frames"):
        raise SchemaError(
            f"store {folder}: the frame table must be there to be read again or added to, found window shards only; "
            "take the whole store, or ingest its replays into another"
        )


def url_of(store: Path | str) -> str | None:
    """The URL that a user gave as STORE or SOURCE; ``None`` for a folder.

    It is recognized even if ``pathlib`` has taken one of its slashes (``s3:/bucket``).

    Raises:
        ConfigError: it is no address, or carries credentials or a query, which would end up in logs and records.
    """
    found = _SCHEME.match(str(store))
    if found is None:
        return None
    url = f"{found[1].lower()}://{str(store)[found.end() :].rstrip('/')}"
    try:
        parts = urlsplit(url)
    except ValueError as error:  # such as http://[::1
        words = "must be the address of a file or folder, found one that nothing can be at; check it"
        raise ConfigError(f"{found[1].lower()}://…: {words}") from error
    if "@" in parts.netloc or parts.query:
        raise ConfigError(
            f"{parts.scheme}://…: must be the plain address of a file or folder, found a user name or a query in it; "
            "keep credentials in ~/.netrc (https) or the environment (s3)"
        )
    return url


def require_folder(store: Path | str) -> Path:
    """The folder of a store that is written to, or checked file by file.

    Raises:
        ConfigError: it is a URL.
    """
    url = url_of(store)
    if url is not None:
        raise ConfigError(
            f"store {url}: this command works in a folder on this machine, found a URL; "
            "give the folder and copy it there afterwards, or the other way round, e.g. with 'rclone copy'"
        )
    return Path(store)
