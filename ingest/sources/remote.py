"""Sources behind a URL: their files are downloaded to this machine's cache, whole, and read there like any other.

The cached files lie below ``$EXPHIL_CACHE/sources``. No manifest says what such a file must be, so its size and the server's tag
(time or ETag) are asked for before and after the transfer. A file that changes gets another name in the cache; ingest knows
replays by their content, so those in both are not taken in twice.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from dataset.errors import ConfigError, ExphilError
from dataset.io.cache import Cache, Download, cache_folder, cache_limit_bytes
from dataset.io.fetch import Patience, Wanted, fetch, retry
from dataset.io.transport import RefusedError, TransferError, is_http, open_filesystem, open_http, open_source
from ingest.sources.reader import ARCHIVE_SUFFIXES, REPLAY_SUFFIXES, is_archive, is_replay

_TAGS = ("ETag", "etag", "LastModified", "last_modified", "mtime", "updated", "created")
"""What backends call that which changes when a file does."""


@dataclass(frozen=True, kw_only=True)
class Announced(Wanted):
    """One file as its server announces it; ``sha256`` is of the announcement, for nobody knows that of the bytes."""

    def fault_at(self, path: Path) -> str | None:
        """How the file at ``path`` differs."""
        size = path.stat().st_size
        return None if size == self.size else f"{size:,} bytes"

    def rule(self, place: str) -> str:
        """The rule that errors state for its copy from ``place``."""
        return f"source {place}/{self.path}: must arrive as the {self.size or 0:,} bytes that its server announces"


def fetched(url: str, patience: Patience | None = None) -> list[Path]:
    """Where the replays and archives at ``url``, a file or a folder, lie on this machine.

    Raises:
        ConfigError: no backend reads the URL, nothing of use is there, or the cache has no room for all of it.
        ExphilError: a transfer failed, or a file changed meanwhile; what came is kept for the next run.
    """
    patience = patience or Patience()
    folder, found = _announced(url, patience)
    if not found:
        kinds = ", ".join((*REPLAY_SUFFIXES, *ARCHIVE_SUFFIXES))
        raise ConfigError(f"source {url}: must hold files that end in {kinds}, found none; check the address")
    cache = Cache(cache_folder() / "sources", cache_limit_bytes())
    paths = cache.paths(found, lambda one: _download(folder, one, patience))
    if not set(found) <= set(_announced(url, patience)[1]):
        raise ExphilError(
            f"source {url}: must not change while it is read, found that it did; run the same command again"
        )
    return paths


def _download(folder: str, one: Wanted, patience: Patience) -> Download:
    def download(target: Path) -> None:
        Console(stderr=True).print(
            f"fetching {folder}/{one.path}: {(one.size or 0) / 1e6:,.1f} MB", highlight=False, soft_wrap=True
        )
        fetch(open_source(folder, patience.stall_s), one, target, folder, patience)

    return download


def _announced(url: str, patience: Patience) -> tuple[str, list[Announced]]:
    """The folder, and what the server says of the files in it; of a file, its folder and that file alone."""
    parent, _, name = url.rpartition("/")
    rule = f"source {url}: must be a file or folder that can be read"
    if is_http(url):
        if not (is_replay(name) or is_archive(name)):
            raise ConfigError(
                f"source {url}: a web server lists no folders, so it must be one file that ends in "
                f"{', '.join((*REPLAY_SUFFIXES, *ARCHIVE_SUFFIXES))}, found '{name}'; "
                "give its files one by one, or copy them here and give their folder"
            )
        size, tag = retry(lambda _: open_http(parent, patience.stall_s).about(name), rule, patience)
        return parent, [_one(url, name, size, tag)]
    filesystem, root = open_filesystem(url, "source")
    listed = retry(lambda _: _listed(filesystem, root), rule, patience)
    is_file = listed.keys() == {root}
    announced = [
        _one(
            url,
            name if is_file else path.removeprefix(root).lstrip("/"),
            _size(url, path, about),
            str([about.get(tag) for tag in _TAGS]),
        )
        for path, about in sorted(listed.items())
        if is_replay(path.rpartition("/")[2]) or is_archive(path.rpartition("/")[2])
    ]
    return parent if is_file else url, announced


def _size(url: str, path: str, about: dict[str, Any]) -> int:
    size = about.get("size")
    if type(size) is not int or size < 0:
        raise ConfigError(
            f"source {url}: its server must say how many bytes {path} has, found {ascii(size)[:40]}; copy the files "
            "here and give their folder"
        )
    return size


def _one(url: str, path: str, size: int, tag: str) -> Announced:
    name = re.sub(
        r"[^\w.-]", "_", path.rpartition("/")[2], flags=re.ASCII
    )  # a name of Unicode may be too long for a disk
    kind = max((end for end in (*REPLAY_SUFFIXES, *ARCHIVE_SUFFIXES) if name.lower().endswith(end)), key=len)
    digest = hashlib.sha256(f"{url}\n{path}\n{size}\n{tag}".encode()).hexdigest()[:32]
    key = f"{name[: -len(kind)][:100]}.{digest}{kind.removesuffix(Path(name).suffix.lower())}"  # the cache adds the last suffix
    return Announced(path=path, sha256=key, size=size)


def _listed(filesystem: Any, root: str) -> dict[str, dict[str, Any]]:
    """What fsspec says of the file at ``root``, or of those below it.

    Raises:
        TransferError, RefusedError: whatever the backend raised.
    """
    try:
        filesystem.invalidate_cache()
        if filesystem.isfile(root):
            return {root: filesystem.info(root)}
        found: dict[str, dict[str, Any]] = filesystem.find(root, detail=True)
    except (FileNotFoundError, PermissionError) as error:
        raise RefusedError(error.strerror or type(error).__name__) from error
    except Exception as error:  # backends raise what they like, and their words may hold secrets
        raise TransferError(type(error).__name__) from error
    return found
