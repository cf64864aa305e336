"""What a policy is given of one frame: its ids, continuous features, the previous controller and the delay.

An id is looked up in a trained table (``learned``) or expanded to a one among zeros, a column for each of its values
(``one_hot``). Stages have two such expansions: ``compact`` has a column for each legal stage and one that all others share;
``one_hot`` has columns for legal stages only, so that any other is all zeros. Item kinds are always looked up. Feature
groups (``dataset.features.layout``) that were not chosen are 0 here, in training, measuring, play and the exported graph.

Numbers come in at their stored width (float16 features, 16-bit indices, 8-bit classes) and leave as one float row of the
backbone's width. Player, opponent and both Nanas share one action-state table: the same animation means the same thing
whoever is in it. The surprise: the previous controller arrives as classes only; its 13 floats (what play will really send)
come from a table made with the codec itself (train.policy.controller_floats).

Legend: B batch, T frames in the window, D width, K components, S class columns.
"""

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dataset.codecs.base import Codec
from dataset.features.layout import ALL, FEATURES, INDICES, zeroed
from dataset.melee.controller import NUM_CONTROLLER_FLOATS
from dataset.melee.ids import NUM_ACTION_STATES, NUM_CHARACTERS, NUM_ITEM_KINDS, NUM_STAGES, STAGES
from train.policy.components import Components, one_hot
from train.policy.controller_floats import ControllerFloats

TABLES: dict[str, tuple[int, int]] = {
    "stage": (NUM_STAGES, 8),
    "action_state": (NUM_ACTION_STATES, 64),
    "character": (NUM_CHARACTERS, 16),
    "kind": (NUM_ITEM_KINDS, 8),
}
"""(rows, width) of each trained table, by the ending of the embedding indices that read it."""

MODES: dict[str, dict[str, int | None]] = {
    "action_state": {"learned": None, "one_hot": NUM_ACTION_STATES},
    "character": {"learned": None, "one_hot": NUM_CHARACTERS},
    "stage": {"learned": None, "compact": NUM_STAGES, "one_hot": len(STAGES)},
}
"""The modes of an embedding index and how many columns each expands it to; ``None`` looks it up in its table."""

PREVIOUS_WIDTH = 32
"""Width of the trained embedding of the previous controller's classes, summed over components."""

DELAY_SCALE = 1 / 18
"""18 frames is the delay slippi-ai plays with."""


class Embed(nn.Module):
    """Frames to rows of width D."""

    columns: Tensor
    kept: Tensor
    kept_indices: Tensor

    def __init__(self, codec: Codec, width: int, modes: Mapping[str, str] | None = None, features: str = ALL) -> None:
        """Build for rows of ``width``.

        Args:
            codec: of the previous controller.
            width: D.
            modes: the mode of each index in ``MODES`` that is not ``learned``.
            features: feature groups (``dataset.features.layout``) that are read; the others are 0.
        """
        super().__init__()
        zeros, index_zeros = zeroed(features)
        self._is_whole = not zeros
        kept = torch.tensor([row not in zeros for row in range(len(FEATURES))])
        kept_indices = torch.tensor([row not in index_zeros for row in range(len(INDICES))])
        self.register_buffer("kept", kept.float(), persistent=False)
        self.register_buffer("kept_indices", kept_indices.long(), persistent=False)
        self.components = Components.of(codec)
        self._positions = {
            table: [row for row, (name, _) in enumerate(INDICES) if name.endswith(table)] for table in TABLES
        }
        self._expanded = {
            name: columns for name, mode in (modes or {}).items() if (columns := MODES[name][mode]) is not None
        }
        self.tables = nn.ModuleDict(
            {name: nn.Embedding(rows, size) for name, (rows, size) in TABLES.items() if name not in self._expanded}
        )
        self.previous = nn.Embedding(self.components.num_columns, PREVIOUS_WIDTH)
        self.project = nn.Linear(sum(self.layout().values()), width)
        self.controller_floats = ControllerFloats(codec)
        self.register_buffer("columns", torch.tensor(self.components.columns), persistent=False)

    def layout(self) -> dict[str, int]:
        """Numbers a frame comes to, by what they tell, before they are projected to the width D."""
        ids = {
            name: len(places) * self._expanded.get(name, TABLES[name][1]) for name, places in self._positions.items()
        }
        previous = NUM_CONTROLLER_FLOATS + PREVIOUS_WIDTH + 1  # the one says whether it is known
        return {"continuous": len(FEATURES), "previous": previous, "delay": 1, **ids}

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
        rows, seen = indices.long(), continuous.to(dtype)
        if not self._is_whole:
            rows, seen = rows * self.kept_indices, seen * self.kept
        ids = [self._id_rows(name, rows[..., places]).to(dtype) for name, places in self._positions.items()]
        given = [seen, floats, held @ self.previous.weight, known, delays, *ids]
        return torch.relu(cast(Tensor, self.project(torch.cat(given, dim=-1)))), held

    def _id_rows(self, name: str, ids: Tensor) -> Tensor:
        """What ids [..., n] of one kind come to, side by side."""
        columns = self._expanded.get(name)
        if columns is None:
            return cast(Tensor, self.tables[name](ids)).flatten(-2)
        return F.one_hot(ids, TABLES[name][0])[..., :columns].flatten(-2)
