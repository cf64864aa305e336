"""Gated recurrent units (Cho et al. 2014, arXiv:1406.1078), in PyTorch's variant with the reset gate after the product.

Legend, after the PyTorch documentation of ``nn.GRU``: B batch, T frames in the window, D width;
    r reset gate, z update gate, n candidate, h hidden state:
    r = σ(W_ir x + b_ir + W_hr h + b_hr)      z = σ(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r ∘ (W_hn h + b_hn))      h' = n + z ∘ (h − n)
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.policy.backbones.base import Dropout, LayerNorm, Stack
from train.policy.config import Shape

LayerState = tuple[Tensor]
"""(h [B, D],)."""


class Gru(Stack):
    """A stack of ``GruBlock``; the state is one ``LayerState`` per block."""

    def __init__(self, shape: Shape) -> None:
        super().__init__((GruBlock(width, shape.dropout) for width in shape.hidden_sizes), shape.output_width)


class GruBlock(nn.Module):
    """One residual layer: ``nn.GRU`` of the normalised inputs for windows, the formula above for one frame."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = LayerNorm(width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.dropout = Dropout(dropout)

    def initial_state(self, batch: int) -> LayerState:
        """Zeros."""
        return (self.norm.weight.new_zeros(batch, self.gru.hidden_size),)

    def forward(self, x: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """[B, T, D] to [B, T, D]."""
        y, h = self.gru(self.norm(x), state[0][None])
        return x + self.dropout(y), (h[0],)

    def step(self, x: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """[B, D] to [B, D]."""
        (h,) = state
        weight_ih, weight_hh, bias_ih, bias_hh = self.gru.all_weights[0]
        x_r, x_z, x_n = F.linear(self.norm(x), weight_ih, bias_ih).chunk(3, dim=-1)
        h_r, h_z, h_n = F.linear(h, weight_hh, bias_hh).chunk(3, dim=-1)
        z = torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
        h = n + z * (h - n)
        return x + h, (h,)
