"""Play-outs on real states: a policy is fed its own sampled controllers as in play, while the states stay the replay's.

Replays are cut into stretches. Each begins with the state that the real controllers led to; from then on the previous
controller is what the policy itself chose. Measured are the likelihood of the player's controller by age (how long ago the
stretch began), beside that given the real controllers on the same frames, and the chosen controllers. Not all loss of
likelihood with age is drift, because the states keep responding to controllers that the policy did not choose.

Legend: B stretches side by side, T frames, N frames with a target, K components.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dataset.stream.bank import Bank
from dataset.stream.sampler import Lanes
from train.measure.scored_frames import Controls, ScoredFrames, score_frames
from train.measure.walk import SAMPLE_SEED, load, places
from train.policy.backbones.base import State, map_state, reset_rows
from train.policy.components import Components, component_nll
from train.policy.policy import Policy

AGES = ((0, 0), (1, 1), (2, 9), (10, 59), (60, 599))
"""Bands of age, the number of its own controllers that a policy has held; at 0 it is given the player's."""

STRETCH = AGES[-1][1] + 1
"""Frames of a stretch, ten seconds."""

LANES, STRETCHES = 64, 128
"""Replays walked at once, and stretches played out at once; a step of many costs little more than one of few."""

BLOCK = 64
"""Frames scored at once, to bound memory."""


@dataclass(frozen=True, eq=False)
class PlayedOut:
    """Frames of a play-out that have a target."""

    scored: ScoredFrames
    """Given the policy's own controllers: ``previous`` is the one it held, ``sampled`` the one it chose."""
    real_previous: Tensor
    """int64 [N, K] the controller that the player held."""
    given_nll: Tensor
    """float32 [N] nats of the player's controller, given the real previous ones."""
    age: Tensor
    """int64 [N]"""
    track: Tensor
    """int64 [N]"""
    row: Tensor
    """int64 [N] of the track."""


@dataclass(frozen=True, eq=False)
class Stretches:
    """Stretches side by side, each with the state before it."""

    frames: dict[str, Tensor]
    """[B, T, …] each: ``continuous, indices, previous, delay, target, mask, given_nll, track, row``."""
    state: State

    def at(self, frames: slice | int) -> dict[str, Tensor]:
        """A range of frames of all stretches, or one frame."""
        return {name: part[:, frames] for name, part in self.frames.items()}


def play_out(policy: Policy, bank: Bank, delay: int, device: torch.device) -> Iterator[PlayedOut]:
    """Play out every frame of ``bank``; consume it while ``measuring``."""
    components, controls = Components.of(policy.codec), Controls.of(policy.codec).to(device)
    generator = torch.Generator(device).manual_seed(SAMPLE_SEED)
    for stretches in _grouped(_cut(policy, bank, delay, device, components)):
        held, state = stretches.at(0)["previous"].long(), stretches.state
        for first in range(0, STRETCH, BLOCK):
            if not stretches.frames["mask"][:, first:].any():
                break  # replays that are shorter than a stretch
            block = stretches.at(slice(first, first + BLOCK))
            y, own, chosen, state = _feed(policy, block, held, state, generator)
            held, mask, target = chosen[:, -1], block["mask"], block["target"]
            age = torch.arange(first, first + y.shape[1], device=device).expand(mask.shape)
            logits = policy.head(y[mask], target[mask])
            yield PlayedOut(
                score_frames(logits, chosen[mask], target[mask], own[mask], components, controls),
                block["previous"][mask].long(),
                block["given_nll"][mask],
                age[mask],
                block["track"][mask],
                block["row"][mask],
            )


class Drift:
    """How the likelihood of the player's controller changes with the age of a play-out."""

    def __init__(self) -> None:
        self._sums = torch.zeros(len(AGES), 4, dtype=torch.float64)

    def add(self, frames: PlayedOut) -> None:
        """Count N frames."""
        is_same = (frames.scored.previous == frames.real_previous).all(dim=1)
        values = [torch.ones_like(frames.given_nll), frames.scored.nll.sum(dim=1), frames.given_nll, is_same]
        table = torch.stack([value.double() for value in values], dim=1).cpu()
        ends = torch.tensor([last for _, last in AGES])
        self._sums.index_add_(0, torch.bucketize(frames.age.cpu(), ends), table)

    def report(self) -> list[dict[str, Any]]:
        """A row per band of ages; ``same`` is the share of frames on which the policy held the player's controller."""
        return [
            {
                "from": low,
                "to": high,
                "frames": int(frames),
                "nll": nll / frames,
                "given_nll": given / frames,
                "same": same / frames,
            }
            for (low, high), (frames, nll, given, same) in zip(AGES, self._sums.tolist(), strict=True)
            if frames
        ]


def _cut(policy: Policy, bank: Bank, delay: int, device: torch.device, components: Components) -> Iterator[Stretches]:
    """Walk the replays with the real controllers and cut them into stretches of T frames."""
    lanes = Lanes(bank, rows=LANES, window=STRETCH, delay=delay, is_shuffled=False)
    state = policy.initial_state(lanes.num_rows)
    for batch, given in load(lanes, device):
        before = reset_rows(state, policy.initial_state(lanes.num_rows), given.reset)
        y, state = policy.features(
            given.continuous, given.indices, given.previous, given.delay, before, torch.zeros_like(given.reset)
        )
        nats = [
            component_nll(policy.head(y[:, part], given.target[:, part]), given.target[:, part], components).sum(dim=-1)
            for part in (slice(first, first + BLOCK) for first in range(0, STRETCH, BLOCK))
        ]
        track, row = places(batch, given)
        frames = {
            "continuous": given.continuous,
            "indices": given.indices,
            "previous": given.previous,
            "delay": given.delay[:, None].expand(row.shape),
            "target": given.target,
            "mask": given.mask,
            "given_nll": torch.cat(nats, dim=1),
            "track": track,
            "row": row,
        }
        yield _used(Stretches(frames, before))


def _used(stretches: Stretches) -> Stretches:
    """Without rows that have nothing to predict."""
    used = stretches.frames["mask"].any(dim=1)
    frames = {name: part[used] for name, part in stretches.frames.items()}
    return Stretches(frames, map_state(lambda leaf: leaf[used], stretches.state))


def _grouped(source: Iterable[Stretches]) -> Iterator[Stretches]:
    """The same stretches, at least ``STRETCHES`` of them side by side."""
    waiting: list[Stretches] = []
    for stretches in source:
        waiting.append(stretches)
        if sum(len(one.frames["mask"]) for one in waiting) >= STRETCHES:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[Stretches]) -> Stretches:
    frames = {name: torch.cat([part.frames[name] for part in parts]) for name in parts[0].frames}
    return Stretches(frames, map_state(lambda *leaves: torch.cat(leaves), *(part.state for part in parts)))


def _feed(
    policy: Policy, block: dict[str, Tensor], held: Tensor, state: State, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, State]:
    """Step through a block: the head's inputs [B, T, …], controllers held and chosen [B, T, K], and the state after."""
    units, own, chosen = [], [], []
    for t in range(block["mask"].shape[1]):
        frame = {name: part[:, t] for name, part in block.items()}
        x, rows = policy.embed(frame["continuous"], frame["indices"], held, frame["delay"])
        y, state = policy.backbone.step(x, state)
        units.append(torch.cat([y, rows], dim=-1))
        own.append(held)
        noise = torch.rand(held.shape, generator=generator, device=held.device)
        held = policy.head.sample(units[-1], noise)
        chosen.append(held)
    return torch.stack(units, dim=1), torch.stack(own, dim=1), torch.stack(chosen, dim=1), state
