"""A store's windows in another codec, or with features it left out, made in the cache: so any runs are measured on one store.

In: a local store, a codec and feature groups. Out: the store itself if it has these, else a twin under ``$EXPHIL_CACHE`` or
``~/.cache/exphil`` that shares its frame table and is encoded anew, with all features. The surprise: the twin is kept by what the
store holds, so it is made once, and again when replays are added.
"""

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

from dataset.codecs.registry import get_codec
from dataset.errors import SchemaError
from dataset.features.layout import ALL, ENCODER_DIGEST, missing_groups
from dataset.io.cache import cache_folder
from dataset.store.manifest import MANIFEST_NAME, Manifest, url_of
from dataset.store.reencode import encode_windows
from dataset.store.replay_table import replays_path

FOLDER = "recoded"
PARTIAL = ".partial"


def encoded_for(store: Path | str, codec: str, features: str) -> Path | str:
    """Where the windows of ``store`` lie in ``codec`` with ``features`` or more; a store at a URL is returned as it is.

    Raises:
        SchemaError: the store keeps no frame table to encode from.
    """
    if url_of(store) is not None:
        return store
    source = Path(store)
    manifest = Manifest.load(source)
    missing = missing_groups(manifest.features, features)
    if manifest.codec_digest == get_codec(codec).digest and not missing:
        return store
    if not manifest.of_kind("frames"):
        raise SchemaError(
            f"store {store}: needs its frame table to be read in codec {codec} with features {features}, found window shards in "
            f"{manifest.codec} with {manifest.features} alone; copy the whole store"
        )
    facts = (manifest.digest, manifest.where, ENCODER_DIGEST, get_codec(codec).digest)
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
