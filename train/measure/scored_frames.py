"""Score frames: what a policy predicted of N frames beside what the players did, worked out once for all measurements.

The logits are teacher-forced, so each component of the autoregressive head is scored given the *true* earlier ones. Its
likeliest class is therefore not always the one in the likeliest controller, but whether a whole controller is right comes out
the same.

``Controls`` says what a codec's classes do to the 13 numbers of a controller (four axes, the trigger, eight buttons). They
are the measure that policies of all codecs share.

Legend: N frames, K components, S class columns, J controls.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dataset.codecs.base import Codec
from dataset.errors import CheckpointError
from dataset.melee.controller import BUTTONS, CONTROLS, NEUTRAL, controller_floats
from train.policy.components import Components, component_nll

OVERALL_WEIGHTS = {"main_x": 0.2, "main_y": 0.2, "c_x": 0.1, "c_y": 0.1, "trigger": 0.1}
"""What these controls count in the overall accuracy; the buttons share the remaining 0.3 equally."""

MAIN_STICK = ("main_x", "main_y")

TOP = 3
"""``within_top`` asks whether a class is among this many likeliest."""


@dataclass(frozen=True, eq=False)
class Controls:
    """The controls of a codec: which component sets each of them, and to what.

    Each control belongs to one component, which sets it alone, or together with others as a stick or a mask of buttons. In
    ``axis17`` L, R and Z move the trigger too; it belongs to the component with the most different values of it.
    """

    names: tuple[str, ...]
    owners: tuple[int, ...]
    """The component of each control."""
    columns: tuple[int, ...]
    """Where each component's classes begin among the S columns."""
    values: Tensor
    """float32 [S, J]: the control's value under a class of its component; 0 under all other classes."""

    @classmethod
    def of(cls, codec: Codec) -> "Controls":
        """The controls of a codec, found by decoding every class."""
        components = Components.of(codec)
        tables = [_decoded(codec, k, size) for k, size in enumerate(components.sizes)]
        levels = np.array([[len(np.unique(table[:, j])) for table in tables] for j in range(len(CONTROLS))])
        owners = levels.argmax(axis=1)
        rows = [torch.from_numpy(table * (owners == k)).float() for k, table in enumerate(tables)]
        return cls(CONTROLS, tuple(owners.tolist()), components.columns, torch.cat(rows))

    @property
    def buttons(self) -> list[int]:
        """The places of the buttons among the controls."""
        known = [name for name, _ in BUTTONS]
        return [j for j, name in enumerate(self.names) if name in known]

    @property
    def main_stick(self) -> list[int]:
        """The places of the main stick's axes among the controls."""
        return [self.names.index(name) for name in MAIN_STICK if name in self.names]

    @property
    def overall_weights(self) -> Tensor:
        """float64 [J]: what each control counts in the overall accuracy."""
        known = [OVERALL_WEIGHTS.get(name) for name in self.names]
        share = (1 - sum(OVERALL_WEIGHTS.values())) / max(known.count(None), 1)
        weights = [share if weight is None else weight for weight in known]
        return torch.tensor(weights, dtype=torch.float64, device=self.values.device)

    def to(self, device: torch.device | str) -> "Controls":
        """The same on another device."""
        return Controls(self.names, self.owners, self.columns, self.values.to(device))

    def of_classes(self, classes: Tensor) -> Tensor:
        """Values [N, J] of classes int64 [N, K], each control by its own component alone."""
        owned = classes[:, list(self.owners)] + self.values.new_tensor([self.columns[k] for k in self.owners]).long()
        return self.values[owned, torch.arange(len(self.names), device=classes.device)]

    def pressed(self, shares: Tensor) -> Tensor:
        """The probability [N, buttons] of each button: the sum over the classes that press it, of shares [N, S]."""
        return shares @ self.values[:, self.buttons]


def _decoded(codec: Codec, k: int, size: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """The 13 numbers [size, 13] under every class of component ``k``, all other components at rest."""
    classes = np.repeat(codec.encode(NEUTRAL[None]), size, axis=0)
    classes[:, k] = np.arange(size)
    return controller_floats(codec.decode(classes))


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoredFrames:
    """N frames with the true, previous and sampled controllers, and what was predicted."""

    target: Tensor
    """int64 [N, K]"""
    previous: Tensor
    """int64 [N, K]"""
    sampled: Tensor
    """int64 [N, K]"""
    shares: Tensor
    """float32 [N, S] probability of every class of every component."""
    nll: Tensor
    """float32 [N, K] nats of the target."""
    best: Tensor
    """int64 [N, K] the likeliest classes."""
    within_top: Tensor
    """bool [N, K] whether the target is among the likeliest ``TOP``."""
    confidence: Tensor
    """float32 [N, K] probability of the likeliest class."""
    values: Tensor
    """float32 [N, J] controls of the target."""
    best_values: Tensor
    """float32 [N, J] controls of the likeliest classes."""
    previous_values: Tensor
    """float32 [N, J] controls of the previous controller."""
    sampled_values: Tensor
    """float32 [N, J] controls of the sampled controller."""
    main_stick: list[int]
    """The places of the main stick's axes among the controls."""

    @property
    def is_change(self) -> Tensor:
        """Whether the target differs from the previous controller in any component, bool [N]."""
        return (self.target != self.previous).any(dim=1)

    @property
    def is_stick_change(self) -> Tensor:
        """Whether the target's main stick differs from the previous one, bool [N]."""
        main = self.main_stick
        return (self.values[:, main] != self.previous_values[:, main]).any(dim=1)

    @property
    def is_stick_right(self) -> Tensor:
        """Whether both axes of the likeliest main stick are right, bool [N]."""
        return (self.values[:, self.main_stick] == self.best_values[:, self.main_stick]).all(dim=1)


def score_frames(
    logits: Tensor, sampled: Tensor, target: Tensor, previous: Tensor, components: Components, controls: Controls
) -> ScoredFrames:
    """Score N frames, given logits [N, S] and the sampled, true and previous classes [N, K].

    Raises:
        CheckpointError: the logits of a frame give no probabilities.
    """
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
    likeliest, certainty = torch.cat(best, dim=1), torch.cat(confidence, dim=1)
    if certainty.isnan().any():
        raise CheckpointError(
            "policy: must give every class a probability, found frames without any, so its weights are damaged or its training "
            "diverged; take another checkpoint, or train again"
        )
    return ScoredFrames(
        target=target,
        previous=previous,
        sampled=sampled,
        shares=torch.cat(shares, dim=1),
        nll=component_nll(logits, target, components),
        best=likeliest,
        within_top=torch.cat(within_top, dim=1),
        confidence=certainty,
        values=controls.of_classes(target),
        best_values=controls.of_classes(likeliest),
        previous_values=controls.of_classes(previous),
        sampled_values=controls.of_classes(sampled),
        main_stick=controls.main_stick,
    )
