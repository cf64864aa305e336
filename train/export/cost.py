"""What an exported graph costs: its plain NLL and accuracy on replays beside PyTorch's, frame by frame as in play.

In: a run, its exported graph up to sampling, a store. Out: both pairs of figures over the same frames. The surprise: the
head's likelihoods are PyTorch's own in both cases, teacher-forced from the graph's hidden units, since sampling is never
quantized.

Legend: C features, I indices, K components, M hidden units a component.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataset.errors import ConfigError
from dataset.stream.bank import Bank
from dataset.stream.sampler import Batch, Lanes
from train.data.batches import to_tensors
from train.data.load import character_id, open_store
from train.export.export import one_thread_session
from train.fit.losses import component_nll
from train.measure.evaluate import parse_split
from train.policy.components import Components, one_hot
from train.policy.policy import Policy
from train.runs.checkpoint import LoadedPolicy

WINDOW = 256
"""Frames read at once; the state is carried over their bounds."""


@dataclass
class _Sums:
    nll: float = 0.0
    right: float = 0.0

    def add(self, logits: Tensor, target: Tensor, components: Components) -> None:
        self.nll += float(component_nll(logits, target, components).sum())
        for group in components.groups:
            hits = group.of(logits).argmax(dim=-1) == target[:, group.first : group.first + group.count]
            self.right += float(hits.sum()) / len(components.sizes)


def measure_cost(
    loaded: LoadedPolicy, front: bytes, path: Path | str, *, split: str = "test", num_frames: int = 20_000
) -> dict[str, Any]:
    """Nats a frame and the share of components that are right, of PyTorch and of a graph.

    Args:
        loaded: the run.
        front: its graph up to sampling.
        path: the store.
        split: ``val``, ``test`` or ``all``.
        num_frames: whole windows are taken until there are so many, from the split's replays in order.

    Raises:
        ConfigError: there is no such split, or it holds none of the run's character.
    """
    config = loaded.config.policy
    samples = open_store(path, config.codec, config.features).packed(parse_split(split))
    bank = Bank(samples, character_id(loaded.config.data.character))
    if not bank.tracks:
        raise ConfigError(
            f"store {path}: the {split} split must hold the run's character, found none; take another split"
        )
    lanes = Lanes(bank, rows=1, window=WINDOW, delay=loaded.delay, is_shuffled=False)
    session = one_thread_session(front)
    components = Components.of(loaded.codec)
    ours, theirs, frames = _Sums(), _Sums(), 0
    state, carried = loaded.policy.initial_state(1), _zeros(session)
    for batch in lanes.batches(0):
        if batch.reset[0]:
            carried = _zeros(session)
        tensors = to_tensors(batch, torch.device("cpu"))
        mask = tensors.mask[0]
        with torch.no_grad():
            y, state = loaded.policy.features(
                tensors.continuous, tensors.indices, tensors.previous, tensors.delay, state, tensors.reset
            )
            hidden = torch.from_numpy(np.concatenate(list(_hidden(session, batch, loaded.delay, carried))))
            target = tensors.target[0][mask].long()
            theirs.add(loaded.policy.head(y[0][mask], target), target, components)
            ours.add(_logits(loaded.policy, hidden[mask], tensors.previous[0][mask], target), target, components)
        frames += len(target)
        if frames >= num_frames:
            break
    return {
        "frames": frames,
        "nll": theirs.nll / frames,
        "nll_exported": ours.nll / frames,
        "accuracy": theirs.right / frames,
        "accuracy_exported": ours.right / frames,
    }


def _zeros(session: ort.InferenceSession) -> dict[str, NDArray[Any]]:
    types = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
    states = [value for value in session.get_inputs() if value.name.startswith("state_")]
    return {value.name: np.zeros((1, *value.shape[1:]), types[value.type]) for value in states}


def _hidden(
    session: ort.InferenceSession, batch: Batch, delay: int, carried: dict[str, NDArray[Any]]
) -> Iterator[NDArray[np.float32]]:
    """Hidden units [1, K·M] of every frame of a one-lane batch; leaves the state after the last in ``carried``."""
    names = ["hidden_units", *(f"next_{name}" for name in carried)]
    continuous, indices = batch.continuous.astype(np.float32), batch.indices.astype(np.int64)
    previous, delays = batch.previous.astype(np.int64), np.array([delay], np.float32)
    for t in range(continuous.shape[1]):
        frame = {"continuous": continuous[:, t], "indices": indices[:, t], "previous": previous[:, t], "delay": delays}
        hidden, *after = session.run(names, {**frame, **carried})
        carried.update(zip(carried, after, strict=True))
        yield hidden


def _logits(policy: Policy, hidden: Tensor, previous: Tensor, target: Tensor) -> Tensor:
    """Teacher-forced logits [N, S] from a graph's hidden units."""
    head = policy.head
    held = one_hot(previous, head.columns, head.components.num_columns)
    return head.logits(hidden, held, target)
