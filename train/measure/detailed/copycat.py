"""How much a policy leans on the previous controller: its likelihood with that controller at rest, or a stranger's.

A policy that only copies is lost without it; one that reads the game loses little. In: a policy and whole-replay lanes. Out: the
main numbers of each way. The surprise: the state is carried under the replaced controllers too, as it would be in play.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from dataset.melee.controller import NEUTRAL
from dataset.stream.sampler import Sampler
from train.data.batches import Tensors
from train.measure.walk import Replaced, Walked, measuring, walk
from train.policy.policy import Policy

SHUFFLE_SEED = 20_012


def measure_copycat(policy: Policy, sampler: Sampler, device: torch.device, nll: float) -> dict[str, dict[str, Any]]:
    """By way of replacing: ``nll``, ``change_nll``, ``stick_accuracy``, and ``gap``: how far the likelihood is above ``nll``."""
    ways: dict[str, Replaced] = {"neutral": _neutral(policy, device), "shuffled": _Shuffled(device)}
    report = {}
    with measuring(policy):
        for name, replaced in ways.items():
            found = _means(walk(policy, sampler, device, replaced=replaced))
            report[name] = {**found, "gap": found["nll"] - nll}
    return report


def _neutral(policy: Policy, device: torch.device) -> Replaced:
    classes = torch.from_numpy(policy.codec.encode(NEUTRAL[None])[0]).to(device)
    return lambda given: classes.expand_as(given.previous)


class _Shuffled:
    """The previous controller of another frame of the same batch, replay and time both drawn at random."""

    def __init__(self, device: torch.device) -> None:
        self._generator = torch.Generator(device).manual_seed(SHUFFLE_SEED)

    def __call__(self, given: Tensors) -> Tensor:
        real = given.previous.flatten(0, 1) if given.num_frames == 0 else given.previous[given.mask]
        shape = given.previous.shape[:2]
        chosen = torch.randint(len(real), shape, generator=self._generator, device=real.device)
        return real[chosen]


def _means(seen: Iterable[Walked]) -> dict[str, float]:
    """Likelihoods over all frames and over change frames, and the main stick's accuracy where it moves."""
    sums = torch.zeros(6, dtype=torch.float64)
    for walked in seen:
        said = walked.judged
        nll, change, moved = said.nll.double().sum(dim=1), said.is_change, said.is_stick_change
        hits = said.is_stick_right & moved
        parts = [torch.ones_like(nll).sum(), nll.sum(), change.sum(), nll[change].sum(), moved.sum(), hits.sum()]
        sums += torch.stack([part.double() for part in parts]).cpu()
    frames, total, changes, change_total, moves, right = sums.tolist()
    return {
        "nll": total / max(frames, 1),
        "change_nll": change_total / max(changes, 1),
        "stick_accuracy": right / max(moves, 1),
    }
