"""Walk a policy over whole replays, its state carried throughout, and score every frame: the pass that all measuring makes.

Sampled controllers come from a seed of their own, so measuring never changes a training's random numbers.

Legend: B rows of a batch, T frames in the window, N frames with a target, C features, I indices, K components.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from dataset.io.prefetch import prefetch
from dataset.stream.sampler import Batch, Sampler
from train.data.batches import Tensors, to_tensors
from train.measure.lookup import OWN_STATE, Lookup
from train.measure.scored_frames import Controls, ScoredFrames, score_frames
from train.policy.components import Components
from train.policy.policy import Policy

SAMPLE_SEED = 20_010
"""Seeds the noise that controllers are sampled with."""

Replacement = Callable[[Tensors], Tensor]
"""Makes previous controllers [B, T, K] to give the policy instead of the true ones."""


@dataclass(frozen=True, eq=False)
class Walked:
    """The frames of one batch that have a target."""

    scored: ScoredFrames
    track: Tensor
    """int64 [N]"""
    row: Tensor
    """int64 [N] of the track."""
    continuous: Tensor
    """float16 [N, C]"""
    indices: Tensor
    """int16 [N, I]"""
    lookup: ScoredFrames | None
    """The same frames scored by the lookup baseline, if there is one."""


@contextmanager
def measuring(policy: Policy) -> Iterator[None]:
    """Put the policy in eval mode, without gradients; restores its mode afterwards."""
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
    replacement: Replacement | None = None,
) -> Iterator[Walked]:
    """Score every frame of ``sampler``, in order; consume it while ``measuring``.

    Args:
        policy: the policy, on ``device``.
        sampler: the replays, not shuffled.
        device: where to compute.
        lookup: a baseline to score too.
        replacement: previous controllers to give instead of the true ones; then nothing is sampled.
    """
    components, controls = Components.of(policy.codec), Controls.of(policy.codec).to(device)
    generator = torch.Generator(device).manual_seed(SAMPLE_SEED)
    state = policy.initial_state(sampler.num_rows)
    for batch, given in load(sampler, device):
        previous = given.previous if replacement is None else replacement(given)
        y, state = policy.features(given.continuous, given.indices, previous, given.delay, state, given.reset)
        mask, (track, row) = given.mask, places(batch, given)
        units, target, held, indices = y[mask], given.target[mask], given.previous[mask], given.indices[mask]
        sampled = held
        if replacement is None:
            noise = torch.rand(target.shape, generator=generator, device=device)
            sampled = policy.head.sample(units, noise)
        looked_up = None
        if lookup is not None:
            log_shares = lookup.log_shares(indices[:, OWN_STATE], held)
            looked_up = score_frames(log_shares, held, target, held, components, controls)
        yield Walked(
            scored=score_frames(policy.head(units, target), sampled, target, held, components, controls),
            track=track[mask],
            row=row[mask],
            continuous=given.continuous[mask],
            indices=indices,
            lookup=looked_up,
        )


def load(sampler: Sampler, device: torch.device) -> Iterator[tuple[Batch, Tensors]]:
    """The batches of one walk over the replays, each as arrays and as tensors on ``device``."""
    pairs = ((batch, to_tensors(batch, device)) for batch in sampler.batches(0))
    return prefetch(pairs, waiting_for=lambda: sampler.waiting_for)


def places(batch: Batch, given: Tensors) -> tuple[Tensor, Tensor]:
    """The track and its row, int64 [B, T] each, of every frame."""
    device = given.mask.device
    track, start = (torch.from_numpy(part).to(device)[:, None] for part in (batch.track, batch.start))
    return track.expand(given.mask.shape), start + torch.arange(given.mask.shape[1], device=device)
