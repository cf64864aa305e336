"""An agent: a policy wired to live frames through a queue of committed controllers.

With delay d the controller decided on state t acts in frame t+d+1. The queue holds the controllers committed to frames
t … t+d, neutral at the start of a game. Its tail is the p that the policy is given; once the decision is appended, its head
is what has to be on the pad for frame t+1. The surprise: p is what the game will *read* of the committed controller, because
that is what replays record.
"""

from collections import deque
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dataset.codec import NEUTRAL, Classes, Codec, Controllers
from dataset.encode import encode, perspective
from dataset.errors import ConfigError
from play.controller import as_read

_SMALLEST = 1e-6
"""Noise is kept this far from 0 and 1, where its logarithms end."""


class Stepper(Protocol):
    """A policy that is stepped one frame at a time and carries its recurrent state."""

    def reset(self) -> None:
        """Begin a new game."""

    def step(
        self,
        continuous: NDArray[np.float16],
        indices: NDArray[np.uint16],
        previous: Classes,
        delay: int,
        noise: NDArray[np.float32],
    ) -> Classes:
        """Classes uint8 [K] of continuous [C], indices [I], previous [K] and noise [K] in (0, 1)."""


class Agent:
    """One player's policy in play.

    Args:
        stepper: the policy.
        codec: the codec it was trained with.
        delay: frames between seeing and acting, 0 is the very next frame.
        online_delay: how many of these frames Dolphin's netplay adds by itself.
        seed: of the sampling noise.

    Raises:
        ConfigError: netplay would add more delay than there is.
    """

    def __init__(self, stepper: Stepper, codec: Codec, *, delay: int, online_delay: int = 0, seed: int = 0) -> None:
        if not 0 <= online_delay <= delay:
            raise ConfigError(
                f"delay {delay}: must be at least netplay's own, found online delay {online_delay}; "
                "train with a longer --delay or lower the online delay"
            )
        self.delay = delay
        self._stepper, self._codec = stepper, codec
        self._online_delay = online_delay
        self._noise = np.random.default_rng(seed)
        self.start_game(0)

    def start_game(self, side: int) -> None:
        """Forget the last game; the player is on side 0 (lower port) or 1."""
        self._side = side
        self._stepper.reset()
        self._queue = deque([NEUTRAL] * (self.delay + 1), maxlen=self.delay + 1)

    def act(self, column: NDArray[np.float32], frames_late: int = 0) -> Controllers:
        """Step the policy on state t and return the controller to put on the pad now; int32 [6].

        Args:
            column: float32 [len(RAW_NAMES)], the raw column of state t.
            frames_late: how many frames newer than t have already been played. A decision that comes after the frame it
                was meant for is dropped; the newest committed controller stands for it, as it did on the pad.
        """
        encoded = perspective(encode(column[:, None]), self._side)
        previous = self._codec.encode(as_read(self._queue[-1]))
        noise = self._noise.random(len(self._codec.components), dtype=np.float32).clip(_SMALLEST, 1 - _SMALLEST)
        classes = self._stepper.step(encoded.continuous[:, 0], encoded.indices[:, 0], previous, self.delay, noise)
        is_in_time = frames_late <= self.delay - self._online_delay
        self._queue.append(self._codec.decode(classes) if is_in_time else self._queue[-1])
        return self._queue[self._online_delay]

    def skip(self, num_frames: int) -> None:
        """Let frames pass that never arrived: the newest committed controller stands for theirs."""
        self._queue.extend([self._queue[-1]] * num_frames)
