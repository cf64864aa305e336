"""The table of replays replaced, always together with the manifest that lists its hash.

In: all rows. Out: ``replays.parquet`` and ``manifest.json``. The surprise: the table goes first and the one before it is kept
as ``replays.previous.parquet``, so a kill between the two leaves a manifest whose table is the previous one.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset.io.atomic import replacing, sha256_of
from dataset.store.frame_table import REPLAY_SCHEMA
from dataset.store.location import PREVIOUS_REPLAYS_NAME, REPLAYS_NAME, replays_path
from dataset.store.manifest import Manifest


def save_replays(
    folder: Path, rows: Iterable[Mapping[str, Any]], manifest: Manifest, on_disk: Manifest | None
) -> Manifest:
    """Write ``rows`` and ``manifest``, which follows ``on_disk``; returns it as written."""
    current = folder / REPLAYS_NAME
    if on_disk is not None and replays_path(folder, on_disk) == current:
        with replacing(folder / PREVIOUS_REPLAYS_NAME) as temporary:
            shutil.copyfile(current, temporary)
    ordered = sorted(rows, key=lambda row: (row["id"] or "", row["source"], row["member"] or ""))
    table = pa.Table.from_pylist(ordered, schema=REPLAY_SCHEMA)
    with replacing(current) as temporary, temporary.open("wb") as file:  # whose errors say what the system said
        pq.write_table(table, file, compression="zstd")
    written = replace(manifest, replays_sha256=sha256_of(current))
    written.save(folder)
    return written
