"""Sliding-window attention: each frame attends to itself and the W - 1 frames before it.

Beltagy et al. 2020 (arXiv 2004.05150) for the window, Su et al. 2021 (arXiv 2104.09864) for rotary positions,
Dai et al. 2019 (arXiv 1901.02860) for keys carried from window to window.

    B batch   T frames   D width   W attention window   h heads   c = D / h channels per head
    q, k, v [B, h, T, c]      ring  the newest W keys and values [B, h, W, c], frame p in slot p mod W

Rotary frequencies are whole multiples of 2π/4096, so positions repeat exactly and a key keeps its rotation in the ring however
long the game lasts. With L layers a frame sees L(W - 1) + 1 frames.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.policy.backbones.base import Dropout, LayerNorm, Stack
from train.policy.config import Shape

PERIOD = 4096
"""Frames after which rotary positions repeat; must exceed the attention window."""

LayerState = tuple[Tensor, Tensor, Tensor]
"""(keys [B, h, W, c], values [B, h, W, c], frames seen int64 [B])."""


class SlidingWindow(Stack):
    """Attention in every ``attention_every``-th block, feed-forward alone in the others."""

    def __init__(self, shape: Shape) -> None:
        blocks = (
            AttentionBlock(width, shape.num_heads, shape.lookback, shape.dropout)
            if is_attention
            else FeedForward(width, shape.dropout)
            for width, is_attention in zip(shape.hidden_sizes, shape.attention_layers, strict=True)
        )
        super().__init__(blocks, shape.output_width)


class AttentionBlock(nn.Module):
    """One residual attention layer and its residual feed-forward."""

    def __init__(self, width: int, num_heads: int, window: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.window = num_heads, window
        self.norm = LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out_proj = nn.Linear(width, width, bias=False)
        self.dropout = Dropout(dropout)
        self.feed_forward = FeedForward(width, dropout)
        self.register_buffer("turns", _turns(width // num_heads), persistent=False)

    turns: Tensor

    def initial_state(self, batch: int) -> LayerState:
        """An empty ring: all zeros."""
        weight = self.out_proj.weight
        channels = weight.shape[0] // self.num_heads
        ring = weight.new_zeros(batch, self.num_heads, self.window, channels)
        return ring, ring.clone(), torch.zeros(batch, dtype=torch.int64, device=weight.device)

    def forward(self, x: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """[B, T, D] to [B, T, D]."""
        keys, values, seen = state
        frames = seen.unsqueeze(1) + torch.arange(x.shape[1], device=x.device)  # [B, T]
        q, k, v = self._project(x, frames)
        ring_frames = self._ring_frames(seen)  # [B, W]
        source_frames = torch.cat([ring_frames, frames], dim=1)
        age = frames.unsqueeze(2) - source_frames.unsqueeze(1)  # [B, T, W + T]
        mask = (age >= 0) & (age < self.window) & (source_frames >= 0).unsqueeze(1)
        attended = F.scaled_dot_product_attention(
            q, torch.cat([keys, k], dim=2), torch.cat([values, v], dim=2), attn_mask=mask.unsqueeze(1)
        )
        x = self._mix(x, attended.transpose(1, 2).flatten(-2))
        newest = slice(-self.window, None)
        state = (
            self._write(keys, k[:, :, newest], frames),
            self._write(values, v[:, :, newest], frames),
            seen + x.shape[1],
        )
        return x, state

    def step(self, x: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """[B, D] to [B, D]."""
        keys, values, seen = state
        frames = seen.unsqueeze(1)
        heads, channels = self.num_heads, keys.shape[-1]
        qk, v = torch.split(self.qkv(self.norm(x)), [2 * x.shape[-1], x.shape[-1]], dim=-1)
        qk = _rotate(qk.reshape(-1, 2 * heads, 1, channels), *self._angles(frames, x.dtype))
        q, k = qk.chunk(2, dim=1)
        v = v.reshape(-1, heads, 1, channels)
        keys, values = self._write(keys, k, frames), self._write(values, v, frames)
        mask = self._ring_frames(seen + 1) >= 0
        attended = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask[:, None, None, :])
        return self._mix(x, attended.reshape(x.shape)), (keys, values, seen + 1)

    def _project(self, x: Tensor, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        qkv = self.qkv(self.norm(x)).unflatten(-1, (3, self.num_heads, -1))  # [B, T, 3, h, c]
        q, k, v = (part.squeeze(2).transpose(1, 2) for part in qkv.split(1, dim=2))
        cos, sin = self._angles(frames, x.dtype)
        return _rotate(q, cos, sin), _rotate(k, cos, sin), v

    def _angles(self, frames: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosine and sine [B, 1, T, c / 2] of how far the channels have turned at frames [B, T]."""
        angle = (frames.unsqueeze(1).unsqueeze(-1) * self.turns % PERIOD).to(dtype) * (2 * torch.pi / PERIOD)
        return torch.cos(angle), torch.sin(angle)

    def _ring_frames(self, seen: Tensor) -> Tensor:
        """The frame in each slot [B, W] after ``seen`` frames; negative where the slot is still empty."""
        slots = torch.arange(self.window, device=seen.device)
        last = seen.unsqueeze(1) - 1
        return last - (last - slots) % self.window

    def _write(self, ring: Tensor, new: Tensor, frames: Tensor) -> Tensor:
        slots = (frames[:, -new.shape[2] :] % self.window)[:, None, :, None].expand_as(new)
        written: Tensor = ring.scatter(2, slots, new.to(ring.dtype))
        return written

    def _mix(self, x: Tensor, attended: Tensor) -> Tensor:
        return cast(Tensor, self.feed_forward(x + self.dropout(self.out_proj(attended))))


class FeedForward(nn.Module):
    """A residual two-layer feed-forward of four times the width."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] to [..., D]."""
        y: Tensor = x + self.dropout(self.down(F.gelu(self.up(self.norm(x)))))
        return y


def _turns(channels: int) -> Tensor:
    """How often each pair of channels turns in PERIOD frames, int64 [c / 2]: from once to once every four frames."""
    turns: Tensor = torch.logspace(0, 10, channels // 2, base=2, dtype=torch.float64).round().long()
    return turns


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    even, odd = x.chunk(2, dim=-1)
    return torch.cat([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
