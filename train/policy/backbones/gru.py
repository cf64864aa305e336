"""Gated recurrent units (Cho et al. 2014, arXiv:1406.1078), in PyTorch's variant with the reset gate after the product.

Legend, after the PyTorch documentation of ``nn.GRU``: B batch, T frames in the window, D width;
    r reset gate, z update gate, n candidate, h hidden state:
    r = σ(W_ir x + b_ir + W_hr h + b_hr)      z = σ(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r ∘ (W_hn h + b_hn))      h' = n + z ∘ (h − n)
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.policy.backbones.base import Backbone, State
from train.policy.config import Shape


class Gru(Backbone):
    """Layers of ``nn.GRU`` for windows, the formula above for one frame; the state is one h [B, D] per layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        num_layers = len(shape.hidden_sizes)
        dropout = shape.dropout if num_layers > 1 else 0.0  # nn.GRU drops between layers only, and warns about one
        self.gru = nn.GRU(shape.input_width, shape.output_width, num_layers, batch_first=True, dropout=dropout)

    def initial_state(self, batch: int) -> State:
        """Zeros, one [B, D] per layer."""
        weight = next(self.gru.parameters())
        return tuple(weight.new_zeros(batch, self.gru.hidden_size) for _ in range(self.gru.num_layers))

    def layer_parameters(self) -> list[list[Tensor]]:
        """Four per layer."""
        return [list(weights) for weights in self.gru.all_weights]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """[B, T, D] to [B, T, D]."""
        y, hidden = self.gru(x, torch.stack([h for h in state if isinstance(h, Tensor)]))
        return y, hidden.unbind(0)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """[B, D] to [B, D]."""
        hidden: list[Tensor] = []
        for layer, h in enumerate(state):
            assert isinstance(h, Tensor)
            x = self._cell(layer, x, h)
            hidden.append(x)
        return x, tuple(hidden)

    def _cell(self, layer: int, x: Tensor, h: Tensor) -> Tensor:
        weight_ih, weight_hh, bias_ih, bias_hh = self.gru.all_weights[layer]
        x_r, x_z, x_n = F.linear(x, weight_ih, bias_ih).chunk(3, dim=-1)
        h_r, h_z, h_n = F.linear(h, weight_hh, bias_hh).chunk(3, dim=-1)
        z = torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
        return n + z * (h - n)
