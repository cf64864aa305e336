"""gMLP: feed-forward blocks whose hidden units are gated by a learned sum over the last frames.

Liu et al. 2021, *Pay Attention to MLPs* (arXiv 2105.08050), figure 1; its spatial weights depend on the distance between frames
only (Toeplitz), and no frame sees a later one.

    B batch   T frames   D width   E = 2D gated width   W window   G groups of channels that share weights, c = E / G each
    z1, z2 [B, T, E]     u1 to be gated, u2 normed      past  the newest W - 1 frames of u2 [B, G, W - 1, c], newest last
    gate_t = bias_g + Σ_{j<W} weight_{g,j} u2_{t-j}     y = x + out_proj(u1 ∘ gate)

At the start the weights are near zero and the biases one, so a block begins as a plain feed-forward one. With L layers a
frame sees L(W - 1) + 1 frames.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.policy.backbones.base import Dropout, LayerNorm, Stack
from train.policy.config import Shape

MOST_GROUPS = 8
"""G; fewer where the gated width is not a multiple of it."""

LayerState = tuple[Tensor]
"""(past [B, G, W - 1, c],)"""


class Gmlp(Stack):
    """A stack of gMLP blocks; the state is one ``LayerState`` per block."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(
            (GmlpBlock(width, shape.lookback, shape.dropout) for width in shape.hidden_sizes), shape.output_width
        )


class GmlpBlock(nn.Module):
    """One residual gMLP block."""

    def __init__(self, width: int, window: int, dropout: float) -> None:
        super().__init__()
        self.gated = 2 * width
        self.groups = math.gcd(MOST_GROUPS, self.gated)
        self.norm = LayerNorm(width)
        self.in_proj = nn.Linear(width, 2 * self.gated)
        self.gate_norm = LayerNorm(self.gated)
        self.gate_weight = nn.Parameter(torch.empty(self.groups, window).uniform_(-1e-3, 1e-3))
        self.gate_bias = nn.Parameter(torch.ones(self.groups))
        self.out_proj = nn.Linear(self.gated, width)
        self.dropout = Dropout(dropout)

    def initial_state(self, batch: int) -> LayerState:
        """No past frames: all zeros, which add nothing to a gate."""
        groups, window = self.gate_weight.shape
        return (self.gate_weight.new_zeros(batch, groups, window - 1, self.gated // groups),)

    def forward(self, x: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """[B, T, D] to [B, T, D]."""
        kept, gating = self._split(x)
        seen = torch.cat(
            [state[0], torch.unflatten(gating, -1, (self.groups, -1)).transpose(1, 2)], dim=2
        )  # [B, G, W-1+T, c]
        gate = torch.einsum("gts,bgsc->btgc", self._weights(x.shape[1]), seen)
        return self._out(x, kept, gate), (self._newest(seen),)

    def step(self, x: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """[B, D] to [B, D]."""
        kept, gating = self._split(x)
        seen = torch.cat([state[0], torch.unflatten(gating, -1, (self.groups, 1, -1))], dim=2)  # [B, G, W, c]
        gate = self.gate_weight.flip(1).unsqueeze(1) @ seen
        return self._out(x, kept, gate.squeeze(2)), (self._newest(seen),)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, gating = F.gelu(self.in_proj(self.norm(x))).chunk(2, dim=-1)
        return kept, self.gate_norm(gating)

    def _weights(self, num_frames: int) -> Tensor:
        """Of frame s of ``seen`` (column) for frame t (row), [G, T, W - 1 + T]."""
        window = self.gate_weight.shape[1]
        frames = torch.arange(num_frames, device=self.gate_weight.device)
        age = frames.unsqueeze(1) + window - 1 - torch.arange(window - 1 + num_frames, device=frames.device)
        is_seen = (age >= 0) & (age < window)
        weights: Tensor = self.gate_weight[:, age.clamp(0, window - 1)] * is_seen
        return weights

    def _newest(self, seen: Tensor) -> Tensor:
        return seen[:, :, seen.shape[2] - self.gate_weight.shape[1] + 1 :]

    def _out(self, x: Tensor, kept: Tensor, gate: Tensor) -> Tensor:
        """``gate`` [..., G, c] is still without its bias."""
        gated = kept * (gate + self.gate_bias.unsqueeze(-1)).flatten(-2)
        return x + cast(Tensor, self.dropout(self.out_proj(gated)))
