"""Jamba: Mamba-2 blocks with attention in every Nth, after Lieber et al. 2024 (arXiv 2403.19887).

    B batch   T frames   D width   N ``attention_every``

Mamba carries the whole game in a fixed state; attention looks up exact frames of the last window. Both blocks stand whole in
``mamba.py`` and ``sliding_window.py``; here they only alternate. The surprise: blocks N, 2N, … attend, so fewer than N layers
would hold no attention at all; the config then takes N down to their number, or refuses an N that was asked for.
"""

from typing import Any, ClassVar

from torch import Tensor, nn

from train.policy.backbones.base import Backbone, RMSNorm, Shape, State, parameters_of_blocks
from train.policy.backbones.mamba import MambaBlock
from train.policy.backbones.sliding_window import AttentionBlock


class Jamba(Backbone):
    """Attention in every ``attention_every``-th block, Mamba-2 in the others; the state is one tuple a block."""

    is_temporal: ClassVar[bool] = True
    attention_every: ClassVar[int | None] = 3

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            AttentionBlock(width, shape.num_heads, shape.attention_window, shape.dropout)
            if is_attention
            else MambaBlock(width, shape.dropout)
            for width, is_attention in zip(shape.hidden_sizes, shape.attention_layers, strict=True)
        )
        self.norm = RMSNorm(shape.output_width)

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        return tuple(block.initial_state(batch) for block in self._blocks())

    def layer_parameters(self) -> list[list[Tensor]]:
        """One layer a block."""
        return parameters_of_blocks(self.blocks, self.norm)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """[B, T, D] to [B, T, D]."""
        states = []
        for block, before in zip(self._blocks(), state, strict=True):
            x, after = block(x, before)
            states.append(after)
        return self.norm(x), tuple(states)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """[B, D] to [B, D]."""
        states = []
        for block, before in zip(self._blocks(), state, strict=True):
            x, after = block.step(x, before)
            states.append(after)
        return self.norm(x), tuple(states)

    def _blocks(self) -> list[Any]:
        """Both kinds of block have one signature, which ``nn.ModuleList`` cannot say."""
        return list(self.blocks)
