"""A controller of two components, a stick of three classes and a button, to compute by hand with."""

import torch
from torch import Tensor

from train.measure.scored_frames import Controls
from train.policy.components import Components

COMPONENTS = Components(names=("main_x", "a"), sizes=(3, 2), presses=((False,) * 3, (False, True)))
CONTROLS = Controls(
    names=("main_x", "a"),
    owners=(0, 1),
    columns=(0, 3),
    values=torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]),
)
FRAMES = {
    "shares": [
        [0.7, 0.2, 0.1, 0.9, 0.1],
        [0.6, 0.3, 0.1, 0.4, 0.6],
        [0.1, 0.1, 0.8, 0.3, 0.7],
        [0.5, 0.4, 0.1, 0.8, 0.2],
    ],
    "target": [[0, 0], [1, 1], [2, 0], [0, 1]],
    "previous": [[0, 0], [1, 1], [1, 0], [0, 0]],
}


def logits_of(shares: list[list[float]]) -> Tensor:
    return torch.log(torch.tensor(shares))
