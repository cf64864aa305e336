"""Long short-term memory (Hochreiter & Schmidhuber 1997), with forget gates (Gers et al. 2000), as in PyTorch.

Legend, after the PyTorch documentation of ``nn.LSTM``: B batch, T frames in the window, D width;
    i input, f forget, o output gate, g candidate, c cell state, h hidden state:
    i, f, o = σ(W x + b + W' h + b')      g = tanh(W_g x + b_g + W'_g h + b'_g)
    c' = f ∘ c + i ∘ g      h' = o ∘ tanh(c')
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.policy.backbones.base import Backbone, State
from train.policy.config import Shape


class Lstm(Backbone):
    """Layers of ``nn.LSTM`` for windows, the formula above for one frame; the state is one (h, c), [B, D] each, per layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        num_layers = len(shape.hidden_sizes)
        dropout = shape.dropout if num_layers > 1 else 0.0  # nn.LSTM drops between layers only, and warns about one
        self.lstm = nn.LSTM(shape.input_width, shape.output_width, num_layers, batch_first=True, dropout=dropout)

    def initial_state(self, batch: int) -> State:
        """Zeros, two [B, D] per layer."""
        weight = next(self.lstm.parameters())
        zeros = weight.new_zeros(batch, self.lstm.hidden_size)
        return tuple((zeros.clone(), zeros.clone()) for _ in range(self.lstm.num_layers))

    def layer_parameters(self) -> list[list[Tensor]]:
        """Four per layer."""
        return [list(weights) for weights in self.lstm.all_weights]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """[B, T, D] to [B, T, D]."""
        layers = cast("tuple[tuple[Tensor, Tensor], ...]", state)
        hidden, cell = (torch.stack([layer[i] for layer in layers]) for i in range(2))
        y, (hidden, cell) = self.lstm(x, (hidden, cell))
        return y, tuple(zip(hidden.unbind(0), cell.unbind(0), strict=True))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """[B, D] to [B, D]."""
        states: list[tuple[Tensor, Tensor]] = []
        for layer, (h, c) in enumerate(cast("tuple[tuple[Tensor, Tensor], ...]", state)):
            x, cell = self._cell(layer, x, h, c)
            states.append((x, cell))
        return x, tuple(states)

    def _cell(self, layer: int, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        weight_ih, weight_hh, bias_ih, bias_hh = self.lstm.all_weights[layer]
        i, f, g, o = (F.linear(x, weight_ih, bias_ih) + F.linear(h, weight_hh, bias_hh)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c
