"""Jamba: Mamba-2 blocks with attention in every Nth, after Lieber et al. 2024 (arXiv 2403.19887).

Mamba carries the whole game in a fixed state; attention looks up exact frames of the last window. Blocks N, 2N, … attend, so
fewer than N layers would hold no attention; the config then lowers N to their number, or refuses an N that was asked for.
"""

from train.policy.backbones.base import Stack
from train.policy.backbones.mamba import MambaBlock
from train.policy.backbones.sliding_window import AttentionBlock
from train.policy.config import Shape


class Jamba(Stack):
    """Attention in every ``attention_every``-th block, Mamba-2 in the others."""

    def __init__(self, shape: Shape) -> None:
        blocks = (
            AttentionBlock(width, shape.num_heads, shape.lookback, shape.dropout)
            if is_attention
            else MambaBlock(width, shape.dropout)
            for width, is_attention in zip(shape.hidden_sizes, shape.attention_layers, strict=True)
        )
        super().__init__(blocks, shape.output_width)
