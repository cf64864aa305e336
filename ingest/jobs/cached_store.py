"""A store made on demand: the one for these replays and options, ingested only if it is not there yet.

In: sources and options. Out: the folder of a whole store under ``$EXPHIL_CACHE`` or ``~/.cache/exphil``. The surprise: the key
is taken over the *content* of the files, so moved or copied replays find the same store, and any change makes a new one.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import xxhash

from dataset.codecs.registry import get_codec
from dataset.errors import ConfigError
from dataset.features.layout import ENCODER_DIGEST
from dataset.io.cache import cache_folder
from dataset.schema import SCHEMA_VERSION
from dataset.store.manifest import MANIFEST_NAME
from ingest.jobs.pipeline import Progress, ingest
from ingest.options import DEFAULT_CODEC, IngestOptions
from ingest.sources.find import find_candidates

PARTIAL_SUFFIX = ".partial"
"""A store that is not finished; the next call goes on with it."""


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
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "no files at all"
        raise ConfigError(
            f"replays {', '.join(map(str, sources))}: at least one game must be let in, found {told}; "
            "try 'exphil ingest' with --dry-run and other filters"
        )
    partial.replace(folder)
    return folder


def _key(sources: Sequence[str | Path], options: IngestOptions) -> str:
    files = sorted({candidate.source for candidate in find_candidates(sources)})
    settings = (
        SCHEMA_VERSION,
        ENCODER_DIGEST,
        get_codec(options.codec or DEFAULT_CODEC).digest,
        options.rollback,
        options.split_seed,
        sorted(options.stored_filters().items()),
    )
    contents = sorted(_hash(Path(file)) for file in files)
    return xxhash.xxh3_128_hexdigest(repr((settings, contents)).encode())


def _hash(path: Path) -> str:
    """Of a file's bytes; of what cannot be opened (a closed folder is such a source, too) that it cannot."""
    hasher = xxhash.xxh3_128()
    try:
        with path.open("rb") as file:
            while block := file.read(2**20):
                hasher.update(block)
    except OSError as error:
        return f"{type(error).__name__} {path}"
    return hasher.hexdigest()
