"""What a policy is given of one frame: its ids, continuous features, the previous controller and the delay.

An id is looked up in a trained table (``learned``) or expanded to a one among zeros, a column for each of its values
(``one_hot``). Stages have two such expansions: ``compact`` has a column for each legal stage and one that all others share;
``one_hot`` has columns for legal stages only, so any other stage is all zeros. Item kinds are always looked up. Player, opponent
and both Nanas share one action-state table, because an animation means the same whoever is in it. Feature groups
(``dataset.features.layout``) that were not chosen are 0 here, in training, measuring, play and the exported graph.

Numbers come in at their stored width (float16 features, 16-bit indices, 8-bit classes) and leave as one float row of the
backbone's width. The previous controller comes as classes only; the 13 floats that play will send are looked up from them.

Legend: B batch, T frames in the window, D width, K components, S class columns.
"""

import math
from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from dataset.codecs.base import Codec
from dataset.features.layout import ALL, FEATURES, INDICES, zeroed
from dataset.melee.controller import NEUTRAL, NUM_CONTROLLER_FLOATS, controller_floats
from dataset.melee.ids import NUM_ACTION_STATES, NUM_CHARACTERS, NUM_ITEM_KINDS, NUM_STAGES
from train.policy.backbones.base import LayerNorm
from train.policy.components import Components, one_hot
from train.policy.config import MODES

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


NUM_PROBES = 4096
"""Random controllers that are decoded to find which components a float depends on."""


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
        self.norm = LayerNorm(width)
        self.controller_floats = ControllerFloats(codec)
        self.register_buffer("columns", torch.tensor(self.components.columns), persistent=False)

    def layout(self) -> dict[str, int]:
        """How many numbers each part of a frame becomes before all are projected to the width D."""
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
        return cast(Tensor, self.norm(self.project(torch.cat(given, dim=-1)))), held

    def _id_rows(self, name: str, ids: Tensor) -> Tensor:
        """The numbers of ids [..., n] of one kind, side by side."""
        columns = self._expanded.get(name)
        if columns is None:
            return cast(Tensor, self.tables[name](ids)).flatten(-2)
        return F.one_hot(ids, TABLES[name][0])[..., :columns].flatten(-2)


class ControllerFloats(nn.Module):
    """Classes [..., K] to the float32 [..., 13] that they decode to: one lookup, no weights.

    Most floats follow from one component; a few (in ``axis17`` the trigger, which L, R and Z press too) follow from several.
    One matrix product gives the place of every float in the table.
    """

    strides: Tensor
    starts: Tensor
    table: Tensor

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        influences = _influences(codec)
        strides = np.zeros(influences.shape, dtype=np.float32)
        tables: list[NDArray[np.float32]] = []
        starts: list[int] = []
        for j in range(influences.shape[1]):
            starts.append(sum(map(len, tables)))
            strides[:, j], values = _float_table(codec, np.flatnonzero(influences[:, j]), j)
            tables.append(values)
        self.register_buffer("strides", torch.from_numpy(strides), persistent=False)
        self.register_buffer("starts", torch.tensor(starts), persistent=False)
        self.register_buffer("table", torch.from_numpy(np.concatenate(tables)), persistent=False)

    def forward(self, classes: Tensor) -> Tensor:
        """What the controllers of ``classes`` decode to."""
        with torch.autocast(
            classes.device.type, enabled=False
        ):  # places are whole numbers below 2**24: exact in float32 only
            places = (classes.float() @ self.strides.float()).long() + self.starts
        return self.table.float()[places]


def _influences(codec: Codec) -> NDArray[np.bool_]:
    """[K, 13]: whether a component ever changes a float."""
    random = np.random.default_rng(0)
    sizes = [size for _, size in codec.components]
    probes = np.stack([random.integers(0, size, NUM_PROBES) for size in sizes], axis=-1).astype(np.uint8)
    base = controller_floats(codec.decode(probes))
    rows: list[NDArray[np.bool_]] = []
    for k, size in enumerate(sizes):
        changed = probes.copy()
        changed[:, k] = random.integers(0, size, NUM_PROBES)
        rows.append((controller_floats(codec.decode(changed)) != base).any(axis=0))
    return np.stack(rows)


def _float_table(codec: Codec, components: NDArray[np.intp], j: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Float ``j`` for every combination of ``components``: the stride of each component [K], and the values."""
    sizes = [size for _, size in codec.components]
    grid = np.indices([sizes[k] for k in components]).reshape(len(components), math.prod(sizes[k] for k in components))
    classes = np.repeat(codec.encode(NEUTRAL[None]), grid.shape[1], axis=0)
    classes[:, components] = grid.T
    strides = np.zeros(len(sizes), dtype=np.float32)
    for i, k in enumerate(components):
        strides[k] = np.prod([sizes[later] for later in components[i + 1 :]])
    return strides, controller_floats(codec.decode(classes))[:, j]
