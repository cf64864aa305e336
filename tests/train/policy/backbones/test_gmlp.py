"""Blocks are the paper's with weights that depend on distance."""

import torch
from torch import Tensor
from torch.nn import functional as F

from train.policy.backbones.gmlp import GmlpBlock

WIDTH, WINDOW = 12, 10


def build() -> GmlpBlock:
    torch.manual_seed(3)
    block = GmlpBlock(WIDTH, WINDOW, dropout=0.0).double().eval()
    block.gate_weight.data.normal_()  # it begins near zero
    return block


def noise(frames: int, seed: int) -> Tensor:
    return torch.randn(1, frames, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_block_is_the_papers_gate_frame_by_frame() -> None:
    block = build()
    x = noise(30, 1)[0]
    with torch.no_grad():
        found, (past,) = block(x[None], block.initial_state(1))
        z1, z2 = F.gelu(F.linear(block.norm(x), block.in_proj.weight, block.in_proj.bias)).chunk(2, dim=-1)
        z2 = block.gate_norm(z2)
        groups, channels = 8, 2 * WIDTH // 8
        expected = []
        for t in range(30):
            gate = torch.empty(2 * WIDTH, dtype=torch.float64)
            for group in range(groups):
                part = slice(group * channels, (group + 1) * channels)
                gate[part] = block.gate_bias[group]
                for distance in range(min(WINDOW, t + 1)):
                    gate[part] += block.gate_weight[group, distance] * z2[t - distance, part]
            expected.append(x[t] + F.linear(z1[t] * gate, block.out_proj.weight, block.out_proj.bias))
    assert float((found[0] - torch.stack(expected)).abs().max()) <= 1e-12
    assert torch.equal(past[0].transpose(0, 1).flatten(1), z2[31 - WINDOW :])


def test_a_fresh_block_is_nearly_a_feed_forward_one() -> None:
    torch.manual_seed(4)
    block = GmlpBlock(WIDTH, WINDOW, dropout=0.0).double().eval()
    x = noise(30, 2)
    with torch.no_grad():
        found, _ = block(x, block.initial_state(1))
        kept, _ = F.gelu(block.in_proj(block.norm(x))).chunk(2, dim=-1)
        plain = x + block.out_proj(kept)
    assert 0 < float((found - plain).abs().max()) < 0.02


def test_groups_divide_any_width() -> None:
    assert [GmlpBlock(width, 4, 0.0).groups for width in (1, 6, 12, 17, 256)] == [2, 4, 8, 2, 8]


def test_a_window_of_one_frame_remembers_nothing() -> None:
    block = GmlpBlock(WIDTH, 1, 0.0).double().eval()
    x = noise(5, 3)
    with torch.no_grad():
        found, (past,) = block(x, block.initial_state(1))
        stepped, _ = block.step(x[:, 3], block.initial_state(1))
    assert past.shape == (1, 8, 0, 3)
    assert float((found[:, 3] - stepped).abs().max()) <= 1e-15
