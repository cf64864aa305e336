"""What every backbone offers: a window at once for training, one frame at a time for play, and the same numbers from both.

A state is whatever a backbone remembers between frames: a tuple, nested at will, of tensors whose *first* dimension is the
batch. That is all the loop, the lanes and the agent know about it. The surprise: nothing here resets a state inside a
window; a row is reset before its window, so a new replay always begins at a window's first frame.

Legend: B batch, T frames in the window, D width of the inputs and outputs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

State: TypeAlias = "tuple[Tensor | State, ...]"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The size of a backbone; one that has no use for a field ignores it, and the config refuses to let a user set it."""

    hidden_sizes: tuple[int, ...]
    """Width of every layer; all equal in a temporal backbone."""
    dropout: float = 0.0
    """Probability of dropping a unit between layers."""
    num_heads: int = 4
    """Attention heads of a layer."""
    attention_window: int = 64
    """Frames an attention layer sees, the present one included."""
    attention_every: int = 1
    """Attention stands in every Nth layer."""

    @property
    def attention_layers(self) -> tuple[bool, ...]:
        """Whether each layer attends."""
        return tuple((layer + 1) % self.attention_every == 0 for layer in range(len(self.hidden_sizes)))

    @property
    def input_width(self) -> int:
        """Width of the inputs."""
        return self.hidden_sizes[0]

    @property
    def output_width(self) -> int:
        """Width of the outputs."""
        return self.hidden_sizes[-1]


class Backbone(nn.Module, ABC):
    """A sequence model whose ``step`` equals its ``forward``."""

    is_temporal: ClassVar[bool]
    """Whether an output depends on earlier frames."""
    attention_every: ClassVar[int | None] = None
    """Where attention stands unless the config says otherwise; ``None``: the backbone has none."""

    @abstractmethod
    def initial_state(self, batch: int) -> State:
        """The state before a replay's first frame, on the device of the parameters."""

    @abstractmethod
    def layer_parameters(self) -> list[list[Tensor]]:
        """The parameters of every layer, from the first to the last; a closing norm belongs to the last."""

    @abstractmethod
    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Windows x [B, T, D] after ``state``: outputs [B, T, D] and the state after the last frame."""

    @abstractmethod
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One frame x [B, D] after ``state``: outputs [B, D] and the next state."""


class RMSNorm(nn.RMSNorm):
    """``nn.RMSNorm`` that computes in its weight's type, so in float32 under autocast too."""

    def forward(self, x: Tensor) -> Tensor:
        """X [..., D] scaled to a root mean square of 1, times the weight."""
        return super().forward(x.to(self.weight.dtype))


def parameters_of_blocks(blocks: nn.ModuleList, closing: nn.Module) -> list[list[Tensor]]:
    """``layer_parameters`` of blocks on which one closing module stands."""
    layers: list[list[Tensor]] = [list(block.parameters()) for block in blocks]
    layers[-1] += closing.parameters()
    return layers


def map_state(function: Callable[..., Tensor], state: State, *others: State) -> State:
    """The state whose tensors are ``function`` of those at the same place in each given state."""
    return tuple(
        function(*leaves) if isinstance(leaves[0], Tensor) else map_state(function, *leaves)
        for leaves in zip(state, *others, strict=True)
    )


def reset_rows(state: State, initial: State, reset: Tensor) -> State:
    """``state`` with the rows where ``reset`` [B] is true replaced by ``initial``'s; other rows stay bit for bit."""

    def choose(now: Tensor, fresh: Tensor) -> Tensor:
        return torch.where(reset.view(-1, *[1] * (now.ndim - 1)), fresh, now)

    return map_state(choose, state, initial)


def detach(state: State) -> State:
    """The state as a plain value: gradients stop here (truncated back-propagation through time)."""
    return map_state(Tensor.detach, state)
