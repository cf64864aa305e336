"""A policy's step up to sampling, with everything that is known beforehand multiplied out, for the exported graph.

An input is a table row passed through one linear layer, so each row is multiplied by that layer once, here, and a frame only
adds the rows it names: fewer and smaller operations, and only those rows are read from memory. The tables are found by
probing the policy's own ``Embed`` in float64, one value at a time, so no embedding is implemented twice. Components that
together make one float of the controller (in ``axis17`` the trigger, L, R and Z) share one table of all their combinations.

Legend: B batch, C features, I indices, K components, D width, M hidden units.
"""

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dataset.features.layout import FEATURES, INDICES
from train.policy.backbones.base import State
from train.policy.embed import Embed
from train.policy.policy import Policy


class FoldedStep(nn.Module):
    """One frame [B, …] to the head's hidden units [B, K·M] before any class is chosen, and the state."""

    places: Tensor
    offsets: Tensor
    table: Tensor
    weight: Tensor

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.norm, self.backbone, self.hidden = policy.embed.norm, policy.backbone, policy.head.hidden
        embed = copy.deepcopy(policy.embed).double()
        groups = [[i] for i in range(len(INDICES))]
        groups += [[len(INDICES) + k for k in group] for group in joint_components(embed)]
        sizes = [size for _, size in INDICES] + list(embed.components.sizes)
        project = _probe(embed)
        base = project(torch.zeros(1, len(sizes), dtype=torch.int64), _given())
        tables = [project(ids, _given()) - base for ids in _combinations(groups, sizes)]
        tables[0] += base  # each frame names one row of the first table, so it also holds what all frames share
        self.register_buffer("table", torch.cat(tables).float())
        starts = [sum(map(len, tables[:g])) for g in range(len(groups))]
        self.register_buffer("offsets", torch.tensor(starts))
        self.register_buffer("places", _strides(groups, sizes))
        nothing = torch.zeros(len(FEATURES) + 1, len(sizes), dtype=torch.int64)
        unit = torch.eye(len(FEATURES) + 1, dtype=torch.float64)
        self.register_buffer("weight", (project(nothing, unit) - base).float())

    def forward(
        self, continuous: Tensor, indices: Tensor, previous: Tensor, delay: Tensor, *leaves: Tensor
    ) -> tuple[Tensor, ...]:
        """Hidden units, then the leaves of the next state.

        Args:
            continuous: float32 [B, C].
            indices: int64 [B, I].
            previous: int64 [B, K].
            delay: float32 [B].
            leaves: the state's tensors, in the order of ``leaves_of``.
        """
        named = torch.cat([indices, previous], dim=1) @ self.places + self.offsets
        given = torch.cat([continuous, delay[:, None]], dim=1)
        x = self.norm(torch.addmm(F.embedding(named, self.table).sum(dim=1), given, self.weight))
        y, state = self.backbone.step(x, as_state(self.backbone.initial_state(1), iter(leaves)))
        return self.hidden(y), *leaves_of(state)


def leaves_of(state: State) -> list[Tensor]:
    """The tensors of a state in order."""
    return [leaf for part in state for leaf in ([part] if isinstance(part, Tensor) else leaves_of(part))]


def as_state(like: State, leaves: Iterator[Tensor]) -> State:
    """A state nested like ``like`` whose tensors are ``leaves``."""
    return tuple(next(leaves) if isinstance(part, Tensor) else as_state(part, leaves) for part in like)


def joint_components(embed: Embed) -> list[list[int]]:
    """Components in groups; those that together make one float of the controller are in the same group."""
    groups = [[k] for k in range(len(embed.components.sizes))]
    for acts in (embed.controller_floats.strides != 0).T.tolist():
        joined = [group for group in groups if any(acts[k] for k in group)]
        groups = [group for group in groups if group not in joined]
        groups.append(sorted(k for group in joined for k in group))
    return sorted(group for group in groups if group)


def _given() -> Tensor:
    return torch.zeros(1, len(FEATURES) + 1, dtype=torch.float64)


def _probe(embed: Embed) -> Callable[[Tensor, Tensor], Tensor]:
    """A function that projects ids [N, I + K] and features with delay [N, C + 1] as ``embed`` does before it normalises them."""
    seen: list[Tensor] = []
    embed.project.register_forward_hook(lambda module, inputs, output: seen.append(output))

    @torch.no_grad()
    def project(ids: Tensor, given: Tensor) -> Tensor:
        given = given.expand(len(ids), -1)
        embed(given[:, :-1], ids[:, : len(INDICES)], ids[:, len(INDICES) :], given[:, -1])
        return seen.pop()

    return project


def _combinations(groups: list[list[int]], sizes: list[int]) -> Iterator[Tensor]:
    """For each group, ids [N, I + K] of every combination of its members, all other ids 0."""
    for group in groups:
        grid = torch.cartesian_prod(*[torch.arange(sizes[i]) for i in group]).reshape(-1, len(group))
        ids = torch.zeros(len(grid), len(sizes), dtype=torch.int64)
        ids[:, group] = grid
        yield ids


def _strides(groups: list[list[int]], sizes: list[int]) -> Tensor:
    """int64 [I + K, groups]: multiplied by ids this gives their rows in the order of ``_combinations``."""
    strides = torch.zeros(len(sizes), len(groups), dtype=torch.int64)
    for g, group in enumerate(groups):
        for place, i in enumerate(group):
            strides[i, g] = int(torch.tensor([sizes[later] for later in group[place + 1 :]]).prod())
    return strides
