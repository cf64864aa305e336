"""A policy: inputs, backbone and head together, for windows in training and for single frames in play.

``forward`` takes windows [B, T, …] with the targets (which the autoregressive head is given) and returns logits; ``step``
takes one frame [B, …] with noise and returns the classes to play. Both carry the same state. ``step`` never resets: whoever
starts a game begins with ``initial_state``.

Legend: B batch, T frames in the window, C features, I indices, K components, S class columns, D width.
"""

import torch
from torch import Tensor, nn

from train.policy.backbones.base import Backbone, State, build_backbone, reset_rows
from train.policy.config import HEADS, PolicyConfig
from train.policy.embed import Embed
from train.policy.heads import Head


class Policy(nn.Module):
    """One imitation policy, built from its config alone."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.codec = codec = config.controller_codec
        shape = config.shape
        self.prev_dropout = config.prev_dropout
        self.embed = Embed(codec, shape.input_width, config.modes, config.features)
        self.backbone: Backbone = build_backbone(config.backbone, shape)
        self.dropout = nn.Dropout(config.dropout)
        self.head = Head(codec, shape.output_width, is_autoregressive=HEADS[config.head])

    def initial_state(self, batch: int) -> State:
        """The state of ``batch`` games before their first frame."""
        return self.backbone.initial_state(batch)

    def forward(
        self,
        continuous: Tensor,
        indices: Tensor,
        previous: Tensor,
        delay: Tensor,
        target: Tensor,
        state: State,
        reset: Tensor,
    ) -> tuple[Tensor, State]:
        """Teacher-forced logits of a window.

        Args:
            continuous: [B, T, C] features.
            indices: [B, T, I] embedding indices.
            previous: [B, T, K] classes of the newest committed controller.
            delay: [B] frames between seeing and acting.
            target: [B, T, K] classes to predict.
            state: carried from the window before.
            reset: [B] rows that begin a replay here and forget what was before.

        Returns:
            Logits [B, T, S] and the state after the last frame.
        """
        y, state = self.features(continuous, indices, previous, delay, state, reset)
        return self.head(y, target), state

    def features(
        self, continuous: Tensor, indices: Tensor, previous: Tensor, delay: Tensor, state: State, reset: Tensor
    ) -> tuple[Tensor, State]:
        """What the head is given of a window, [B, T, D + S], and the state after it; arguments as for ``forward``."""
        state = reset_rows(state, self.initial_state(len(reset)), reset)
        delays = delay[:, None].expand(previous.shape[:2])
        x, held = self.embed(continuous, indices, previous, delays, self._is_known(previous))
        y, state = self.backbone(x, state)
        return torch.cat([self.dropout(y), held], dim=-1), state

    def step(
        self,
        continuous: Tensor,
        indices: Tensor,
        previous: Tensor,
        delay: Tensor,
        noise: Tensor,
        state: State,
        temperature: float | Tensor = 1.0,
    ) -> tuple[Tensor, State]:
        """One frame of each game: continuous [B, C], indices [B, I], previous [B, K], delay [B], noise [B, K] uniforms.

        Returns:
            Classes int64 [B, K] and the next state.
        """
        x, held = self.embed(continuous, indices, previous, delay)
        y, state = self.backbone.step(x, state)
        return self.head.sample(torch.cat([y, held], dim=-1), noise, temperature), state

    def _is_known(self, previous: Tensor) -> Tensor | None:
        """[B, T]: in training, hides the previous controller of a share of the rows for their whole window."""
        if not self.training or self.prev_dropout == 0.0:
            return None
        kept = torch.rand(len(previous), 1, device=previous.device) >= self.prev_dropout
        return kept.expand(previous.shape[:2])
