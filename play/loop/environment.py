"""What the frame loop plays: a session, or an environment, which is whatever simulates Melee step by step.

An environment takes controllers and gives frames: it is reset to a game and stepped frame by frame. A session with Dolphin or
with the stand-in can be one (``SessionEnvironment``), a simulator can be one, and the frame loop plays any (``Stepped``). An
environment waits for its controllers, so only sync play goes through here: async play has to see what has already come,
which no simulator needs. Two methods plug one in:

>>> class Simulator:  # two Foxes who stand there for three frames
...     zero_indices, flushed_at = {}, 0.0
...
...     def reset(self):
...         self.left = 3
...         return self.step()
...
...     def step(self, *controllers):
...         self.left -= 1
...         game = melee.GameState(frame=-121 - self.left, players={1: fox(), 2: fox()})
...         return Ended() if self.left < 0 else Frame(game, game.frame, time.perf_counter())
>>> runner = Runner(Stepped(Simulator()), players, find_port=lambda game: 1, is_sync=True, num_games=1)
>>> runner.run().frames
3
"""

from typing import Any, Protocol

from dataset.melee.controller import Controllers
from play.dolphin.session import Ended, Event, Frame, Lost, Menu


class Melee(Protocol):
    """What a session and an environment have in common."""

    @property
    def zero_indices(self) -> Any:
        """Action states by character whose ``action_frame`` counts from 1, as in libmelee; {} where none does."""

    @property
    def flushed_at(self) -> float:
        """``time.perf_counter`` when the agent's controller was last taken."""


class FrameSource(Melee, Protocol):
    """A session as the loop uses it; see ``play.dolphin.session.Session``."""

    def next(self, *, wait: bool = True) -> Event | None:
        """What comes next."""

    def send(self, *controllers: Controllers) -> None:
        """Put controllers on the pads, the agent's first."""

    def navigate(self, menu: Menu) -> None:
        """Lead through a menu."""


class Environment(Melee, Protocol):
    """A simulated Melee that takes one controller per frame from each of our players.

    A ``Frame`` of it holds a game state as libmelee gives it: frame, stage, players by port, projectiles. A batch of games is a
    list of environments.
    """

    def reset(self) -> Frame | Lost:
        """Begin the next game; its first frame."""

    def step(self, *controllers: Controllers) -> Frame | Ended | Lost:
        """Play one frame with these controllers, int32 [6] each, the agent's first; the frame they led to."""


class SessionEnvironment:
    """A session as an environment; ``reset`` leads through its menus."""

    def __init__(self, session: FrameSource) -> None:
        self._session = session

    @property
    def zero_indices(self) -> Any:
        """Libmelee's."""
        return self._session.zero_indices

    @property
    def flushed_at(self) -> float:
        """When the agent's pad was last flushed."""
        return self._session.flushed_at

    def reset(self) -> Frame | Lost:
        """Lead through the menus, or through the rest of a game that nobody plays on, to a first frame."""
        while True:
            event = self._next()
            if isinstance(event, Menu):
                self._session.navigate(event)
            elif not isinstance(event, Ended):
                return event

    def step(self, *controllers: Controllers) -> Frame | Ended | Lost:
        """Put the controllers on the pads, let Dolphin go on, and wait for what comes."""
        self._session.send(*controllers)
        event = self._next()
        while isinstance(event, Menu):  # a session reports a game's end before it shows menus
            event = self._next()
        return event

    def _next(self) -> Event:
        event = self._session.next()
        assert event is not None, "a session that waits answers"
        return event


class Stepped:
    """An environment as the frame loop's source: it is stepped, with what was sent, when the loop asks for the next event."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._sent: tuple[Controllers, ...] | None = None

    @property
    def zero_indices(self) -> Any:
        """The environment's."""
        return self._environment.zero_indices

    @property
    def flushed_at(self) -> float:
        """When the environment last took controllers."""
        return self._environment.flushed_at

    def next(self, *, wait: bool = True) -> Event | None:
        """The frame that the last controllers led to, or the first of a game; None if it would have to be waited for."""
        if not wait:
            return None
        sent, self._sent = self._sent, None
        return self._environment.reset() if sent is None else self._environment.step(*sent)

    def send(self, *controllers: Controllers) -> None:
        """Keep the controllers for the next step."""
        self._sent = controllers

    def navigate(self, menu: Menu) -> None:
        """An environment shows no menus."""
        raise AssertionError(f"an environment shows no menus, found {menu}")
