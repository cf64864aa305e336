"""The store that a command works on: named or made of replays, checked, and encoded anew where its windows do not fit.

A twin in another codec, or with features that the store leaves out, is made under ``$EXPHIL_CACHE`` or ``~/.cache/exphil`` and
shares the store's frame table. It is found again by what the store holds, so it is made once, and anew after replays are added.
"""

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

from dataset.codecs.registry import get_codec
from dataset.errors import ConfigError, SchemaError
from dataset.features.layout import ALL, ENCODER_DIGEST, missing_groups
from dataset.io.cache import cache_folder
from dataset.reporting.terminal import command_line
from dataset.store.manifest import MANIFEST_NAME, Manifest, url_of
from dataset.store.reencode import encode_windows
from dataset.store.replay_table import replays_path
from dataset.store.store import Store

FOLDER = "recoded"
PARTIAL = ".partial"


def find_store(store: str | None, replays: Path | None, character: str | None, codec: str) -> str:
    """The store that ``--store`` names, or the cached one that ``--replays`` are ingested into with ``codec``."""
    if (store is None) == (replays is None):
        found = "neither" if store is None else "both"
        raise ConfigError(f"--store or --replays: exactly one says where the data is, found {found}; give one")
    if replays is None:
        return str(store)
    from ingest.jobs.cached_store import cached_store
    from ingest.options import IngestOptions

    return str(cached_store([replays], IngestOptions(character=character, codec=codec)))


def open_store(path: Path | str, codec: str, features: str, tolerate_bad_shards: int = 0) -> Store:
    """A store whose classes are those of ``codec`` and whose windows hold ``features``, or more."""
    store = Store(path, tolerate_bad_shards=tolerate_bad_shards)
    if store.manifest.codec_digest != get_codec(codec).digest:
        raise SchemaError(
            f"store {path}: its window shards must be encoded with codec {codec}, found {store.manifest.codec}; "
            f"run '{command_line('encode', '--store', path, '--codec', codec)}'"
        )
    if missing := missing_groups(store.manifest.features, features):
        raise SchemaError(
            f"store {path}: its window shards must hold the features {features}, found {store.manifest.features}, without "
            f"{', '.join(missing)}; run '{command_line('encode', '--store', path, '--features', 'all')}', or train with "
            f"--features {store.manifest.features}"
        )
    return store


def encoded_for(store: Path | str, codec: str, features: str) -> Path | str:
    """The store itself if its windows are in ``codec`` with ``features`` or more, else a twin that has them; a URL as it is.

    Raises:
        SchemaError: the store keeps no frame table to encode from.
    """
    if url_of(store) is not None:
        return store
    source = Path(store)
    manifest, codec_digest = Manifest.load(source), get_codec(codec).digest
    if manifest.codec_digest == codec_digest and not missing_groups(manifest.features, features):
        return store
    if not manifest.of_kind("frames"):
        raise SchemaError(
            f"store {store}: needs its frame table to be read in codec {codec} with features {features}, found window shards in "
            f"{manifest.codec} with {manifest.features} alone; copy the whole store"
        )
    facts = (manifest.digest, manifest.where, ENCODER_DIGEST, codec_digest)
    folder = cache_folder() / FOLDER / hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
    if not (folder / MANIFEST_NAME).is_file():
        _make(source, manifest, codec, folder)
    return folder


def _make(source: Path, manifest: Manifest, codec: str, folder: Path) -> None:
    """Write the twin beside its place and move it there whole."""
    partial = folder.with_name(folder.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    files = [replays_path(source, manifest), *(source / shard.path for shard in manifest.of_kind("frames"))]
    for file in files:
        _share(file, partial / file.relative_to(source))
    replace(manifest, shards=tuple(manifest.of_kind("frames"))).save(
        partial
    )  # windows listed before would be deleted after
    encode_windows(partial, codec, features=ALL)
    partial.replace(folder)


def _share(file: Path, to: Path) -> None:
    """Link a file, or copy it where the cache lies on another file system."""
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, to)
    except OSError:
        shutil.copy2(file, to)
