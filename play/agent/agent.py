"""An agent: a policy wired to live frames through a queue of committed controllers.

With delay d the controller decided on state t acts in frame t+d+1. The queue holds the controllers committed to frames
t … t+d, neutral at the start of a game. Its tail is the p that the policy is given; once the decision is appended, its head
is what has to be on the pad for frame t+1. The surprise: p is what the game will *read* of the committed controller, because
that is what replays record.
"""

from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dataset.codecs.base import Codec
from dataset.errors import ConfigError
from dataset.features.encoder import FRAME_ENCODERS
from dataset.melee.controller import NEUTRAL, Classes, Controllers
from play.agent.controller import as_read

_SMALLEST = 1e-6
"""Noise is kept this far from 0 and 1, where its logarithms end."""


_DRAWN = 64
"""Frames of noise drawn at once."""

_REMEMBERED = 4096
"""Controllers whose decoding is remembered: players hold most of them for many frames, and come back to them."""


class Committed(NamedTuple):
    """A controller in the queue."""

    controller: Controllers
    """What is put on the pad, int32 [6]."""
    read: Classes
    """What the game will read of it, as classes uint8 [K]."""


class Seen(NamedTuple):
    """What a policy is given of one frame, in the order of ``Stepper.step``."""

    continuous: NDArray[np.float16]
    indices: NDArray[np.uint16]
    previous: Classes
    delay: int
    noise: NDArray[np.float32]


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
        seed: of the sampling noise; agents of one game need different ones.

    Raises:
        ConfigError: netplay would add more delay than there is.
    """

    def __init__(
        self,
        stepper: Stepper,
        codec: Codec,
        *,
        delay: int,
        online_delay: int = 0,
        seed: int | tuple[int, ...] = 0,
    ) -> None:
        if not 0 <= online_delay <= delay:
            raise ConfigError(
                f"delay {delay}: must be at least netplay's own, found online delay {online_delay}; "
                "train with a longer --delay or lower the online delay"
            )
        self.delay, self.stepper = delay, stepper
        self._codec = codec
        self._online_delay = online_delay
        self._noise = _noise(seed, len(codec.components))
        self._committed = lru_cache(_REMEMBERED)(lambda classes: _commit(codec, classes))
        self.start_game(0)

    def start_game(self, side: int) -> None:
        """Forget the last game; the player is on side 0 (lower port) or 1."""
        self._encoder = FRAME_ENCODERS[side]
        self.stepper.reset()
        self._queue = deque([_as_committed(self._codec, NEUTRAL)] * (self.delay + 1), maxlen=self.delay + 1)

    def act(self, column: NDArray[np.float32], frames_late: int = 0) -> Controllers:
        """Step the policy on state t and return the controller to put on the pad now; int32 [6].

        Args:
            column: float32 [len(RAW_NAMES)], the raw column of state t.
            frames_late: how many frames newer than t have already been played. A decision that comes after the frame it
                was meant for is dropped; the newest committed controller stands for it, as it did on the pad.
        """
        return self.commit(self.stepper.step(*self.see(column)), frames_late)

    def answer(self, column: NDArray[np.float32], frames_late: int = 0) -> tuple[Controllers, ...]:
        """What ``act`` gives, as the only controller of those that a ``Pair`` gives two of."""
        return (self.act(column, frames_late),)

    def see(self, column: NDArray[np.float32]) -> Seen:
        """What the policy is given of state t, from the player's side."""
        continuous, indices = self._encoder.encode(column)
        return Seen(continuous, indices, self._queue[-1].read, self.delay, next(self._noise))

    def commit(self, classes: Classes, frames_late: int = 0) -> Controllers:
        """Queue what was decided; the controller to put on the pad now, int32 [6]."""
        is_in_time = frames_late <= self.delay - self._online_delay
        self._queue.append(self._committed(classes.tobytes()) if is_in_time else self._queue[-1])
        return self._queue[self._online_delay].controller

    def skip(self, num_frames: int) -> None:
        """Let frames pass that never arrived: the newest committed controller stands for theirs."""
        self._queue.extend([self._queue[-1]] * num_frames)


def _noise(seed: int | tuple[int, ...], num_components: int) -> Iterator[NDArray[np.float32]]:
    """Uniforms [K] in (0, 1) without end, drawn many frames at a time: a draw costs more in calls than in numbers."""
    random = np.random.default_rng(seed)
    while True:
        yield from random.random((_DRAWN, num_components), dtype=np.float32).clip(_SMALLEST, 1 - _SMALLEST)


def _commit(codec: Codec, classes: bytes) -> Committed:
    return _as_committed(codec, codec.decode(np.frombuffer(classes, dtype=np.uint8)))


def _as_committed(codec: Codec, controller: Controllers) -> Committed:
    """Both are shared by every frame that commits them, hence read-only."""
    committed = Committed(controller.copy(), codec.encode(as_read(controller)))
    for array in committed:
        array.setflags(write=False)
    return committed
