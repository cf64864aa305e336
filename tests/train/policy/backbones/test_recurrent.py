"""Recurrent layers: each adds to its inputs what PyTorch's own layer makes of them, normalised."""

import pytest
import torch
from torch import nn

from train.policy.backbones.gru import GruBlock
from train.policy.backbones.lstm import LstmBlock

WIDTH = 12


@pytest.mark.parametrize(("kind", "own"), [(GruBlock, nn.GRU), (LstmBlock, nn.LSTM)])
def test_a_block_adds_pytorchs_layer_to_its_inputs(kind: type[nn.Module], own: type[nn.RNNBase]) -> None:
    torch.manual_seed(5)
    block = kind(WIDTH, 0.0).double().eval()
    block.norm.weight.data.normal_()
    block.norm.bias.data.normal_()
    plain = own(WIDTH, WIDTH, batch_first=True).double()
    plain.load_state_dict(dict(next(child for child in block.children() if isinstance(child, own)).state_dict()))
    x = torch.randn(2, 30, WIDTH, dtype=torch.float64)
    with torch.no_grad():
        found, _ = block(x, block.initial_state(2))
        normal = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        expected = x + plain(normal * block.norm.weight + block.norm.bias)[0]
    assert float((found - expected).abs().max()) <= 1e-12


@pytest.mark.parametrize("kind", [GruBlock, LstmBlock])
def test_dropout_spares_what_the_layer_was_given(kind: type[nn.Module]) -> None:
    torch.manual_seed(6)
    block = kind(WIDTH, 0.5).train()
    x = torch.randn(200, 5, WIDTH)
    with torch.no_grad():
        share = float((block(x, block.initial_state(200))[0] == x).float().mean())
    assert share == pytest.approx(0.5, abs=0.05)
