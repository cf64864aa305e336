"""Writes a store behind a URL through a folder of this machine: only new shards are uploaded, and the manifest last.

The folder, in ``$EXPHIL_CACHE/staged``, holds the store's manifest and table of replays but none of its shards. The upload begins
when the run has ended, and the folder is kept, so that the next run resumes what a killed one left there. The salt behind hashed
names is kept there too and never uploaded, so let one machine write to a store.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from dataset.errors import ConfigError, ExphilError
from dataset.io.atomic import replacing, writing
from dataset.io.cache import cache_folder
from dataset.io.fetch import Patience
from dataset.store.hub_card import HUB_CARD_NAME
from dataset.store.location import Remote
from dataset.store.manifest import MANIFEST_NAME, Manifest
from dataset.store.replay_table import PREVIOUS_REPLAYS_NAME, REPLAYS_NAME

T = TypeVar("T")

BASE_NAME = "base"
"""SHA-256 of the manifest that the URL held when the folder was last made like it; empty: it held none."""


@contextmanager
def staged(url: str, *, is_dry: bool) -> Iterator[Path]:
    """A folder to ingest into instead of the store at ``url``; what the context adds to it is uploaded at its end.

    Raises:
        BusyError: another process of this machine writes to it.
        ConfigError: the URL cannot be written to, or another machine wrote to it meanwhile.
        ExphilError: a transfer failed; what was ingested is kept for the next run.
    """
    bucket = _Bucket(url)
    place = cache_folder() / "staged" / hashlib.sha256(url.encode()).hexdigest()[:16]
    with writing(place):
        folder = place / "store"
        folder.mkdir(exist_ok=True)
        there = bucket.read(MANIFEST_NAME)
        if not _is_current(folder, place / BASE_NAME, there):
            _copy_from(folder, place / BASE_NAME, url, there)
        yield folder
        if not is_dry:
            _send(folder, bucket, there)
            _record(place / BASE_NAME, (folder / MANIFEST_NAME).read_bytes())


def _is_current(folder: Path, base: Path, there: bytes | None) -> bool:
    """Whether the folder holds the store at the URL, perhaps with what a run added and did not upload."""
    if base.is_file() and base.read_text() == _digest(there):
        return True
    manifest = folder / MANIFEST_NAME
    is_sent = manifest.is_file() and manifest.read_bytes() == there  # but the run died before it recorded that
    if is_sent:
        _record(base, there)
    return is_sent


def _copy_from(folder: Path, base: Path, url: str, there: bytes | None) -> None:
    """Make the folder like the store at the URL, but for the shards."""
    base.unlink(missing_ok=True)
    for name in (MANIFEST_NAME, REPLAYS_NAME, PREVIOUS_REPLAYS_NAME):
        (folder / name).unlink(missing_ok=True)
    if there is not None:
        manifest = Manifest.from_json(there.decode("utf-8", errors="replace"), url)
        with replacing(folder / REPLAYS_NAME) as temporary:
            shutil.copyfile(Remote(url, Patience()).replays(manifest), temporary)
        with replacing(folder / MANIFEST_NAME) as temporary:
            temporary.write_bytes(there)
    _record(base, there)


def _record(base: Path, manifest: bytes | None) -> None:
    with replacing(base) as temporary:
        temporary.write_text(_digest(manifest))


def _digest(manifest: bytes | None) -> str:
    return "" if manifest is None else hashlib.sha256(manifest).hexdigest()


def _send(folder: Path, bucket: "_Bucket", there: bytes | None) -> None:
    """Upload what the folder holds, shards before table before manifest, then delete what is not needed any more."""
    text = (folder / MANIFEST_NAME).read_bytes()
    if text == there:
        return
    _require_unchanged(bucket, there)  # or shards of the same names would be overwritten
    manifest = Manifest.load(folder)
    old = {} if there is None else {one.path: one for one in Manifest.from_json(there.decode(), bucket.url).shards}
    for shard in manifest.shards:
        if old.get(shard.path) != shard:
            bucket.send(folder / shard.path, shard.path)
    _require_unchanged(bucket, there)
    _keep_previous(bucket, there)
    for name in (HUB_CARD_NAME, REPLAYS_NAME, MANIFEST_NAME):
        bucket.send(folder / name, name)
    for path in old.keys() - {shard.path for shard in manifest.shards}:
        bucket.remove(path)
    for shard in manifest.shards:
        (folder / shard.path).unlink(missing_ok=True)


def _require_unchanged(bucket: "_Bucket", there: bytes | None) -> None:
    if bucket.read(MANIFEST_NAME) != there:
        raise ConfigError(
            f"store {bucket.url}: one machine at a time may write to it, found that another did meanwhile; run the same "
            "command again: it starts from what is there now"
        )


def _keep_previous(bucket: "_Bucket", there: bytes | None) -> None:
    """Until the new manifest is there, readers find the old one's table under its second name."""
    table = None if there is None else bucket.read(REPLAYS_NAME)
    if there is None or table is None:
        return
    if hashlib.sha256(table).hexdigest() == Manifest.from_json(there.decode(), bucket.url).replays_sha256:
        bucket.write(PREVIOUS_REPLAYS_NAME, table)


class _Bucket:
    """The files of the store at a URL, through fsspec; S3 replaces an object whole or not at all."""

    def __init__(self, url: str) -> None:
        from dataset.io.transport import open_filesystem  # fsspec and ssl take a while to import

        self.url = url
        if url.startswith(("http:", "https:", "file:")):
            raise ConfigError(
                f"store {url}: ingest writes to folders and to buckets (s3://…), found {url.partition(':')[0]}; give the folder "
                "itself, or ingest into one and copy it there, e.g. with 'exphil sync up'"
            )
        self._filesystem, self._folder = open_filesystem(url)

    def read(self, path: str) -> bytes | None:
        """A small file, or ``None`` if there is none."""

        def cat() -> bytes | None:
            self._filesystem.invalidate_cache()
            with suppress(FileNotFoundError):
                return bytes(self._filesystem.cat_file(self._at(path)))
            return None

        return self._do("reading", path, cat)

    def write(self, path: str, data: bytes) -> None:
        """Replace a small file."""
        self._do("writing", path, lambda: self._filesystem.pipe_file(self._at(path), data))

    def send(self, file: Path, path: str) -> None:
        """Replace a file by one of this machine."""
        self._do("writing", path, lambda: self._filesystem.put_file(str(file), self._at(path)))

    def remove(self, path: str) -> None:
        """Delete a file that no manifest lists any more."""

        def delete() -> None:
            with suppress(FileNotFoundError):
                self._filesystem.rm_file(self._at(path))

        self._do("deleting", path, delete)

    def _at(self, path: str) -> str:
        return f"{self._folder}/{path}"

    def _do(self, what: str, path: str, work: Callable[[], T]) -> T:
        try:
            return work()
        except Exception as error:  # backends raise what they like
            raise ExphilError(
                f"store {self.url}: {what} {path} must be possible, found {_public_words(error)}; check the address, your "
                "credentials and the connection, then run the same command again: what was ingested is kept"
            ) from error


def _public_words(error: Exception) -> str:
    """What to say of a backend's error: only the system's own words, because others may hold secrets."""
    return getattr(error, "strerror", None) or type(error).__name__
