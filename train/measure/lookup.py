"""The stronger baseline: how often players choose each class, given only their own action state and the class they hold.

Fitted on the training frames by counting; it knows what everybody does next in an animation and nothing of the opponent, the
stage or the past, so what a policy gains over it is what a policy is for. A rare state leans on the counts over all states, and
those on persistence. In: a bank. Out: log-probabilities, which are measured as a policy's logits are. The surprise: only what
was seen is kept, as sorted keys, so a codec with 256 × 256 transitions in 1024 states takes no more room than one with few.

Legend: N frames, K components, S class columns, C most classes of any component, M transitions seen, G contexts seen.
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
from dataset.stream.bank import Bank, Rows
from train.policy.persistence import Persistence

LOOKUP = "lookup.safetensors"
"""Its file in a run folder."""

OWN_STATE = INDEX_ROW["a_action_state"]
"""Where the imitated player's action state stands among the embedding indices."""

STATE_PSEUDO_COUNT, CLASS_PSEUDO_COUNT = 32.0, 1.0
"""Frames that the counts over all states weigh beside those of one, and persistence beside those. Of 1, 2, 4 … 64, those from
16 on were best on the val split of falco-129, within 0.004 nats of each other."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Counts:
    """Transitions seen, of all components."""

    keys: Tensor
    """int64 [M], ascending: component, action state, previous class and class as one number."""
    counts: Tensor
    """int64 [M] frames."""

    def save(self, path: Path) -> None:
        """Write them as safetensors."""
        with replacing(path) as temporary:
            temporary.write_bytes(save({"keys": self.keys, "counts": self.counts}))

    @classmethod
    def load(cls, path: Path) -> "Counts":
        """What ``save`` wrote."""
        try:
            tensors = load_file(path)
            return cls(tensors["keys"], tensors["counts"])
        except (SafetensorError, KeyError) as error:
            raise CheckpointError(
                f"{path}: must hold a lookup's counts, found {error}; delete it, or train again"
            ) from error


def count_transitions(bank: Bank, sizes: tuple[int, ...], delay: int) -> Counts:
    """Count over every imitated frame of ``bank``."""
    found: list[tuple[Ints, Ints]] = []
    for track in bank.tracks:
        rows = bank.open(track, delay)
        states, previous = _given(rows)
        keys = _keys(states, previous, rows.target[rows.mask].astype(np.int64), max(sizes))
        found.append(np.unique(keys, return_counts=True))
    keys, counts = _merge(found)
    return Counts(torch.from_numpy(keys), torch.from_numpy(counts))


def fit_lookup(bank: Bank, sizes: tuple[int, ...], delay: int, persistence: Persistence) -> "Lookup":
    """The baseline of ``bank``; ``persistence`` was fitted on it too."""
    return Lookup(count_transitions(bank, sizes, delay), persistence)


class Lookup:
    """Smoothed frequencies, on one device."""

    def __init__(self, counts: Counts, persistence: Persistence, device: torch.device | str = "cpu") -> None:
        """Prepare to look up; ``persistence`` was fitted on the same frames."""
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


def _given(rows: Rows) -> tuple[Ints, Ints]:
    """Action states [N] and classes held [N, K] of the rows that have a target."""
    return rows.indices[rows.mask, OWN_STATE].astype(np.int64), rows.previous[rows.mask].astype(np.int64)


def _keys(states: Ints, previous: Ints, target: Ints, most: int) -> Ints:
    """One number a transition of a component, [N · K]."""
    parts = np.arange(previous.shape[1])
    keys: Ints = ((parts * NUM_ACTION_STATES + states[:, None]) * most + previous) * most + target
    return keys.ravel()


def _merge(found: Iterable[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
    """Keys in order, with what was counted of each in any part."""
    keys, counts = (np.concatenate(parts) for parts in zip(*found, strict=True))
    unique, inverse = np.unique(keys, return_inverse=True)
    return unique, np.bincount(inverse, weights=counts, minlength=len(unique)).astype(np.int64)


def _shares(persistence: Persistence) -> Tensor:
    """float32 [K, C, C]: persistence's probabilities, 0 for the classes a component does not have."""
    sizes = torch.tensor([len(shares) for shares in persistence.changes])
    shares = torch.exp(-persistence.nll_table())
    return shares * (torch.arange(shares.shape[-1]) < sizes[:, None, None])


def _all_states(keys: Tensor, times: Tensor, persistence: Tensor) -> Tensor:
    """float32 [K, C, C]: the frequencies over all action states, smoothed by persistence's."""
    square = persistence.shape[-1] ** 2
    flat = torch.zeros(persistence.numel(), device=persistence.device)
    counts = flat.index_add_(0, keys // (NUM_ACTION_STATES * square) * square + keys % square, times)
    counts = counts.reshape(persistence.shape)
    return (counts + CLASS_PSEUDO_COUNT * persistence) / (counts.sum(dim=-1, keepdim=True) + CLASS_PSEUDO_COUNT)
