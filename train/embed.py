"""What a policy is given of one frame: trained tables for ids, continuous features, the previous controller and the delay.

Numbers come in at their stored width (float16 features, 16-bit indices, 8-bit classes) and leave as one float row of the
backbone's width. Player, opponent and both Nanas share one action-state table: the same animation means the same thing
whoever is in it. The surprise: the previous controller arrives as classes only; its 13 floats (what play will really send)
come from a table made with the codec itself (train.decoding).

Legend: B batch, T frames in the window, D width, K components, S class columns.
"""

from typing import cast

import torch
from torch import Tensor, nn

from dataset.codec import NUM_CONTROLLER_FLOATS, Codec
from dataset.encode import FEATURES, INDICES
from dataset.ids import NUM_ACTION_STATES, NUM_CHARACTERS, NUM_ITEM_KINDS, NUM_STAGES
from train.components import Components, one_hot
from train.decoding import ControllerFloats

TABLES: dict[str, tuple[int, int]] = {
    "stage": (NUM_STAGES, 8),
    "action_state": (NUM_ACTION_STATES, 64),
    "character": (NUM_CHARACTERS, 16),
    "kind": (NUM_ITEM_KINDS, 8),
}
"""(rows, width) of each trained table, by the ending of the embedding indices that read it."""

PREVIOUS_WIDTH = 32
"""Width of the trained embedding of the previous controller's classes, summed over components."""

DELAY_SCALE = 1 / 18
"""18 frames is the delay slippi-ai plays with."""


class Embed(nn.Module):
    """Frames to rows of width D."""

    columns: Tensor

    def __init__(self, codec: Codec, width: int) -> None:
        super().__init__()
        self.components = Components.of(codec)
        self._positions = {
            table: [row for row, (name, _) in enumerate(INDICES) if name.endswith(table)] for table in TABLES
        }
        self.tables = nn.ModuleDict({name: nn.Embedding(rows, size) for name, (rows, size) in TABLES.items()})
        self.previous = nn.Embedding(self.components.num_columns, PREVIOUS_WIDTH)
        looked_up = sum(len(self._positions[name]) * size for name, (_, size) in TABLES.items())
        given = len(FEATURES) + NUM_CONTROLLER_FLOATS + PREVIOUS_WIDTH + 2
        self.project = nn.Linear(looked_up + given, width)
        self.controller_floats = ControllerFloats(codec)
        self.register_buffer("columns", torch.tensor(self.components.columns), persistent=False)

    def forward(
        self, continuous: Tensor, indices: Tensor, previous: Tensor, delay: Tensor, is_known: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Rows [..., D] of frames, and one-hot rows [..., S] of the previous controller.

        Args:
            continuous: [..., C] features.
            indices: [..., I] embedding indices.
            previous: [..., K] classes of the newest committed controller.
            delay: [...] frames between seeing and acting.
            is_known: [...] false where the previous controller is hidden (``--prev-dropout``), which leaves zeros of it;
                ``None``: known everywhere.
        """
        dtype = self.project.weight.dtype
        held = one_hot(previous, self.columns, self.components.num_columns).to(dtype)
        floats = self.controller_floats(previous).to(dtype)
        known = torch.ones_like(held[..., :1]) if is_known is None else is_known.to(dtype).unsqueeze(-1)
        held, floats = held * known, floats * known
        delays = (delay.to(dtype) * DELAY_SCALE).unsqueeze(-1)
        rows = indices.long()
        looked_up = [self.tables[name](rows[..., places]).flatten(-2) for name, places in self._positions.items()]
        given = [continuous.to(dtype), floats, held @ self.previous.weight, known, delays, *looked_up]
        return torch.relu(cast(Tensor, self.project(torch.cat(given, dim=-1)))), held
