"""A memoryless baseline: every frame by itself through fully connected layers.

Legend: B batch, T frames in the window, D width.
"""

from torch import Tensor, nn

from train.policy.backbones.base import Backbone, Dropout, State
from train.policy.config import Shape


class Mlp(Backbone):
    """ReLU and linear layers in turn; the state is empty."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReLU()]
        for width, next_width in zip((shape.input_width, *shape.hidden_sizes[:-1]), shape.hidden_sizes, strict=True):
            layers += [nn.Linear(width, next_width), nn.ReLU(), Dropout(shape.dropout)]
        self.layers = nn.Sequential(*layers)

    def initial_state(self, batch: int) -> State:
        """Nothing to remember."""
        return ()

    def layer_parameters(self) -> list[list[Tensor]]:
        """Weight and bias of each."""
        return [list(layer.parameters()) for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """[B, T, D] to [B, T, D], frame by frame."""
        return self.layers(x), state

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """[B, D] to [B, D]."""
        return self.layers(x), state
