"""The replays of one run: banks of both splits, and what the run folder remembers of them.

In: a store and whom to imitate. Out: packed replays of the train and val splits, refused when either is empty.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.codecs.registry import get_codec
from dataset.errors import ConfigError, SchemaError
from dataset.features.layout import missing_groups
from dataset.melee.ids import character_from_name
from dataset.reporting.command_lines import command_line
from dataset.store.manifest import Split
from dataset.store.store import Store
from dataset.stream.bank import Bank
from train.data.subset import nested_subset
from train.data.weights import Floats, track_weights

FRAMES_PER_HOUR = 60 * 60 * 60


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
        return {
            "manifest_digest": self.manifest_digest,
            "skipped_shards": list(self.skipped_shards),
            "train": {**facts(self.train), "ids": sorted(self.train.ids)},
            "val": {**facts(self.val), "ids_sha256": ids_digest(self.val.ids)},
        }


def facts(bank: Bank) -> dict[str, float]:
    """Replays, imitated frames and hours of a bank."""
    return {"replays": len(bank.ids), "frames": bank.num_frames, "hours": round(bank.num_frames / FRAMES_PER_HOUR, 3)}


def ids_digest(ids: list[str]) -> str:
    """One hash of a set of replays."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def character_id(name: str | None) -> int | None:
    """The internal id of ``--train-character``; ``None`` imitates everyone."""
    return None if name is None else character_from_name(name).internal


def open_store(path: Path | str, codec: str, features: str, tolerate_bad_shards: int = 0) -> Store:
    """A store whose classes are those of ``codec`` and whose windows hold ``features``, or more."""
    store = Store(path, tolerate_bad_shards=tolerate_bad_shards)
    if store.manifest.codec_digest != get_codec(codec).digest:
        raise SchemaError(
            f"store {path}: its window shards must be encoded with codec {codec}, found {store.manifest.codec}; "
            f"run '{command_line('encode', '--store', path, '--codec', codec)}'"
        )
    if missing := missing_groups(store.manifest.features, features):
        raise SchemaError(
            f"store {path}: its window shards must hold the features {features}, found {store.manifest.features}, without "
            f"{', '.join(missing)}; run '{command_line('encode', '--store', path, '--features', 'all')}', or train with "
            f"--features {store.manifest.features}"
        )
    return store


def load_data(
    path: Path | str,
    codec: str,
    features: str,
    character: str | None,
    tolerate_bad_shards: int = 0,
    max_replays: int | None = None,
    seed: int = 0,
    weight_by: str = "none",
) -> Data:
    """The train and val replays of a store in which ``character`` was picked, up to so many bad shards left out.

    Args:
        path: the store.
        codec: whose classes its window shards must hold.
        features: feature groups (``dataset.features.layout``) that they must hold.
        character: whom to imitate; ``None`` imitates everyone.
        tolerate_bad_shards: so many may be missing or damaged.
        max_replays: so many of the train split are taken; ``None`` takes all.
        seed: chooses which.
        weight_by: what decides how much each counts, of ``train.config.run_config.WEIGHT_BY``.

    Raises:
        ConfigError: a split holds no such replay.
        SchemaError: the store is damaged, encoded for another codec, or without some of the features.
    """
    store = open_store(path, codec, features, tolerate_bad_shards)
    train, val = load_bank(store, "train", character, max_replays, seed), load_bank(store, "val", character)
    weights = None if weight_by == "none" else track_weights(train, store.replays(), weight_by)
    return Data(train, val, store.manifest.digest, tuple(store.skipped), weights)


def load_bank(store: Store, split: Split, character: str | None, max_replays: int | None = None, seed: int = 0) -> Bank:
    """The replays of one split in which ``character`` was picked, all or some of them."""
    who = character_id(character)
    packed = store.packed(split)
    bank = Bank(packed if max_replays is None else nested_subset(packed, max_replays, seed, who), who)
    if not bank.tracks:
        named = "any player" if character is None else character
        held = sum(shard.samples for shard in store.manifest.of_kind("windows", split))
        remedy = "or choose another --train-character" if held else "say 20 or more: few do not fill three splits"
        raise ConfigError(
            f"store {store.path}: the {split} split needs replays with {named}, found none among its {held}; "
            f"ingest more replays, {remedy}"
        )
    return bank
