"""Where a store's files lie: a folder here, or a URL whose files come through the cache.

In: what a user gave as STORE. Out: ``Files``, the little that a store asks of them. The surprise: a path that went through
``pathlib`` has lost a slash of its URL (``s3:/bucket``), and is still told from a folder.
"""

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from dataset.errors import ConfigError, SchemaError, ShardError
from dataset.io.atomic import sha256_of
from dataset.io.cache import Cache, Download, cache_folder, cache_limit_bytes
from dataset.io.fetch import Patience, Wanted, fetch, fetch_parsed
from dataset.store.manifest import MANIFEST_NAME, Manifest, ShardInfo

REPLAYS_NAME = "replays.parquet"
PREVIOUS_REPLAYS_NAME = "replays.previous.parquet"
"""The table of replays before the latest commit; the true one if a kill fell between that table and its manifest."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")
"""Two letters at least: ``C:/replays`` is a folder."""


class Files(Protocol):
    """The files of one store."""

    path: Path | str
    """As its errors name it."""
    ahead: int
    """Shards worth reading before they are asked for."""

    def manifest(self) -> Manifest:
        """The store's manifest."""

    def replays(self, manifest: Manifest) -> Path:
        """Where the table of replays lies that ``manifest`` belongs to."""

    def read(self, shard: ShardInfo) -> bytes:
        """The bytes of a shard, those the manifest lists.

        Raises:
            ShardError: they are others, or none.
        """

    def paths(self, shards: Sequence[ShardInfo]) -> list[Path]:
        """Files to read shards from; for a URL fetched, verified and kept while this process lives."""


def open_files(store: Path | str, patience: Patience | None = None) -> Files:
    """The files of a store.

    Args:
        store: a folder, or the URL of one.
        patience: how long transfers are tried.

    Raises:
        ConfigError: no backend reads the URL.
    """
    url = url_of(store)
    if url is None:
        return Folder(Path(store))
    if url.startswith("file://"):
        return Folder(Path("/" + url.removeprefix("file://")))
    return Remote(url, patience or Patience())


def url_of(store: Path | str) -> str | None:
    """The URL that a user gave as STORE or SOURCE, with the slashes that ``pathlib`` took; ``None`` for a folder.

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


class Folder:
    """A store on this disk."""

    ahead = 0

    def __init__(self, path: Path) -> None:
        self.path: Path | str = path
        self._folder = path

    def manifest(self) -> Manifest:
        """See ``Files``."""
        return Manifest.load(self._folder)

    def replays(self, manifest: Manifest) -> Path:
        """See ``Files``."""
        return replays_path(self._folder, manifest)

    def read(self, shard: ShardInfo) -> bytes:
        """See ``Files``."""
        data = self.paths([shard])[0].read_bytes()
        if not wanted(shard).is_whole(data):
            raise ShardError(
                f"shard {shard.path}: the manifest lists {shard.bytes} bytes with SHA-256 {shard.sha256[:12]}…, found "
                f"{len(data)} bytes that differ; copy the shard again or run 'exphil ingest --rebuild'"
            )
        return data

    def paths(self, shards: Sequence[ShardInfo]) -> list[Path]:
        """See ``Files``; a query of a local store does not wait for its hashes: 'exphil verify' does."""
        for shard in shards:
            if not (self._folder / shard.path).is_file():
                raise ShardError(
                    f"shard {shard.path}: must be in store {self._folder}, whose manifest lists it, found no such file; "
                    "copy it again or run 'exphil ingest --rebuild'"
                )
        return [self._folder / shard.path for shard in shards]


class Remote:
    """A store behind a URL, through the cache."""

    ahead = 2

    def __init__(self, url: str, patience: Patience) -> None:
        from dataset.io.transport import open_source  # fsspec and ssl take a while to import

        self.path: Path | str = url
        self._patience = patience
        self._source = open_source(url, patience.stall_s)
        self._cache = Cache(cache_folder() / "shards", cache_limit_bytes())

    def manifest(self) -> Manifest:
        """See ``Files``."""

        def parse(data: bytes) -> Manifest:
            return Manifest.from_json(data.decode("utf-8", errors="replace"), str(self.path))

        return fetch_parsed(self._source, MANIFEST_NAME, parse, str(self.path), self._patience)

    def replays(self, manifest: Manifest) -> Path:
        """See ``Files``."""
        newest, previous = (
            Wanted(path=name, sha256=manifest.replays_sha256, size=None)
            for name in (REPLAYS_NAME, PREVIOUS_REPLAYS_NAME)
        )
        try:
            return self._cache.paths([newest], self._download)[0]
        except ShardError as error:
            with suppress(ShardError):
                return self._cache.paths([previous], self._download)[0]
            raise error

    def read(self, shard: ShardInfo) -> bytes:
        """See ``Files``."""
        return self._cache.read(wanted(shard), self._download(wanted(shard)))

    def paths(self, shards: Sequence[ShardInfo]) -> list[Path]:
        """See ``Files``."""
        return self._cache.paths([wanted(shard) for shard in shards], self._download)

    def _download(self, one: Wanted) -> Download:
        return lambda target: fetch(self._source, one, target, str(self.path), self._patience)


def wanted(shard: ShardInfo) -> Wanted:
    """What the manifest says of a shard's bytes."""
    return Wanted(path=shard.path, sha256=shard.sha256, size=shard.bytes)


def replays_path(folder: Path, manifest: Manifest) -> Path:
    """Where the table of replays lies that ``manifest`` belongs to."""
    for name in (REPLAYS_NAME, PREVIOUS_REPLAYS_NAME):
        path = folder / name
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == manifest.replays_sha256:
            return path
    raise SchemaError(
        f"store {folder}: {REPLAYS_NAME} must be the file its manifest lists (SHA-256 {manifest.replays_sha256[:12]}…), "
        "found another or none; copy the store again or run 'exphil ingest --rebuild'"
    )


def frame_shard_path(folder: Path, shard: ShardInfo) -> Path:
    """Where a frame shard lies, hashed before anything is made of it."""
    path = folder / shard.path
    if not path.is_file() or sha256_of(path) != shard.sha256:
        raise SchemaError(
            f"shard {shard.path}: must be the file the manifest lists (SHA-256 {shard.sha256[:12]}…), found another or "
            "none; copy the shard again or run 'exphil ingest --rebuild'"
        )
    return path
