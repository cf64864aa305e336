"""Frames with what a policy said of them, worked out once for all that is measured of them.

In: teacher-forced logits, sampled controllers, targets and previous controllers. Out: likelihoods, likeliest classes, and what
the classes do to a controller. The surprise: a component of the autoregressive head is judged given the *true* earlier ones,
so its likeliest class is not always the one in the likeliest controller; whole controllers are right or wrong either way.

Legend: N frames, K components, S class columns, J controls.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from train.measure.controls import Controls
from train.policy.components import Components, component_nll

OVERALL_WEIGHTS = {"main_x": 0.2, "main_y": 0.2, "c_x": 0.1, "c_y": 0.1, "trigger": 0.1}
"""Shares of these controls in the overall accuracy; the buttons have the remaining 0.3 in equal parts."""

MAIN_STICK = ("main_x", "main_y")

TOP = 3
"""A component is right within the top if its class is among this many likeliest."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Judged:
    """N frames of one batch."""

    target: Tensor
    """int64 [N, K]"""
    previous: Tensor
    """int64 [N, K]"""
    sampled: Tensor
    """int64 [N, K]"""
    shares: Tensor
    """float32 [N, S] probability of every class of every component."""
    nll: Tensor
    """float32 [N, K] nats."""
    best: Tensor
    """int64 [N, K] the likeliest classes."""
    within_top: Tensor
    """bool [N, K] whether the target is among the likeliest few."""
    confidence: Tensor
    """float32 [N, K] probability of the likeliest class."""
    values: Tensor
    """float32 [N, J] the controls of the target."""
    best_values: Tensor
    """float32 [N, J] those of the likeliest classes."""
    previous_values: Tensor
    """float32 [N, J] those of the previous controller."""
    sampled_values: Tensor
    """float32 [N, J] those of the sampled controller."""

    main_stick: list[int]
    """Which controls are the main stick's."""

    @property
    def is_change(self) -> Tensor:
        """Whether the target differs from the previous controller in any component, bool [N]."""
        return (self.target != self.previous).any(dim=1)

    @property
    def is_stick_change(self) -> Tensor:
        """Whether the main stick is elsewhere than in the previous controller, bool [N]."""
        main = self.main_stick
        return (self.values[:, main] != self.previous_values[:, main]).any(dim=1)

    @property
    def is_stick_right(self) -> Tensor:
        """Whether both axes of the main stick are as likeliest, bool [N]."""
        return (self.values[:, self.main_stick] == self.best_values[:, self.main_stick]).all(dim=1)


def judge(
    logits: Tensor, sampled: Tensor, target: Tensor, previous: Tensor, components: Components, controls: Controls
) -> Judged:
    """Work out what is said of N frames: logits [N, S], and classes [N, K] sampled, true and previous."""
    target, previous, sampled = target.long(), previous.long(), sampled.long()
    best, within_top, confidence, shares = [], [], [], []
    for group in components.groups:
        probability = group.of(logits).float().softmax(dim=-1)  # [N, count, size]
        classes = target[:, group.first : group.first + group.count, None]
        top = probability.topk(min(TOP, group.size), dim=-1)
        best.append(top.indices[..., 0])
        within_top.append((top.indices == classes).any(dim=-1))
        confidence.append(top.values[..., 0])
        shares.append(probability.flatten(1))
    likeliest = torch.cat(best, dim=1)
    return Judged(
        target=target,
        previous=previous,
        sampled=sampled,
        shares=torch.cat(shares, dim=1),
        nll=component_nll(logits, target, components),
        best=likeliest,
        within_top=torch.cat(within_top, dim=1),
        confidence=torch.cat(confidence, dim=1),
        values=controls.of_classes(target),
        best_values=controls.of_classes(likeliest),
        previous_values=controls.of_classes(previous),
        sampled_values=controls.of_classes(sampled),
        main_stick=[controls.names.index(name) for name in MAIN_STICK if name in controls.names],
    )


def overall_weights(controls: Controls) -> Tensor:
    """float64 [J]: what each control counts in the overall accuracy."""
    known = [OVERALL_WEIGHTS.get(name) for name in controls.names]
    share = (1 - sum(OVERALL_WEIGHTS.values())) / max(known.count(None), 1)
    weights = [share if weight is None else weight for weight in known]
    return torch.tensor(weights, dtype=torch.float64, device=controls.values.device)
