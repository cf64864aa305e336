"""A store made on demand under ``$EXPHIL_CACHE`` or ``~/.cache/exphil``, for commands that are given replays instead of a store.

Its name depends on the options and on the *content* of the files: moved or copied replays find the same store, and any change
makes a new one.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import xxhash

from dataset.errors import ConfigError
from dataset.io.cache import cache_folder
from dataset.store.manifest import MANIFEST_NAME
from ingest.jobs.commit import new_manifest
from ingest.jobs.pipeline import Progress, ingest
from ingest.options import IngestOptions
from ingest.sources.find import find_candidates

PARTIAL_SUFFIX = ".partial"
"""Of a store that is not finished; the next call resumes it."""


def cached_store(
    sources: Sequence[str | Path],
    options: IngestOptions,
    *,
    on_progress: Callable[[Progress], None] | None = None,
) -> Path:
    """The folder of the store that holds ``sources`` under ``options``.

    Raises:
        ConfigError: the options ask for a rebuild or a dry run, which have no meaning here, or no replay is let in.
    """
    if options.rebuild or options.dry_run:
        raise ConfigError("cached store: is made once and whole, so rebuild and dry run cannot take effect; drop them")
    folder = cache_folder() / "stores" / _key(sources, options)
    if (folder / MANIFEST_NAME).exists():
        return folder
    partial = folder.with_name(folder.name + PARTIAL_SUFFIX)
    report = ingest(sources, partial, options, on_progress=on_progress)
    if report.store_replays == 0:
        reasons = {**report.rejections, **report.failures}
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "no files at all"
        raise ConfigError(
            f"replays {', '.join(map(str, sources))}: at least one game must be let in, found {counts}; "
            "try 'exphil ingest' with --dry-run and other filters"
        )
    partial.replace(folder)
    return folder


def _key(sources: Sequence[str | Path], options: IngestOptions) -> str:
    files = sorted({candidate.source for candidate in find_candidates(sources)})
    contents = sorted(_hash(Path(file)) for file in files)
    empty = new_manifest(options)
    return xxhash.xxh3_128_hexdigest(repr((empty.digest, empty.settings_digest, contents)).encode())


def _hash(path: Path) -> str:
    """Of a file's bytes; of the error where it cannot be opened, as of a folder without permission."""
    hasher = xxhash.xxh3_128()
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                hasher.update(block)
    except OSError as error:
        return f"{type(error).__name__} {path}"
    return hasher.hexdigest()
