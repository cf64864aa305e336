"""A policy led over whole replays, its state carried throughout, and what it said of every frame: the pass all measuring makes.

In: a policy and a sampler that is not shuffled. Out: batches of judged frames, each with the track and row it is of and the
inputs it was judged from. The surprise: sampled controllers come from a seed of their own, so measuring never moves a training's
random numbers.

Legend: B rows of a batch, T frames in the window, N frames with a target, C features, I indices.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from dataset.io.prefetch import prefetch
from dataset.stream.sampler import Batch, Sampler
from train.data.batches import Tensors, to_tensors
from train.measure.controls import Controls
from train.measure.judged import Judged, judge
from train.measure.lookup import OWN_STATE, Lookup
from train.policy.components import Components
from train.policy.policy import Policy

SAMPLE_SEED = 20_010
"""Of the noise behind sampled controllers."""

Replaced = Callable[[Tensors], Tensor]
"""Previous controllers [B, T, K] to give instead of the true ones."""


@dataclass(frozen=True, eq=False)
class Walked:
    """The frames of one batch that have a target."""

    judged: Judged
    track: Tensor
    """int64 [N]"""
    row: Tensor
    """int64 [N] of the track."""
    continuous: Tensor
    """float16 [N, C]"""
    indices: Tensor
    """int16 [N, I]"""
    lookup: Judged | None
    """What the look-up baseline said of them, if there is one."""


@contextmanager
def measuring(policy: Policy) -> Iterator[None]:
    """Eval mode without gradients; leaves the policy in the mode it was in."""
    was_training = policy.training
    policy.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        policy.train(was_training)


def walk(
    policy: Policy,
    sampler: Sampler,
    device: torch.device,
    *,
    lookup: Lookup | None = None,
    replaced: Replaced | None = None,
) -> Iterator[Walked]:
    """Every frame of ``sampler``, in order; to be consumed while ``measuring``.

    Args:
        policy: whose.
        sampler: the replays.
        device: where both are.
        lookup: a baseline to judge too.
        replaced: previous controllers to give instead of the true ones; then nothing is sampled.
    """
    components, controls = Components.of(policy.codec), Controls.of(policy.codec).to(device)
    generator = torch.Generator(device).manual_seed(SAMPLE_SEED)
    state = policy.initial_state(sampler.num_rows)
    for batch, given in load(sampler, device):
        previous = given.previous if replaced is None else replaced(given)
        y, state = policy.features(given.continuous, given.indices, previous, given.delay, state, given.reset)
        rows, target, held = y[given.mask], given.target[given.mask], given.previous[given.mask]
        sampled = held
        if replaced is None:
            noise = torch.rand(target.shape, generator=generator, device=device)
            sampled = policy.head.sample(rows, noise)
        indices = given.indices[given.mask]
        looked_up = None
        if lookup is not None:
            looked_up = judge(lookup.log_shares(indices[:, OWN_STATE], held), held, target, held, components, controls)
        yield Walked(
            judge(policy.head(rows, target), sampled, target, held, components, controls),
            *places(batch, given),
            given.continuous[given.mask],
            indices,
            looked_up,
        )


def load(sampler: Sampler, device: torch.device) -> Iterator[tuple[Batch, Tensors]]:
    """The batches of one walk over the replays, and the same on ``device``."""
    pairs = ((batch, to_tensors(batch, device)) for batch in sampler.batches(0))
    return prefetch(pairs, waiting_for=lambda: sampler.waiting_for)


def places(batch: Batch, given: Tensors) -> tuple[Tensor, Tensor]:
    """Track and row, int64 [N] each, of the frames that have a target."""
    device = given.mask.device
    track = torch.from_numpy(batch.track).to(device)[:, None].expand(given.mask.shape)
    first = torch.from_numpy(batch.start).to(device)[:, None]
    row = first + torch.arange(given.mask.shape[1], device=device)
    return track[given.mask], row[given.mask]
