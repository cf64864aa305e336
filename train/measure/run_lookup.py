"""The look-up baseline of a run: kept in its folder when it is trained, or fitted again from the store it was trained on.

The surprise: a run that kept none, measured on replays from elsewhere, has none, and its report says so with ``null``.
"""

from pathlib import Path

import torch

from dataset.store.manifest import url_of
from dataset.store.store import Store
from dataset.stream.bank import Bank
from train.config.run_config import RunConfig
from train.data.load import character_id
from train.measure.lookup import LOOKUP, Counts, Lookup, count_transitions
from train.policy.components import Components
from train.policy.persistence import Persistence
from train.runs.checkpoint import LoadedPolicy


def keep_lookup(run: Path, bank: Bank, sizes: tuple[int, ...], config: RunConfig) -> None:
    """Count over the training replays, into the run folder; half a second a million frames."""
    count_transitions(bank, sizes, config.data.delay).save(run / LOOKUP)


def find_lookup(loaded: LoadedPolicy, store: Store, device: torch.device) -> Lookup | None:
    """The run's baseline on ``device``; ``None`` if it kept none and this is not the store that it was trained on."""
    kept = loaded.run / LOOKUP
    counts = Counts.load(kept) if kept.is_file() else _count_again(loaded, store)
    return None if counts is None else Lookup(counts, Persistence.from_json(loaded.record["persistence"]), device)


def _count_again(loaded: LoadedPolicy, store: Store) -> Counts | None:
    trained = loaded.record["data"]
    is_far = url_of(store.path) is not None  # its train split would have to be fetched whole
    if is_far or trained["manifest_digest"] != store.manifest.digest:
        return None
    data = loaded.config.data
    bank = Bank(store.packed("train", set(trained["train"]["ids"])), character_id(data.character))
    if len(bank.ids) != len(trained["train"]["ids"]):
        return None
    return count_transitions(bank, Components.of(loaded.codec).sizes, data.delay)
