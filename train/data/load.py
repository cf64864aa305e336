"""The replays of one run: the train and val splits, how much each replay counts, and what the run folder remembers of them.

Weights (``--weight-by``) have a mean of 1 over the frames of an epoch, so the learning rate keeps its meaning. Validation does
not use them, so runs compare.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataset.codecs.registry import get_codec
from dataset.errors import ConfigError, SchemaError
from dataset.melee.ids import character_from_name
from dataset.schema import SIDES
from dataset.store.manifest import Split
from dataset.store.store import Store
from dataset.stream.bank import Bank
from dataset.stream.window_shards import Packed, read_about
from train.config.run_config import RunConfig
from train.data.stores import open_store

FRAMES_PER_HOUR = 60 * 60 * 60

MOST = 10.0
"""A rare matchup counts at most so many times as much as the commonest."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Data:
    """What a run trains on and chooses by."""

    train: Bank
    val: Bank
    manifest_digest: str
    """Of the store's data."""
    skipped_shards: tuple[str, ...] = ()
    """Bad window shards that were tolerated: their replays are missing here."""
    weights: Floats | None = None
    """[tracks of train] how much each counts in training; ``None``: all alike."""

    def record(self) -> dict[str, Any]:
        """What ``config.json`` keeps: enough to tell later whether a replay was trained on."""
        val_ids = "\n".join(sorted(self.val.ids)).encode()
        return {
            "manifest_digest": self.manifest_digest,
            "skipped_shards": list(self.skipped_shards),
            "train": {**_counts(self.train), "ids": sorted(self.train.ids)},
            "val": {**_counts(self.val), "ids_sha256": hashlib.sha256(val_ids).hexdigest()},
        }


def _counts(bank: Bank) -> dict[str, float]:
    return {"replays": len(bank.ids), "frames": bank.num_frames, "hours": round(bank.num_frames / FRAMES_PER_HOUR, 3)}


def character_id(name: str | None) -> int | None:
    """The internal id of ``--train-character``; ``None`` imitates everyone."""
    return None if name is None else character_from_name(name).internal


def load_data(path: Path | str, config: RunConfig, tolerate_bad_shards: int = 0) -> Data:
    """The train and val replays of a store that a run is for, up to so many bad shards left out.

    Raises:
        ConfigError: a split holds no such replay.
        SchemaError: the store is damaged, encoded for another codec, or without some of the features.
    """
    data, by = config.data, config.loss.weight_by
    store = open_store(path, config.policy.codec, config.policy.features, tolerate_bad_shards)
    train = load_bank(store, "train", data.character, data.max_replays, config.seed)
    val = load_bank(store, "val", data.character)
    weights = None if by == "none" else track_weights(train, store.replays(), by)
    return Data(train, val, store.manifest.digest, tuple(store.skipped), weights)


def load_bank(store: Store, split: Split, character: str | None, max_replays: int | None = None, seed: int = 0) -> Bank:
    """The replays of one split in which ``character`` was picked, all or some of them."""
    who = character_id(character)
    packed = store.packed(split)
    chosen = packed if max_replays is None else nested_subset(packed, max_replays, seed, who)
    bank = Bank(chosen, who, codec=get_codec(store.manifest.codec))
    if not bank.tracks:
        named = "any player" if character is None else character
        held = sum(shard.samples for shard in store.manifest.of_kind("windows", split))
        remedy = "or choose another --train-character" if held else "say 20 or more: few do not fill three splits"
        raise ConfigError(
            f"store {store.path}: the {split} split needs replays with {named}, found none among its {held}; "
            f"ingest more replays, {remedy}"
        )
    return bank


def nested_subset(packed: Iterable[Packed], num_replays: int, seed: int, character: int | None) -> list[Packed]:
    """The ``num_replays`` in which ``character`` (internal id) was picked whose hash comes first; ``None``: any character.

    Only a hash of seed and replay id decides, so a larger part holds every smaller one of the same seed, even after the store
    has grown.

    Raises:
        ConfigError: there are fewer.
    """

    def rank(entry: tuple[int, Packed]) -> bytes:
        return hashlib.sha256(f"{seed}/{read_about(entry[1].about).id}".encode()).digest()

    wanted = (one for one in packed if character is None or character in read_about(one.about).characters)
    kept = nsmallest(num_replays, enumerate(wanted), key=rank)
    if len(kept) < num_replays:
        raise ConfigError(
            f"--max-replays {num_replays}: must be at most the train split's, found {len(kept)}; give fewer, or leave it out"
        )
    return [one for _, one in sorted(kept, key=lambda entry: entry[0])]


def track_weights(bank: Bank, replays: pl.LazyFrame, by: str) -> Floats:
    """The factor of each track.

    Args:
        bank: the tracks.
        replays: ``id``, and for either side ``quality_…`` or ``character_…``.
        by: ``quality`` takes the imitated player's score; ``matchup`` the inverse of the frames with these two characters.

    Raises:
        SchemaError: replays have no quality yet.
        ConfigError: every imitated player's quality is 0.
    """
    names = [f"{'quality' if by == 'quality' else 'character'}_{side}" for side in SIDES]
    has_columns = set(names) <= set(replays.collect_schema().names())
    found = {row[0]: row[1:] for row in replays.select("id", *names).collect().iter_rows()} if has_columns else {}
    rows = [(found.get(bank.ids[track.replay], (None, None)), track.side) for track in bank.tracks]
    pairs = [(row[side], row[1 - side]) for row, side in rows]  # the imitated player's, then the opponent's
    frames = np.array([track.num_frames for track in bank.tracks], dtype=np.float64)
    raw = _rarities(pairs, frames) if by == "matchup" else _qualities([own for own, _ in pairs])
    return (raw / float((raw * frames).sum() / frames.sum())).astype(np.float32)


def _rarities(matchups: Sequence[tuple[Any, Any]], frames: NDArray[np.float64]) -> NDArray[np.float64]:
    held: Counter[tuple[Any, Any]] = Counter()
    for matchup, count in zip(matchups, frames.tolist(), strict=True):
        held[matchup] += count
    commonest = max(held.values())
    return np.array([min(commonest / held[matchup], MOST) for matchup in matchups])


def _qualities(scores: Sequence[float | None]) -> NDArray[np.float64]:
    known = [score for score in scores if score is not None]
    if len(known) < len(scores):
        raise SchemaError(
            f"--weight-by quality: every imitated player needs a score, found {len(scores) - len(known)} without; run "
            "'exphil encode --quality' on the store"
        )
    if not any(known):
        raise ConfigError(
            f"--weight-by quality: needs one replay of a quality above 0, found 0 for all {len(known)} tracks; "
            "see 'exphil stats --query quality', or leave it out"
        )
    return np.array(known, dtype=np.float64)
