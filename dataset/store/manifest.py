"""The manifest, ``manifest.json``: what a store is, how its replays are split, and every file a reader may trust.

It is replaced last and atomically, so that a store is always the one its manifest describes; readers ignore files that it does
not list. Its ``digest`` is that of the replays (id, split and rows) and not of the shards, so it does not depend on their order,
the number of workers or the runs in which they arrived. The settings that a store keeps for life have a digest of their own,
which shows when one was changed by hand. A dataset hub shows the ``README.md`` that is made from the manifest.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import xxhash

from dataset.errors import ConfigError, SchemaError
from dataset.features.layout import ALL
from dataset.io.atomic import replacing
from dataset.reporting.terminal import command_line
from dataset.schema import COLUMNS, SCHEMA_VERSION

MANIFEST_NAME = "manifest.json"
_SETTINGS_KEY = "settings_digest"

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
_VAL_FROM, _TEST_FROM = 0.8, 0.9

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")
"""Two letters at least: ``C:/replays`` is a folder."""

HUB_CARD_NAME = "README.md"
MARK = "<!-- written by exphil; without this line exphil leaves the file alone -->"

_CONFIG = """- config_name: {name}
  data_files:
  - split: data
    path: {path}
"""

_FEATURES = """dataset_info:
- config_name: frames
  features:
"""

_CARD = """---
pretty_name: Frames of Super Smash Bros. Melee
tags:
- slippi
- imitation-learning
configs:
{configs}{features}---

# Frames of {replays:,} Melee games

{frames:,} frames ({hours:,.1f} hours at 60 frames per second) of games of two players, taken from Slippi replays by exphil.

- `frames/*.parquet`: one row per frame, both players side by side (`a_…` on the lower port, `b_…` on the higher). Row *t* holds
  the state after the controller of the same row has acted.
- `replays.parquet`: one row for every file looked at: players, stage, how it ended, quality, split, or why it was left out.
- `windows/*.tar`: the same games encoded for training, split by match; read them with exphil.
- `manifest.json`: SHA-256 of every file. Data digest `{digest}`.

Before publishing, leave out `salt`: whoever has it can guess names and codes from their hashes.

{mark}
"""


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
            SchemaError: there is none, it cannot be read, or its settings were changed by hand.
        """
        path = Path(folder) / MANIFEST_NAME
        if not path.is_file():
            raise SchemaError(
                f"store {folder}: a store holds a {MANIFEST_NAME}, found none; run "
                f"'{command_line('ingest', 'SOURCE', '--store', folder)}'"
            )
        return cls.from_json(path.read_text(encoding="utf-8", errors="replace"), str(folder))

    @classmethod
    def from_json(cls, text: str, store: str) -> "Manifest":
        """The manifest written as ``text``; ``store`` names it in errors."""
        try:
            found = json.loads(text)
            known = {field.name for field in fields(cls)}
            shards = tuple(ShardInfo(**shard) for shard in found["shards"])
            manifest = cls(**{**{key: value for key, value in found.items() if key in known}, "shards": shards})
            settings = found.get(_SETTINGS_KEY)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SchemaError(
                f"store {store}: {MANIFEST_NAME} must be the JSON that ingest writes, found damage ({error!r}); "
                "restore it from a copy or run 'exphil ingest --rebuild'"
            ) from error
        if settings not in (None, manifest.settings_digest):  # older stores have none
            raise SchemaError(
                f"store {store}: rollback, split seed, filters, where and features in {MANIFEST_NAME} must be those its data was "
                f"made with (digest {settings}), found others ({manifest.settings_digest}); restore it from a copy or run "
                "'exphil ingest --rebuild'"
            )
        return manifest

    def to_json(self) -> str:
        """Text that ``from_json`` reads back; equal manifests give equal text."""
        return json.dumps(asdict(self) | {_SETTINGS_KEY: self.settings_digest}, indent=1, sort_keys=True) + "\n"

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
        """Replace the store's manifest, atomically and durably."""
        with replacing(Path(folder) / MANIFEST_NAME) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")

    def of_kind(self, kind: Literal["frames", "windows"], split: str | None = None) -> list[ShardInfo]:
        """Shards of a kind in path order, of one split if given."""
        found = [shard for shard in self.shards if shard.kind == kind and split in (None, shard.split)]
        return sorted(found, key=lambda shard: shard.path)


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
        ConfigError: it carries credentials or a query, which would end up in logs and records.
    """
    found = _SCHEME.match(str(store))
    if found is None:
        return None
    url = f"{found[1].lower()}://{str(store)[found.end() :].rstrip('/')}"
    parts = urlsplit(url)
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


def hub_card(manifest: Manifest) -> str:
    """The text of a store's ``README.md``, which a dataset hub shows as its card.

    Its ``configs:`` block says where the Parquet files are, so that the hub does not try to read the window shards, and its
    ``features:`` which columns they have, because the hub would take those of the first file for all.
    """
    listed, features = [("replays", "replays.parquet")], ""
    if manifest.of_kind("frames"):
        listed.insert(0, ("frames", "frames/*.parquet"))
        types = {"replay": "string", **{column.name: column.dtype for column in COLUMNS}}
        features = _FEATURES + "".join(f"  - {{name: {name}, dtype: {dtype}}}\n" for name, dtype in types.items())
    return _CARD.format(
        configs="".join(_CONFIG.format(name=name, path=path) for name, path in listed),
        features=features,
        replays=manifest.replays,
        frames=manifest.frames,
        hours=manifest.frames / 216_000,
        digest=manifest.digest,
        mark=MARK,
    )


def write_hub_card(folder: Path, manifest: Manifest) -> None:
    """Write the card or bring it up to date, unless somebody else wrote the one that is there: ours end in ``MARK``."""
    path = folder / HUB_CARD_NAME
    found = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    text = hub_card(manifest)
    if found == text or (found is not None and MARK not in found):
        return
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
