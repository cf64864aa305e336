"""Frames of the games that count: what the named queries are told of.

In: a store. Out: its frame table without the games that were not let in, which ``exphil ingest --keep-all`` keeps beside the
others. SQL sees those too.
"""

from collections.abc import Sequence

import polars as pl

from dataset.store.store import Store


def played_frames(store: Store, columns: Sequence[str]) -> pl.LazyFrame:
    """The given columns of every frame of every game with status ``ok``, in order within each."""
    if not store.manifest.kept_frames:
        return store.frames(columns)
    games = store.replays().filter(pl.col("status") == "ok").select(replay="id")
    kept = store.frames(sorted({"replay", *columns})).join(games, on="replay", how="semi", maintain_order="left")
    return kept.select(columns)
