"""What every backbone offers: a whole window for training, one frame at a time for play, and the same numbers from both.

A state is whatever a backbone remembers between frames: a tuple, nested at will, of tensors whose *first* dimension is the
batch. The loop, the lanes and the agent know no more about it. A state is never reset inside a window: a row is reset before its
window, and a new replay always begins at a window's first frame.

Legend: B batch, T frames in the window, D width of the inputs and outputs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from train.policy.config import BACKBONES, Shape

State: TypeAlias = "tuple[Tensor | State, ...]"


class Backbone(nn.Module, ABC):
    """A sequence model whose ``step`` equals its ``forward``."""

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


def build_backbone(name: str, shape: Shape) -> Backbone:
    """The backbone that ``train.policy.config.BACKBONES`` calls ``name``, with fresh weights."""
    module, _, kind = BACKBONES[name].where.rpartition(".")
    built: Backbone = getattr(import_module(module), kind)(shape)
    return built


class LayerNorm(nn.LayerNorm):
    """``nn.LayerNorm`` that computes in its weight's type, so in float32 under autocast too.

    PyTorch has one CPU kernel for it; an RMS norm is several operations there, and takes seven times as long.
    """

    def forward(self, x: Tensor) -> Tensor:
        """X [..., D] with mean 0 and variance 1 over D, times the weight, plus the bias."""
        return super().forward(x.to(self.weight.dtype))


class Dropout(nn.Dropout):
    """Drops a unit in all frames of a window or in none (Gal & Ghahramani 2016, arXiv:1512.05287).

    It draws one random number per row and unit. Drawing one per frame as well takes a tenth of a training step on a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        """X [B, T, D] in training; in play, any x as it is."""
        return x * super().forward(torch.ones_like(x[:, :1])) if self.training and self.p > 0 else x


class Stack(Backbone):
    """Residual blocks one after another and a norm at the end; the state is one tuple per block that keeps a state.

    A block that keeps one offers ``initial_state``, ``forward`` and ``step`` as a backbone does; any other is a plain module.
    """

    def __init__(self, blocks: Iterable[nn.Module], width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.norm = LayerNorm(width)

    def initial_state(self, batch: int) -> State:
        """That of every block that keeps one."""
        return tuple(block.initial_state(batch) for block in self._blocks() if hasattr(block, "initial_state"))

    def layer_parameters(self) -> list[list[Tensor]]:
        """One layer per block; the norm belongs to the last."""
        layers: list[list[Tensor]] = [list(block.parameters()) for block in self.blocks]
        layers[-1] += self.norm.parameters()
        return layers

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """[B, T, D] to [B, T, D]."""
        return self._run("forward", x, state)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """[B, D] to [B, D]."""
        return self._run("step", x, state)

    def _run(self, method: str, x: Tensor, state: State) -> tuple[Tensor, State]:
        remaining, states = iter(state), []
        for block in self._blocks():
            if hasattr(block, "initial_state"):
                x, after = getattr(block, method)(x, next(remaining))
                states.append(after)
            else:
                x = block(x)
        return self.norm(x), tuple(states)

    def _blocks(self) -> list[Any]:
        return list(self.blocks)  # which mypy takes for plain modules


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
