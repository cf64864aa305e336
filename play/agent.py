"""An agent: a policy wired to live frames through a queue of committed controllers.

With delay d the controller decided on state t acts in frame t+d+1. The queue holds the controllers committed to frames
t … t+d, neutral at the start of a game. Its tail is the p that the policy is given; once the decision is appended, its head
is what has to be on the pad for frame t+1. The surprise: p is what the game will *read* of the committed controller, because
that is what replays record.
"""

from collections import deque
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dataset.codec import NEUTRAL, Classes, Codec, Controllers
from dataset.encode import encode, perspective
from dataset.errors import ConfigError
from play.controller import as_read

_SMALLEST = 1e-6
"""Noise is kept this far from 0 and 1, where its logarithms end."""


_REMEMBERED = 4096
"""Controllers whose decoding is remembered: players hold most of them for many frames, and come back to them."""


class Committed(NamedTuple):
    """A controller in the queue."""

    controller: Controllers
    """What is put on the pad, int32 [6]."""
    read: Classes
    """What the game will read of it, as classes uint8 [K]."""


class Stepper(Protocol):
    """A policy that is stepped one frame at a time and carries its recurrent state, of one player or of P at once."""

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
        """Classes uint8 [K] of continuous [C], indices [I], previous [K] and noise [K] in (0, 1); of P players [P, …] each."""


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
        self._committed = lru_cache(_REMEMBERED)(lambda classes: _commit(codec, classes))
        self.start_game(0)

    def start_game(self, side: int) -> None:
        """Forget the last game; the player is on side 0 (lower port) or 1."""
        self._side = side
        self._stepper.reset()
        self._queue = deque([_as_committed(self._codec, NEUTRAL)] * (self.delay + 1), maxlen=self.delay + 1)

    def act(self, column: NDArray[np.float32], frames_late: int = 0) -> Controllers:
        """Step the policy on state t and return the controller to put on the pad now; int32 [6].

        Args:
            column: float32 [len(RAW_NAMES)], the raw column of state t.
            frames_late: how many frames newer than t have already been played. A decision that comes after the frame it
                was meant for is dropped; the newest committed controller stands for it, as it did on the pad.
        """
        encoded = perspective(encode(column[:, None]), self._side)
        noise = self._noise.random(len(self._codec.components), dtype=np.float32).clip(_SMALLEST, 1 - _SMALLEST)
        newest = self._queue[-1]
        classes = self._stepper.step(encoded.continuous[:, 0], encoded.indices[:, 0], newest.read, self.delay, noise)
        is_in_time = frames_late <= self.delay - self._online_delay
        self._queue.append(self._committed(classes.tobytes()) if is_in_time else newest)
        return self._queue[self._online_delay].controller

    def skip(self, num_frames: int) -> None:
        """Let frames pass that never arrived: the newest committed controller stands for theirs."""
        self._queue.extend([self._queue[-1]] * num_frames)


def _commit(codec: Codec, classes: bytes) -> Committed:
    return _as_committed(codec, codec.decode(np.frombuffer(classes, dtype=np.uint8)))


def _as_committed(codec: Codec, controller: Controllers) -> Committed:
    """Both are shared by every frame that commits them, hence read-only."""
    committed = Committed(controller.copy(), codec.encode(as_read(controller)))
    for array in committed:
        array.setflags(write=False)
    return committed
