"""Where a store's files lie: in a folder of this machine (``Folder``), or behind a URL and through the cache (``Remote``)."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dataset.errors import SchemaError, ShardError
from dataset.io.atomic import SHARD_FOLDERS, TEMPORARY_SUFFIX, sha256_of
from dataset.io.cache import Cache, Download, cache_folder, cache_limit_bytes
from dataset.io.fetch import Patience, Wanted, fetch, fetch_parsed
from dataset.store.frame_table import require_frame_shard
from dataset.store.manifest import MANIFEST_NAME, Manifest, ShardInfo, url_of
from dataset.store.manifest_rules import LARGEST, SHARD_NAME
from dataset.store.replay_table import PREVIOUS_REPLAYS_NAME, REPLAYS_NAME, replays_data


def open_files(store: Path | str, patience: Patience | None = None) -> "Folder | Remote":
    """The files of a store.

    Args:
        store: a folder, or the URL of one.
        patience: how long a transfer is tried again.

    Raises:
        ConfigError: no backend reads the URL.
    """
    url = url_of(store)
    if url is None:
        return Folder(Path(store))
    if url.startswith("file://"):
        return Folder(Path("/" + url.removeprefix("file://")))
    return Remote(url, patience or Patience())


class Folder:
    """A store on this disk."""

    ahead = 0
    """Shards worth reading before they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path: Path | str = path
        """As errors name it."""
        self._folder = path

    def manifest(self) -> Manifest:
        """The store's manifest."""
        return Manifest.load(self._folder)

    def replays(self, manifest: Manifest) -> bytes:
        """The table of replays that ``manifest`` belongs to, as a file's bytes: a query may outlive the file."""
        return replays_data(self._folder, manifest)

    def read(self, shard: ShardInfo) -> bytes:
        """The bytes of a shard.

        Raises:
            ShardError: they are not those that the manifest lists.
        """
        data = self.paths([shard])[0].read_bytes()
        if not wanted(shard).is_whole(data):
            raise ShardError(
                f"shard {shard.path}: the manifest lists {shard.bytes} bytes with SHA-256 {shard.sha256[:12]}…, found "
                f"{len(data)} bytes that differ; copy the shard again or run 'exphil ingest --rebuild'"
            )
        return data

    def paths(self, shards: Sequence[ShardInfo]) -> list[Path]:
        """Files to read shards from; they are not hashed, because a query would wait for that ('exphil verify' does it).

        Raises:
            ShardError: one is not there.
        """
        for shard in shards:
            if not (self._folder / shard.path).is_file():
                raise ShardError(
                    f"shard {shard.path}: must be in store {self._folder}, whose manifest lists it, found no such file; "
                    "copy it again or run 'exphil ingest --rebuild'"
                )
        return [self._folder / shard.path for shard in shards]


class Remote:
    """A store behind a URL, through the cache; its methods are those of ``Folder``."""

    ahead = 2

    def __init__(self, url: str, patience: Patience) -> None:
        from dataset.io.transport import open_source  # fsspec and ssl take a while to import

        self.path: Path | str = url
        self._patience = patience
        self._source = open_source(url, patience.stall_s)
        self._cache = Cache(cache_folder() / "shards", cache_limit_bytes())

    def manifest(self) -> Manifest:
        """The store's manifest."""

        def parse(data: bytes) -> Manifest:
            return Manifest.from_json(data.decode("utf-8", errors="replace"), str(self.path))

        return fetch_parsed(self._source, MANIFEST_NAME, parse, str(self.path), self._patience, LARGEST)

    def replays(self, manifest: Manifest) -> Path:
        """A copy of the table of replays that ``manifest`` belongs to."""
        if not manifest.replays_sha256:
            raise SchemaError(
                f"store {self.path}: {MANIFEST_NAME} must list the SHA-256 of {REPLAYS_NAME}, found none; run 'exphil ingest "
                "--rebuild' where the store was made"
            )
        newest, previous = (
            Wanted(path=name, sha256=manifest.replays_sha256, size=None, largest=self._cache.limit_bytes)
            for name in (REPLAYS_NAME, PREVIOUS_REPLAYS_NAME)
        )
        try:
            return self._cache.paths([newest], self._download)[0]
        except ShardError as error:
            with suppress(ShardError):
                return self._cache.paths([previous], self._download)[0]
            raise error

    def read(self, shard: ShardInfo) -> bytes:
        """The bytes of a shard, those the manifest lists."""
        return self._cache.read(wanted(shard), self._download(wanted(shard)))

    def paths(self, shards: Sequence[ShardInfo]) -> list[Path]:
        """Files to read shards from: fetched, verified and kept while this process lives."""
        return self._cache.paths([wanted(shard) for shard in shards], self._download)

    def _download(self, one: Wanted) -> Download:
        return lambda target: fetch(self._source, one, target, str(self.path), self._patience)


def wanted(shard: ShardInfo) -> Wanted:
    """What the manifest says of a shard's bytes."""
    return Wanted(path=shard.path, sha256=shard.sha256, size=shard.bytes)


def frame_shard_path(folder: Path, shard: ShardInfo) -> Path:
    """Where a frame shard lies, hashed before anything is derived from it."""
    path = folder / shard.path
    if not path.is_file() or sha256_of(path) != shard.sha256:
        raise SchemaError(
            f"shard {shard.path}: must be the file the manifest lists (SHA-256 {shard.sha256[:12]}…), found another or "
            "none; copy the shard again or run 'exphil ingest --rebuild'"
        )
    return require_frame_shard(path, shard)


def shard_files(folder: Path) -> list[str]:
    """What lies in a store's folders of shards, as paths below the store."""
    return [f"{kind}/{path.name}" for kind in SHARD_FOLDERS for path in (folder / kind).glob("*")]


def remove_leftovers(folder: Path, manifest: Manifest | None) -> None:
    """Delete what a killed run left, or a rebuild replaced: shards that no manifest lists, and files that are not whole.

    Only whoever holds the store's lock may do this.
    """
    listed = set() if manifest is None else {shard.path for shard in manifest.shards}
    shards = [folder / name for name in shard_files(folder) if name not in listed and SHARD_NAME.fullmatch(name)]
    for path in shards:
        _unlink(path)
    remove_temporary(folder)


def remove_temporary(folder: Path) -> None:
    """Delete the files of a store that a killed run did not finish; only whoever holds the store's lock may do this."""
    for place in ("", *SHARD_FOLDERS):
        for path in (folder / place).glob(f"*{TEMPORARY_SUFFIX}"):
            _unlink(path)


def _unlink(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink()
