"""Long short-term memory (Hochreiter & Schmidhuber 1997), with forget gates (Gers et al. 2000), as in PyTorch.

Legend, after the PyTorch documentation of ``nn.LSTM``: B batch, T frames in the window, D width;
    i input, f forget, o output gate, g candidate, c cell state, h hidden state:
    i, f, o = σ(W x + b + W' h + b')      g = tanh(W_g x + b_g + W'_g h + b'_g)
    c' = f ∘ c + i ∘ g      h' = o ∘ tanh(c')
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.policy.backbones.base import Dropout, LayerNorm, Stack
from train.policy.config import Shape

LayerState = tuple[Tensor, Tensor]
"""(h [B, D], c [B, D])."""


class Lstm(Stack):
    """A stack of ``LstmBlock``; the state is one ``LayerState`` per block."""

    def __init__(self, shape: Shape) -> None:
        super().__init__((LstmBlock(width, shape.dropout) for width in shape.hidden_sizes), shape.output_width)


class LstmBlock(nn.Module):
    """One residual layer: ``nn.LSTM`` of the normalised inputs for windows, the formula above for one frame."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = LayerNorm(width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.dropout = Dropout(dropout)

    def initial_state(self, batch: int) -> LayerState:
        """Zeros."""
        zeros = self.norm.weight.new_zeros(batch, self.lstm.hidden_size)
        return zeros, zeros.clone()

    def forward(self, x: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """[B, T, D] to [B, T, D]."""
        h, c = state
        y, (h, c) = self.lstm(self.norm(x), (h[None], c[None]))
        return x + self.dropout(y), (h[0], c[0])

    def step(self, x: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """[B, D] to [B, D]."""
        h, c = state
        weight_ih, weight_hh, bias_ih, bias_hh = self.lstm.all_weights[0]
        i, f, g, o = (F.linear(self.norm(x), weight_ih, bias_ih) + F.linear(h, weight_hh, bias_hh)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return x + h, (h, c)
