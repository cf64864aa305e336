"""The frame loop: frames in, controllers out, and what it took.

Sync answers every frame before Dolphin continues. Async never waits for itself: it steps whatever has arrived through the
policy, so that its state stays whole, and answers only the newest frame. A game is known to be over only when menus come, so
its result is counted when the next one could begin.

Other threads may read a runner while it plays: its attributes are replaced whole, so the loop waits for nobody.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dataset.errors import DolphinError
from dataset.features.layout import RAW_ROW
from dataset.melee.controller import Controllers
from dataset.melee.damage import PLACE, is_dealt
from dataset.schema import FIRST_FRAME, FRAMES_PER_SECOND, SIDES
from play.agent.agent import Players
from play.agent.libmelee import LiveGame, two_ports
from play.dolphin.session import Event, Frame, Lost, Menu
from play.loop.environment import FrameSource

MOST_AT_ONCE = 30
"""Most frames that the loop steps before it answers, however far behind it is: a late answer is better than none for seconds."""

FRAME_S = 1 / FRAMES_PER_SECOND
PAUSE_S = 1.0
"""A game whose frames are this far apart was paused in between: that is no time of play."""

LOST_CONTEXT = 60
"""Missing frames after which the policy begins anew, as at the start of a game."""

_STOCKS = np.array([RAW_ROW[f"{side}_stocks"] for side in SIDES])
_PLACE = np.array([[RAW_ROW[f"{side}_{name}"] for side in SIDES] for name in PLACE])
_PERCENT = np.array([RAW_ROW[f"{side}_percent"] for side in SIDES])


class Listener(Protocol):
    """Hears from the loop, on its own thread, when games begin and end."""

    def game_started(self, port: int, frame: Frame) -> None:
        """A game has sent its first frame; the agent is on ``port``."""

    def game_ended(self, last: Frame) -> None:
        """A game is over, and the report has its result."""


@dataclass(frozen=True, kw_only=True)
class GameResult:
    """One game from the agent's side."""

    stocks_taken: int
    stocks_lost: int
    damage_dealt: float
    """Percent."""
    damage_taken: float
    """Percent."""
    frames: int
    """Frames seen, from −123 on."""


class Score:
    """Counts stocks and damage of one game from raw columns as they pass; ``side`` is the agent's, 0 or 1.

    Damage is what the opponent dealt (``dataset.melee.damage``), so a death costs nothing and healing is not deducted.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._frames = 0
        self._stocks, self._percent = [0.0, 0.0], [0.0, 0.0]
        self._lost, self._damage = [0.0, 0.0], np.zeros(2)

    def add(self, column: NDArray[np.float32]) -> None:
        """Take in the next frame's raw column."""
        stocks, percent = column[_STOCKS].tolist(), column[_PERCENT].tolist()
        if self._frames and (stocks, percent) != (self._stocks, self._percent):
            for side in range(2):
                self._lost[side] += max(self._stocks[side] - stocks[side], 0.0)
            rises = np.subtract(percent, self._percent)
            self._damage += np.where(is_dealt(rises, *column[_PLACE]), rises, 0)
        self._stocks, self._percent = stocks, percent
        self._frames += 1

    def result(self) -> GameResult:
        """What the game has come to."""
        own, other = self._side, 1 - self._side
        return GameResult(
            stocks_taken=int(self._lost[other]),
            stocks_lost=int(self._lost[own]),
            damage_dealt=round(float(self._damage[other]), 2),
            damage_taken=round(float(self._damage[own]), 2),
            frames=self._frames,
        )


@dataclass(kw_only=True)
class Report:
    """What a session came to."""

    games: list[GameResult] = field(default_factory=list)
    frames: int = 0
    """Frames stepped through the policy."""
    frames_stale: int = 0
    """Of these, frames that a newer one had overtaken before they were stepped."""
    frames_missing: int = 0
    """Frames that never arrived."""
    seconds: float = 0.0
    """From the first to the last frame of each game, without pauses."""
    seconds_paused: float = 0.0
    """In which a game was paused for ``PAUSE_S`` or longer."""
    step_ms: list[float] = field(default_factory=list)
    """One policy step per frame, encoding and decoding included."""
    answered: list[int] = field(default_factory=list)
    """Frames whose controller was put on the pad, in order."""
    frame_to_controller_ms: list[float] = field(default_factory=list)
    """From libmelee's game state to the flushed pipe, of every answered frame."""
    lost: str | None = None
    """Why the session broke off, if it did."""

    def summary(self) -> dict[str, float | int | None]:
        """The figures that ``exphil play --json`` prints; None where nothing was measured."""
        return {
            "frames": self.frames,
            "frames_missing": self.frames_missing,
            "seconds_paused": round(self.seconds_paused, 2),
            **spread("step_ms", self.step_ms),
            **spread("frame_to_controller_ms", self.frame_to_controller_ms),
            "stale_share": round(self.frames_stale / self.frames, 4) if self.frames else None,
            "fps": round((self.frames - len(self.games)) / self.seconds, 2) if self.seconds > 0 else None,
        }


def spread(name: str, values: list[float]) -> dict[str, float | None]:
    """Median and 99th percentile under the names of the JSON keys; None where there are no values."""
    return {
        f"{name}_p{percent}": round(float(np.percentile(values, percent)), 3) if values else None
        for percent in (50, 99)
    }


class Runner:
    """Plays a session's games.

    Args:
        session: where frames come from.
        players: what answers them.
        find_port: the agent's port in a game that begins with this state.
        is_sync: answer every frame; else only the newest.
        num_games: how many games to play; None plays until the session or the time is over.
        seconds: of play in all; None has no limit.
    """

    def __init__(
        self,
        session: FrameSource,
        players: Players,
        *,
        find_port: Callable[[Any], int],
        is_sync: bool,
        num_games: int | None = None,
        seconds: float | None = None,
    ) -> None:
        self.report = Report()
        self.listeners: list[Listener] = []
        self.newest: Frame | None = None
        """The frame stepped last; None before the first game."""
        self.port = 0
        """The agent's, in the newest game."""
        self.num_games = 0
        """Games begun."""
        self.held: Controllers | None = None
        """What was last put on the agent's pad, int32 [6]."""
        self._session, self._players, self._find_port = session, players, find_port
        self._is_sync, self._most_games, self._seconds = is_sync, num_games, seconds
        self._game: LiveGame | None = None
        self._score, self._side = Score(0), 0
        self._first_at = self._last_at = 0.0
        self._last_number = FIRST_FRAME - 1
        self._answered_from: float | None = None

    @property
    def is_in_game(self) -> bool:
        """Whether a game has begun and is not over."""
        return self._game is not None

    def run(self) -> Report:
        """Play until the games, the time or the session are over, or Ctrl-C; what was played counts."""
        try:
            while not self._is_done():
                self._handle(self._next())
        except KeyboardInterrupt:
            self._handle(Lost("somebody interrupted it"))
        return self.report

    def _is_done(self) -> bool:
        is_late = self._seconds is not None and self._elapsed() >= self._seconds
        if is_late:
            self._end_game()
        has_played = self._most_games is not None and len(self.report.games) >= self._most_games
        return is_late or has_played or self.report.lost is not None

    def _elapsed(self) -> float:
        running = self._last_at - self._first_at if self._game is not None else 0.0
        return self.report.seconds + running

    def _next(self) -> Event:
        event = self._session.next()
        assert event is not None, "a session that waits answers"
        if self._answered_from is not None:
            self.report.frame_to_controller_ms.append((self._session.flushed_at - self._answered_from) * 1000)
            self._answered_from = None
        return event

    def _handle(self, event: Event) -> None:
        if isinstance(event, Frame):
            self._answer(event)
        elif isinstance(event, Menu):
            self._session.navigate(event)
        else:
            if isinstance(event, Lost):
                self.report.lost = event.reason
            self._end_game()

    def _answer(self, frame: Frame) -> None:
        """Step this frame and all that came since, answer the newest, then handle what came after them."""
        frames, after = [frame], None
        while not self._is_sync and len(frames) < MOST_AT_ONCE:
            after = self._session.next(wait=False)
            if not isinstance(after, Frame):
                break
            frames.append(after)
            after = None
        newest = frames[-1]
        for each in frames:
            controllers = self._step(each, newest.number - each.number)
        self._session.send(*controllers)
        self.held = controllers[0]
        self.report.answered.append(newest.number)
        self._answered_from = newest.received_at
        if after is not None:
            self._handle(after)

    def _step(self, frame: Frame, frames_late: int) -> tuple[Controllers, ...]:
        if self._game is None:
            self._game = self._start_game(frame)
        self._bridge(frame.number - self._last_number - 1)
        try:
            column = self._game.column(frame.game)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DolphinError(
                f"stream: a frame must hold two players on a stage that Melee has, found other things ({error}); start again"
            ) from error
        begin = time.perf_counter()
        controllers = self._players.answer(column, frames_late)
        self.report.step_ms.append((time.perf_counter() - begin) * 1000)
        self._score.add(column)
        self._leave_out_a_pause(frame.received_at - self._last_at)
        self._last_number, self._last_at = frame.number, frame.received_at
        self.newest = frame
        self.report.frames += 1
        self.report.frames_stale += frames_late > 0
        return controllers

    def _start_game(self, frame: Frame) -> LiveGame:
        ports, own = two_ports(frame.game), self._find_port(frame.game)
        if own not in ports:
            raise DolphinError(
                f"game: the agent must play on port {own}, found players on {ports}; see Dolphin's pad settings"
            )
        self._side = ports.index(own)
        self._players.start_game(self._side)
        self._score = Score(self._side)
        self._first_at = self._last_at = frame.received_at
        self._last_number = FIRST_FRAME - 1
        self.newest, self.port = frame, own
        self.num_games += 1
        for listener in self.listeners:
            listener.game_started(own, frame)
        return LiveGame(self._session.zero_indices)

    def _leave_out_a_pause(self, between_s: float) -> None:
        if between_s >= PAUSE_S:
            self.report.seconds_paused += between_s - FRAME_S
            self._first_at += between_s - FRAME_S

    def _bridge(self, num_missing: int) -> None:
        """Let frames pass that never came; libmelee only ever moves forward."""
        if num_missing == 0:
            return
        self.report.frames_missing += num_missing
        if num_missing > LOST_CONTEXT:
            self._players.start_game(self._side)
        else:
            self._players.skip(num_missing)

    def _end_game(self) -> None:
        """Count the game that is being played, if there is one."""
        if self._game is None or self.newest is None:
            return
        self._game = None
        self.report.games.append(self._score.result())
        self.report.seconds += self._last_at - self._first_at
        for listener in self.listeners:
            listener.game_ended(self.newest)
