"""Mamba-2: a selective state-space backbone in its matrix ("SSD") form.

Dao & Gu 2024, *Transformers are SSMs* (arXiv 2405.21060); the chunked form is its Listing 1, the block its figure 6.

    B batch   T frames   D width   E = 2D inner width   P channels per head   H = E / P heads   N state size per channel
    x  input of the recurrence [B, T, H, P]      A  decay rate of a head, negative [H]
    dt step size, after softplus [B, T, H]       B_, C_  input and output maps, shared by all heads [B, T, N]
    h  state [B, H, P, N]:   h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t^T      y_t = h_t C_t

Within a chunk of 64 frames the recurrence is two matrix products; chunks are chained by h. A is derived from its logarithm at
every call, because a cached A goes stale after an optimizer step.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.policy.backbones.base import Dropout, LayerNorm, Stack
from train.policy.config import Shape

CHUNK = 64
CONV_WIDTH = 4
MOST_CHANNELS = 64
"""P, of a head; a narrower one where the inner width is not a multiple of it."""
STATE_SIZE = 64

LayerState = tuple[Tensor, Tensor]
"""(conv [B, CONV_WIDTH - 1, E + 2N] newest inputs last, h [B, H, P, N])."""


class Mamba(Stack):
    """A stack of Mamba-2 blocks; the state is one ``LayerState`` per block."""

    def __init__(self, shape: Shape) -> None:
        super().__init__((MambaBlock(width, shape.dropout) for width in shape.hidden_sizes), shape.output_width)


def ssd(x: Tensor, dt: Tensor, A: Tensor, B_: Tensor, C_: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """The state-space recurrence over whole chunks.

    Args:
        x: [B, T, H, P]
        dt: [B, T, H], positive.
        A: [H], negative.
        B_: [B, T, N]
        C_: [B, T, N]
        h: [B, H, P, N] state before the first frame.

    Returns:
        y [B, T, H, P] and the state after the last frame.
    """
    outputs = []
    for start in range(0, x.shape[1], CHUNK):
        part = slice(start, start + CHUNK)
        y, h = _chunk(x[:, part], dt[:, part], A, B_[:, part], C_[:, part], h)
        outputs.append(y)
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)), h


def _chunk(x: Tensor, dt: Tensor, A: Tensor, B_: Tensor, C_: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    log_decay = torch.cumsum((dt * A).transpose(1, 2), dim=-1)  # [B, H, T]
    num_frames = x.shape[1]
    past = torch.ones(num_frames, num_frames, dtype=torch.bool, device=x.device).tril()
    span = log_decay.unsqueeze(-1) - log_decay.unsqueeze(-2)  # decay from frame s (column) to frame t (row)
    decay = torch.exp(span.masked_fill(~past, -math.inf))
    weights = decay * (C_ @ B_.transpose(1, 2)).unsqueeze(1)  # [B, H, T, T]
    dx = (x * dt.unsqueeze(-1)).transpose(1, 2)  # [B, H, T, P]
    carried = torch.einsum("btn,bhpn->bhtp", C_, h) * torch.exp(log_decay).unsqueeze(-1)
    y = (weights @ dx + carried).transpose(1, 2)
    to_end = torch.exp(log_decay[..., -1:] - log_decay)  # [B, H, T]
    new = torch.einsum("bhtp,btn->bhpn", dx * to_end.unsqueeze(-1), B_)
    return y, h * torch.exp(log_decay[..., -1])[..., None, None] + new


class MambaBlock(nn.Module):
    """One residual Mamba-2 block."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.inner = 2 * width
        self.head_channels = max(p for p in range(1, MOST_CHANNELS + 1) if self.inner % p == 0)
        self.num_heads = self.inner // self.head_channels
        mixed = self.inner + 2 * STATE_SIZE
        self.norm = LayerNorm(width)
        self.in_proj = nn.Linear(width, self.inner + mixed + self.num_heads, bias=False)
        self.conv_weight = nn.Parameter(torch.empty(mixed, CONV_WIDTH).uniform_(-0.5, 0.5))
        self.conv_bias = nn.Parameter(torch.zeros(mixed))
        dt = torch.exp(torch.empty(self.num_heads).uniform_(math.log(1e-3), math.log(1e-1)))
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))  # softplus of it is dt
        self.log_rate = nn.Parameter(torch.log(torch.empty(self.num_heads).uniform_(1, 16)))
        self.skip = nn.Parameter(torch.ones(self.num_heads))
        self.out_norm = LayerNorm(self.inner)
        self.out_proj = nn.Linear(self.inner, width, bias=False)
        self.dropout = Dropout(dropout)

    def initial_state(self, batch: int) -> LayerState:
        """No past inputs and an empty state: all zeros."""
        like = self.dt_bias
        conv = like.new_zeros(batch, CONV_WIDTH - 1, self.inner + 2 * STATE_SIZE)
        return conv, like.new_zeros(batch, self.num_heads, self.head_channels, STATE_SIZE)

    def forward(self, u: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """[B, T, D] to [B, T, D]."""
        conv, h = state
        z, mixed, dt = self._split(u)
        window = torch.cat([conv, mixed], dim=1)
        mixed = F.conv1d(window.transpose(1, 2), self.conv_weight.unsqueeze(1), self.conv_bias, groups=mixed.shape[-1])
        x, B_, C_ = self._maps(F.silu(mixed.transpose(1, 2)))
        y, h = ssd(x, dt, -torch.exp(self.log_rate), B_, C_, h)
        return u + self._out(y + x * self.skip.unsqueeze(-1), z), (window[:, 1 - CONV_WIDTH :], h)

    def step(self, u: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """[B, D] to [B, D]."""
        conv, h = state
        z, mixed, dt = self._split(u)
        window = torch.cat([conv, mixed.unsqueeze(1)], dim=1)
        mixed = (window * self.conv_weight.t()).sum(dim=1) + self.conv_bias
        x, B_, C_ = self._maps(F.silu(mixed))
        x, dt = x.unsqueeze(-1), dt[..., None, None]  # at once as wide as h: every reshaping is a node of the graph
        decay = torch.exp(dt * -torch.exp(self.log_rate)[:, None, None])
        h = h * decay + x * dt * B_[:, None, None, :]
        y = h @ C_[:, None, :, None] + x * self.skip[:, None, None]
        return u + self._out(y.squeeze(-1), z), (window[:, 1:], h)

    def _split(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        sizes = [self.inner, self.inner + 2 * STATE_SIZE, self.num_heads]
        z, mixed, dt = torch.split(self.in_proj(self.norm(u)), sizes, dim=-1)
        return z, mixed, F.softplus(dt + self.dt_bias)

    def _maps(self, mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, B_, C_ = torch.split(mixed, [self.inner, STATE_SIZE, STATE_SIZE], dim=-1)
        return torch.unflatten(x, -1, (self.num_heads, self.head_channels)), B_, C_

    def _out(self, y: Tensor, z: Tensor) -> Tensor:
        return cast(Tensor, self.dropout(self.out_proj(self.out_norm(y.flatten(-2) * F.silu(z)))))
