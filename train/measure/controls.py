"""What a codec's classes do to the 13 numbers of a controller: the one measure that policies of all codecs share.

Each control (four axes, the trigger, eight buttons) belongs to the one component that sets it, whole or as part of a stick or a
mask. In: a codec, asked to decode every class. Out: that component, and the control's value under each of its classes. The
surprise: in ``axis17`` L, R and Z move the trigger too; it still belongs to the component with most to say of it.

Legend: K components, S class columns, J controls, N frames.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dataset.codecs.base import Codec
from dataset.melee.controller import BUTTONS, CONTROLS, NEUTRAL, controller_floats


@dataclass(frozen=True, eq=False)
class Controls:
    """Names of the controls, who sets them, and to what."""

    names: tuple[str, ...]
    owners: tuple[int, ...]
    """Of each control, its component."""
    columns: tuple[int, ...]
    """Where each component's classes begin among the S columns."""
    values: Tensor
    """float32 [S, J]: the control's value under a class of its component; 0 under all others."""

    @classmethod
    def of(cls, codec: Codec) -> "Controls":
        """The controls of a codec."""
        sizes = [size for _, size in codec.components]
        tables = [_decoded(codec, k, size) for k, size in enumerate(sizes)]
        levels = np.array([[len(np.unique(table[:, j])) for table in tables] for j in range(len(CONTROLS))])
        owners = levels.argmax(axis=1)
        rows = [torch.from_numpy(table * (owners == k)).float() for k, table in enumerate(tables)]
        columns = tuple(sum(sizes[:k]) for k in range(len(sizes)))
        return cls(CONTROLS, tuple(owners.tolist()), columns, torch.cat(rows))

    @property
    def buttons(self) -> list[int]:
        """Which controls are buttons."""
        known = [name for name, _ in BUTTONS]
        return [j for j, name in enumerate(self.names) if name in known]

    def to(self, device: torch.device | str) -> "Controls":
        """The same on another device."""
        return Controls(self.names, self.owners, self.columns, self.values.to(device))

    def of_classes(self, classes: Tensor) -> Tensor:
        """Values [N, J] of classes int64 [N, K], each control by its own component alone."""
        owned = classes[:, list(self.owners)] + self.values.new_tensor([self.columns[k] for k in self.owners]).long()
        return self.values[owned, torch.arange(len(self.names), device=classes.device)]

    def pressed(self, shares: Tensor) -> Tensor:
        """Probability [N, buttons] of each button, summed over the classes that press it; shares [N, S]."""
        return shares @ self.values[:, self.buttons]


def _decoded(codec: Codec, k: int, size: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """The 13 numbers [size, 13] under every class of component ``k``, all others at rest."""
    classes = np.repeat(codec.encode(NEUTRAL[None]), size, axis=0)
    classes[:, k] = np.arange(size)
    return controller_floats(codec.decode(classes))
