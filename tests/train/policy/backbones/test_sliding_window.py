"""Attention is what it should be, and positions are relative however long the game lasts."""

import torch
from torch import Tensor
from torch.nn import functional as F

from train.policy.backbones.sliding_window import PERIOD, AttentionBlock, SlidingWindow
from train.policy.config import Shape

WIDTH, WINDOW, LAYERS = 16, 10, 2


def build() -> SlidingWindow:
    torch.manual_seed(3)
    return SlidingWindow(Shape(hidden_sizes=(WIDTH,) * LAYERS, num_heads=2, lookback=WINDOW)).double().eval()


def noise(frames: int, seed: int) -> Tensor:
    return torch.randn(1, frames, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_only_the_distance_between_frames_counts_even_where_positions_repeat() -> None:
    """The same frames after prefixes of other lengths, one of them across the period of the rotary positions."""
    backbone, x = build(), noise(80, 1)
    seen = LAYERS * (WINDOW - 1) + 1
    outputs = []
    with torch.no_grad():
        for prefix in (7, PERIOD - 40):
            _, state = backbone(noise(prefix, 2), backbone.initial_state(1))
            outputs.append(backbone(x, state)[0][:, seen:])
    assert float((outputs[0] - outputs[1]).abs().max()) <= 1e-12


def test_a_block_attends_as_plain_attention_with_a_banded_mask_would() -> None:
    torch.manual_seed(4)
    block = AttentionBlock(WIDTH, num_heads=2, window=WINDOW, dropout=0.0).double().eval()
    x = noise(30, 5)
    frames = torch.arange(30)
    with torch.no_grad():
        q, k, v = block._project(x, frames[None])
        age = frames[:, None] - frames[None, :]
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=(age >= 0) & (age < WINDOW))
        expected = block._mix(x, attended.transpose(1, 2).flatten(-2))
        found, _ = block(x, block.initial_state(1))
    assert float((found - expected).abs().max()) <= 1e-12
