"""Reads some games of a store, a few at a time, so that memory does not grow with how many are asked for."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from dataset.store.store import Store

Row = Mapping[str, Any]
"""Of the table of replays: ``id, frames, shard, row_start`` at least."""


def by_hash(rows: Sequence[Row]) -> list[Row]:
    """Games in an order that tells nothing of them: the first ones of the same store are the same in every process."""
    return sorted(rows, key=lambda row: hashlib.sha256(row["id"].encode()).digest())


def in_batches(
    store: Store, rows: Sequence[Row], columns: Sequence[str], at_once: int
) -> Iterator[tuple[Sequence[Row], pl.LazyFrame]]:
    """The frames of games in the order of ``rows``, so many games at once, each time with their rows."""
    offsets, start = {}, 0
    for shard in store.manifest.of_kind("frames"):
        offsets[shard.path] = start
        start += shard.frames
    table = store.frames(columns)
    for first in range(0, len(rows), at_once):
        batch = rows[first : first + at_once]
        yield (
            batch,
            pl.concat([table.slice(offsets[row["shard"]] + row["row_start"], row["frames"]) for row in batch]),
        )
