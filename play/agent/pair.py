"""Two agents against each other, both sides of one game in one process.

In: the raw column of every frame. Out: both controllers. The surprise: agents of one run may share a stepper for two players;
a frame is then a single inference, which reads the weights once.
"""

import numpy as np
from numpy.typing import NDArray

from dataset.melee.controller import Controllers
from play.agent.agent import Agent, Seen


class Pair:
    """Both players of a game, each with its own side, queue and noise.

    Args:
        own: the agent whose game it is, by whose side games are scored.
        other: its opponent. If both have one stepper, it must be one for two players.
    """

    def __init__(self, own: Agent, other: Agent) -> None:
        self.own, self.other = own, other
        self._is_batched = own.stepper is other.stepper

    def start_game(self, side: int) -> None:
        """Forget the last game; ``own`` is on side 0 (lower port) or 1."""
        self.own.start_game(side)
        self.other.start_game(1 - side)

    def answer(self, column: NDArray[np.float32], frames_late: int = 0) -> tuple[Controllers, Controllers]:
        """Step both policies on state t; both controllers to put on the pads now, ``own``'s first."""
        own, other = self.own.see(column), self.other.see(column)
        if self._is_batched:
            own_classes, other_classes = self.own.stepper.step(*_both(own, other))
        else:
            own_classes, other_classes = self.own.stepper.step(*own), self.other.stepper.step(*other)
        return self.own.commit(own_classes, frames_late), self.other.commit(other_classes, frames_late)

    def skip(self, num_frames: int) -> None:
        """Let frames pass that never arrived."""
        self.own.skip(num_frames)
        self.other.skip(num_frames)


def _both(own: Seen, other: Seen) -> Seen:
    """What both see, one row a player; agents of one run have one delay."""
    return Seen(
        continuous=np.stack([own.continuous, other.continuous]),
        indices=np.stack([own.indices, other.indices]),
        previous=np.stack([own.previous, other.previous]),
        delay=own.delay,
        noise=np.stack([own.noise, other.noise]),
    )
