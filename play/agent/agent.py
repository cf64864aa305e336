"""Agents: policies wired to live frames through queues of committed controllers.

With delay d the controller decided on state t acts in frame t+d+1. The queue holds the controllers committed to frames
t … t+d, neutral at the start of a game. Its tail is the p that the policy is given; once the decision is appended, its head
is what has to be on the pad for frame t+1. p is what the game will *read* of the committed controller, because that is what
replays record.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dataset.codecs.base import Codec
from dataset.errors import ConfigError
from dataset.features.encoder import FRAME_ENCODERS
from dataset.features.layout import FEATURES, INDICES
from dataset.melee.controller import NEUTRAL, Classes, Controllers, game_stick, game_trigger

Column = NDArray[np.float32]
"""The raw column of one frame, [len(RAW_NAMES)]."""

SMALLEST_NOISE = 1e-6
"""Noise is kept this far from 0 and 1, where its logarithms end."""

_NOISE_FRAMES = 64
"""Frames of noise drawn at once."""

_REMEMBERED = 1 << 15
"""Controllers whose decoding is cached: players hold most of them for many frames, and come back to them."""


class PolicyInput(NamedTuple):
    """What a policy is given of one frame, a row for each of P players."""

    continuous: NDArray[np.float16]
    """[P, C]"""
    indices: NDArray[np.uint16]
    """[P, I]"""
    previous: Classes
    """The newest committed controllers as the game will read them, [P, K]."""
    delay: int
    """Frames between seeing and acting."""
    noise: NDArray[np.float32]
    """[P, K] in (0, 1)."""


class Stepper(Protocol):
    """A policy that steps P players by one frame at once, and carries a recurrent state for each."""

    def reset(self) -> None:
        """Begin a new game."""

    def step(self, given: PolicyInput) -> Classes:
        """Classes uint8 [P, K] of one frame; ``given`` is overwritten at the next."""


class Committed(NamedTuple):
    """A controller in the queue."""

    controller: Controllers
    """What is put on the pad, int32 [6]."""
    read: Classes
    """What the game will read of it, as classes uint8 [K]."""


class Agent:
    """One player's policy in play: its view of the game, its delay queue and its sampling noise.

    Args:
        stepper: the policy; agents may share one, see ``Batch``.
        codec: the codec it was trained with.
        delay: frames between seeing and acting, 0 is the very next frame.
        online_delay: how many of these frames Dolphin's netplay adds by itself.
        seed: of the sampling noise; agents of one game need different ones.

    Raises:
        ConfigError: netplay would add more delay than there is.
    """

    def __init__(
        self, stepper: Stepper, codec: Codec, *, delay: int, online_delay: int = 0, seed: int | tuple[int, ...] = 0
    ) -> None:
        if not 0 <= online_delay <= delay:
            raise ConfigError(
                f"delay {delay}: must be at least netplay's own, found online delay {online_delay}; "
                "train with a longer --delay or lower the online delay"
            )
        self.delay, self.stepper, self.num_components = delay, stepper, len(codec.components)
        self._codec = codec
        self._online_delay = online_delay
        self.noise = _noise(seed, self.num_components)
        self.start_game(0)

    def start_game(self, side: int) -> None:
        """Forget the last game; the player is on side 0 (lower port) or 1."""
        self.encoder = FRAME_ENCODERS[side]
        self.stepper.reset()
        self._queue = deque([_as_committed(self._codec, NEUTRAL)] * (self.delay + 1), maxlen=self.delay + 1)

    @property
    def previous(self) -> Classes:
        """The newest committed controller as the game will read it, uint8 [K]."""
        return self._queue[-1].read

    def commit(self, classes: Classes, frames_late: int = 0) -> Controllers:
        """Queue what was decided on state t; the controller to put on the pad now, int32 [6].

        A decision that comes after the frame it was meant for is dropped: the newest committed controller takes its
        place, as it did on the pad.

        Args:
            classes: the decision, uint8 [K].
            frames_late: how many frames newer than t have already been played.
        """
        is_in_time = frames_late <= self.delay - self._online_delay
        self._queue.append(_commit(self._codec, classes.tobytes()) if is_in_time else self._queue[-1])
        return self._queue[self._online_delay].controller

    def skip(self, num_frames: int) -> None:
        """Let frames pass that never arrived: the newest committed controller takes their place."""
        self._queue.extend([self._queue[-1]] * num_frames)


class Batch:
    """Agents that share a stepper: one inference steps all of them, and reads the weights once.

    Each agent has a row of its own, whichever game it plays in; all have the delay that the policy was trained for.
    """

    def __init__(self, agents: Sequence[Agent]) -> None:
        self._agents, self._stepper = agents, agents[0].stepper
        rows, num_components = len(agents), agents[0].num_components
        self._given = PolicyInput(
            continuous=np.zeros((rows, len(FEATURES)), np.float16),
            indices=np.zeros((rows, len(INDICES)), np.uint16),
            previous=np.zeros((rows, num_components), np.uint8),
            delay=agents[0].delay,
            noise=np.zeros((rows, num_components), np.float32),
        )

    def decide(self, columns: Sequence[Column]) -> Classes:
        """Step every agent on its frame, given by raw column; classes uint8 [rows, K]."""
        continuous, indices, *_ = self._given
        for row, (agent, column) in enumerate(zip(self._agents, columns, strict=True)):
            continuous[row], indices[row] = agent.encoder.encode(column)
        return self._step()

    def decide_encoded(self, continuous: NDArray[np.float16], indices: NDArray[np.uint16]) -> Classes:
        """``decide`` for frames that are encoded already, each as its agent's side sees it.

        Args:
            continuous: features [rows, C].
            indices: [rows, I].
        """
        self._given.continuous[:], self._given.indices[:] = continuous, indices
        return self._step()

    def _step(self) -> Classes:
        previous, noise = self._given.previous, self._given.noise
        for row, agent in enumerate(self._agents):
            previous[row] = agent.previous
            noise[row] = next(agent.noise)
        return self._stepper.step(self._given)


class Players:
    """Who of a game is ours: one agent, or both sides.

    Args:
        agents: the first is the one by whose side the game is scored, the second its opponent.
    """

    def __init__(self, *agents: Agent) -> None:
        self._agents = agents
        is_shared = len({id(agent.stepper) for agent in agents}) == 1
        self._batches = [Batch(agents)] if is_shared else [Batch([agent]) for agent in agents]
        self._num_rows = len(agents) if is_shared else 1

    def start_game(self, side: int) -> None:
        """Forget the last game; the first agent is on side 0 (lower port) or 1, the second on the other."""
        for number, agent in enumerate(self._agents):
            agent.start_game(side ^ number)

    def answer(self, column: Column, frames_late: int = 0) -> tuple[Controllers, ...]:
        """Step every policy on state t; a controller per agent, int32 [6], to put on the pads now.

        Args:
            column: the raw column of state t.
            frames_late: how many frames newer than t have already been played; see ``Agent.commit``.
        """
        columns = [column] * self._num_rows
        decided = [classes for batch in self._batches for classes in batch.decide(columns)]
        return tuple(agent.commit(classes, frames_late) for agent, classes in zip(self._agents, decided, strict=True))

    def skip(self, num_frames: int) -> None:
        """Let frames pass that never arrived."""
        for agent in self._agents:
            agent.skip(num_frames)


def as_read(controllers: Controllers) -> Controllers:
    """The controllers that the game will read, and Slippi record, after ``controllers`` were pressed; both int32 [..., 6].

    Sticks are drawn into the circle and lose their dead zone, and Z pulls the trigger to 49/140.
    """
    read = [_read(*each) for each in controllers.reshape(-1, 6).tolist()]
    return np.array(read, dtype=np.int32).reshape(controllers.shape)


@lru_cache(_REMEMBERED)
def _read(main_x: int, main_y: int, c_x: int, c_y: int, trigger: int, bits: int) -> tuple[int, ...]:
    return (*game_stick(main_x, main_y), *game_stick(c_x, c_y), game_trigger(trigger, 0, bits), bits)


def _noise(seed: int | tuple[int, ...], num_components: int) -> Iterator[NDArray[np.float32]]:
    """Uniforms [K] in (0, 1) without end, drawn many frames at a time: a draw costs more in calls than in numbers."""
    random = np.random.default_rng(seed)
    while True:
        yield from random.random((_NOISE_FRAMES, num_components), dtype=np.float32).clip(
            SMALLEST_NOISE, 1 - SMALLEST_NOISE
        )


@lru_cache(_REMEMBERED)
def _commit(codec: Codec, classes: bytes) -> Committed:
    return _as_committed(codec, codec.decode(np.frombuffer(classes, dtype=np.uint8)))


def _as_committed(codec: Codec, controller: Controllers) -> Committed:
    """Both are shared by every frame that commits them, hence read-only."""
    committed = Committed(controller.copy(), codec.encode(as_read(controller)))
    for array in committed:
        array.setflags(write=False)
    return committed
