"""The lookup baseline: how often players choose each class, given only their own action state and the class they hold.

It is fitted on the training frames by counting. It knows what everybody does next in an animation, and nothing of the
opponent, the stage or the past; what a policy gains over it is what a policy is for. A rare state leans on the counts over
all states, and those on persistence. Only transitions that occurred are kept, as sorted keys, so that a codec with 256 × 256
transitions in 1024 states takes no more room than one with few.

A run keeps its counts in its folder. For a run that has none they are counted again if the store it was trained on is at
hand; otherwise its report has ``null`` for the lookup.

Legend: N frames, K components, S class columns, C most classes of any component, M transitions seen.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from dataset.errors import CheckpointError
from dataset.features.layout import INDEX_ROW
from dataset.io.atomic import replacing
from dataset.melee.ids import NUM_ACTION_STATES
from dataset.store.manifest import url_of
from dataset.store.store import Store
from dataset.stream.bank import Bank, Rows
from train.data.load import character_id
from train.policy.components import Components, Persistence
from train.runs.checkpoint import LoadedPolicy
from train.runs.run_folder import LOOKUP, reading

OWN_STATE = INDEX_ROW["a_action_state"]
"""The place of the imitated player's action state among the embedding indices."""

STATE_PSEUDO_COUNT, CLASS_PSEUDO_COUNT = 32.0, 1.0
"""How many frames the counts over all states weigh beside those of one state, and persistence beside the counts over all
states. Of 1, 2, 4 … 64, the values from 16 on were best on the val split of falco-129, within 0.004 nats of each other."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each transition of each component occurred."""

    keys: Tensor
    """int64 [M], ascending: component, action state, previous class and class as one number."""
    counts: Tensor
    """int64 [M] frames."""

    def save(self, path: Path) -> None:
        """Write the counts as safetensors."""
        with replacing(path) as temporary:
            temporary.write_bytes(save({"keys": self.keys, "counts": self.counts}))

    @classmethod
    def load(cls, path: Path, sizes: tuple[int, ...]) -> "Counts":
        """Read what ``save`` wrote of components of these sizes."""
        num_keys = len(sizes) * NUM_ACTION_STATES * max(sizes) ** 2
        try:
            tensors = load_file(path)
            keys, counts = (tensors[name].to(torch.int64) for name in ("keys", "counts"))
            if (
                keys.ndim != 1
                or len(keys) == 0
                or keys.shape != counts.shape
                or keys.min() < 0
                or keys.max() >= num_keys
            ):
                raise ValueError(f"{len(keys)} keys of other transitions")
            return cls(keys, counts)
        except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise CheckpointError(
                f"{path}: must hold a lookup's counts, found {error}; delete it, or train again"
            ) from error


def count_transitions(bank: Bank, sizes: tuple[int, ...], delay: int) -> Counts:
    """Count over every imitated frame of ``bank``; takes half a second per million frames."""
    found: list[tuple[Ints, Ints]] = []
    for track in bank.tracks:
        rows = bank.open(track, delay)
        states, previous = _given(rows)
        keys = _keys(states, previous, rows.target[rows.mask].astype(np.int64), max(sizes))
        found.append(np.unique(keys, return_counts=True))
    keys, counts = _merge(found)
    return Counts(torch.from_numpy(keys), torch.from_numpy(counts))


class Lookup:
    """Smoothed frequencies of classes, on one device."""

    def __init__(self, counts: Counts, persistence: Persistence, device: torch.device | str = "cpu") -> None:
        """Prepare from counts and persistence of the same frames."""
        self._sizes = [len(shares) for shares in persistence.changes]
        self._most = most = max(self._sizes)
        keys, times = counts.keys.to(device), counts.counts.to(device).float()
        self._general = _all_states(keys, times, _shares(persistence).to(device))
        self._contexts, owner = (keys // most).unique_consecutive(return_inverse=True)  # type: ignore[no-untyped-call]
        self._seen = times.new_zeros(len(self._contexts), most)
        self._seen[owner, keys % most] = times

    def log_shares(self, states: Tensor, previous: Tensor) -> Tensor:
        """Log-probabilities float32 [N, S] of every class, from action states [N] and the classes held [N, K]."""
        parts = torch.arange(len(self._sizes), device=previous.device)
        contexts = (parts * NUM_ACTION_STATES + states.long()[:, None]) * self._most + previous.long()
        place = torch.searchsorted(self._contexts, contexts).clamp(max=len(self._contexts) - 1)
        is_seen = self._contexts[place] == contexts
        columns = [
            self._seen[place[:, k], :size] * is_seen[:, k, None]
            + STATE_PSEUDO_COUNT * self._general[k, previous[:, k].long(), :size]
            for k, size in enumerate(self._sizes)
        ]
        return torch.cat([(part / part.sum(dim=1, keepdim=True)).log() for part in columns], dim=1)

    def logits(self, rows: Rows) -> Tensor:
        """Log-probabilities float32 [N, S] of the rows of a track that have a target."""
        states, previous = _given(rows)
        return self.log_shares(torch.from_numpy(states), torch.from_numpy(previous))


def copied_logits(persistence: Persistence, rows: Rows, sizes: tuple[int, ...]) -> Tensor:
    """Persistence's log-probabilities float32 [N, S] of the rows of a track that have a target."""
    table, previous = persistence.nll_table(), torch.from_numpy(_given(rows)[1])
    return torch.cat([-table[k, previous[:, k], :size] for k, size in enumerate(sizes)], dim=1)


def find_lookup(loaded: LoadedPolicy, store: Store, device: torch.device) -> Lookup | None:
    """The lookup of a run; ``None`` if it keeps none and ``store`` is not the one it was trained on."""
    kept = loaded.run / LOOKUP
    counts = Counts.load(kept, Components.of(loaded.codec).sizes) if kept.is_file() else _count_again(loaded, store)
    return None if counts is None else Lookup(counts, loaded.persistence, device)


def _count_again(loaded: LoadedPolicy, store: Store) -> Counts | None:
    with reading(loaded.run / "config.json"):
        trained = loaded.record["data"]
        ids, digest = set(trained["train"]["ids"]), trained["manifest_digest"]
    is_remote = url_of(store.path) is not None  # its whole train split would have to be downloaded
    if is_remote or digest != store.manifest.digest:
        return None
    data = loaded.config.data
    bank = Bank(store.packed("train", ids), character_id(data.character), codec=loaded.codec)
    if len(bank.ids) != len(ids):
        return None
    return count_transitions(bank, Components.of(loaded.codec).sizes, data.delay)


def _given(rows: Rows) -> tuple[Ints, Ints]:
    """Action states [N] and classes held [N, K] of the rows that have a target."""
    return rows.indices[rows.mask, OWN_STATE].astype(np.int64), rows.previous[rows.mask].astype(np.int64)


def _keys(states: Ints, previous: Ints, target: Ints, most: int) -> Ints:
    """One number for each transition of a component, [N · K]."""
    parts = np.arange(previous.shape[1])
    keys: Ints = ((parts * NUM_ACTION_STATES + states[:, None]) * most + previous) * most + target
    return keys.ravel()


def _merge(found: Iterable[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
    """Sorted keys, with their counts summed over all parts."""
    keys, counts = (np.concatenate(parts) for parts in zip(*found, strict=True))
    unique, inverse = np.unique(keys, return_inverse=True)
    return unique, np.bincount(inverse, weights=counts, minlength=len(unique)).astype(np.int64)


def _shares(persistence: Persistence) -> Tensor:
    """float32 [K, C, C]: persistence's probabilities; 0 for classes that a component does not have."""
    sizes = torch.tensor([len(shares) for shares in persistence.changes])
    shares = torch.exp(-persistence.nll_table())
    return shares * (torch.arange(shares.shape[-1]) < sizes[:, None, None])


def _all_states(keys: Tensor, times: Tensor, persistence: Tensor) -> Tensor:
    """float32 [K, C, C]: frequencies over all action states, smoothed by persistence."""
    square = persistence.shape[-1] ** 2
    flat = torch.zeros(persistence.numel(), device=persistence.device)
    counts = flat.index_add_(0, keys // (NUM_ACTION_STATES * square) * square + keys % square, times)
    counts = counts.reshape(persistence.shape)
    return (counts + CLASS_PSEUDO_COUNT * persistence) / (counts.sum(dim=-1, keepdim=True) + CLASS_PSEUDO_COUNT)
