"""A session whose events are looked at as they pass: what is being played now, for the view and the log.

In: a session. Out: the same session to the loop, and to onlookers the newest frame, the controller on the pad and the game's
number. The surprise: onlookers in other threads only ever read attributes that are replaced whole, so the loop waits for none.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from dataset.melee.controller import Controllers
from play.dolphin.session import Ended, Event, Frame, Lost, Menu
from play.loop.runner import FrameSource


class Listener(Protocol):
    """Who is told when games begin and end, on the loop's own thread."""

    def game_started(self, port: int, frame: Frame) -> None:
        """A game has sent its first frame."""

    def game_ended(self, last: Frame) -> None:
        """A game is over, and the loop has counted it."""


@dataclass(kw_only=True)
class Watched:
    """A ``FrameSource`` that notes what passes through it."""

    session: FrameSource
    find_port: Callable[[Any], int]
    """The agent's port in a game that begins with this state."""
    listeners: list[Listener] = field(default_factory=list)
    newest: Frame | None = None
    """The frame that came last; None before the first game."""
    port: int = 0
    """The agent's, in the newest game."""
    num_games: int = 0
    """Games begun."""
    is_in_game: bool = False
    held: Controllers | None = None
    """The controller that the loop last put on the agent's pad, int32 [6]."""
    _has_untold_end: bool = False

    @property
    def zero_indices(self) -> Any:
        """Libmelee's shifted action states by character."""
        return self.session.zero_indices

    @property
    def flushed_at(self) -> float:
        """When the agent's pad was last flushed."""
        return self.session.flushed_at

    def next(self, *, wait: bool = True) -> Event | None:
        """What comes next."""
        self.tell_end()
        event = self.session.next(wait=wait)
        if isinstance(event, Frame):
            self._note(event)
        elif isinstance(event, Ended | Lost):
            self._note_end()
        return event

    def send(self, *controllers: Controllers) -> None:
        """Put controllers on the pads."""
        self.held = controllers[0]
        self.session.send(*controllers)

    def navigate(self, menu: Menu) -> None:
        """Lead through a menu."""
        self.session.navigate(menu)

    def tell_end(self) -> None:
        """Tell of a game that ended; by now the loop has counted it."""
        if self._has_untold_end and self.newest is not None:
            self._has_untold_end = False
            for listener in self.listeners:
                listener.game_ended(self.newest)

    def stop(self) -> None:
        """The loop has ended, perhaps in mid-game."""
        self._note_end()
        self.tell_end()

    def _note(self, frame: Frame) -> None:
        if not self.is_in_game:
            self.port = self.find_port(frame.game)
            self.num_games += 1
            self.is_in_game = True
            for listener in self.listeners:
                listener.game_started(self.port, frame)
        self.newest = frame

    def _note_end(self) -> None:
        self._has_untold_end = self._has_untold_end or self.is_in_game
        self.is_in_game = False
