"""The frame loop: frames in, controllers out, and what it took.

Sync answers every frame before Dolphin goes on. Async never waits for itself: whatever has arrived is stepped through the
policy, so that its state stays whole, and only the newest frame is answered. The surprise: a game is known to be over only
when menus come, so the result of a game stands once the next one could begin.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dataset.errors import ConfigError, DolphinError
from dataset.features.layout import RAW_NAMES
from dataset.melee.controller import Controllers
from dataset.schema import FIRST_FRAME
from play.agent.live import LiveGame, two_ports
from play.dolphin.session import Event, Frame, Lost, Menu
from play.loop.score import GameResult, Score

FRAME_BUDGET_MS = 14.0
"""A frame lasts 16.7 ms, of which libmelee and the pipes take up to 2.5."""

WARM_STEPS = 60

MOST_AT_ONCE = 30
"""However far behind the loop is, so many frames get an answer: one that comes late beats none for seconds."""

FRAME_S = 1 / 60
PAUSE_S = 1.0
"""A game whose frames are so far apart stood still in between: that is no time of play."""

LOST_CONTEXT = 60
"""After so many frames that never arrived the policy begins anew, as at the start of a game."""


class FrameSource(Protocol):
    """A session as the loop uses it; see ``play.dolphin.session.Session``."""

    @property
    def zero_indices(self) -> Any:
        """Libmelee's shifted action states by character."""

    @property
    def flushed_at(self) -> float:
        """When the agent's pad was last flushed."""

    def next(self, *, wait: bool = True) -> Event | None:
        """What comes next."""

    def send(self, *controllers: Controllers) -> None:
        """Put controllers on the pads, the agent's first."""

    def navigate(self, menu: Menu) -> None:
        """Lead through a menu."""


class Players(Protocol):
    """Who of a game is ours: an ``Agent``, or a ``Pair`` of them."""

    def start_game(self, side: int) -> None:
        """Forget the last game; the agent is on side 0 (lower port) or 1."""

    def answer(self, column: NDArray[np.float32], frames_late: int = 0) -> tuple[Controllers, ...]:
        """The controllers to put on the pads now; see ``Agent.act``."""

    def skip(self, num_frames: int) -> None:
        """Let frames pass that never arrived."""


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
    """In which a game stood still for ``PAUSE_S`` or longer."""
    step_ms: list[float] = field(default_factory=list)
    """One policy step a frame, encoding and decoding included."""
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
            "step_ms_p50": _percentile(self.step_ms, 50),
            "step_ms_p99": _percentile(self.step_ms, 99),
            "frame_to_controller_ms_p50": _percentile(self.frame_to_controller_ms, 50),
            "frame_to_controller_ms_p99": _percentile(self.frame_to_controller_ms, 99),
            "stale_share": round(self.frames_stale / self.frames, 4) if self.frames else None,
            "fps": round((self.frames - len(self.games)) / self.seconds, 2) if self.seconds > 0 else None,
        }


def _percentile(values: list[float], percent: int) -> float | None:
    return round(float(np.percentile(values, percent)), 3) if values else None


def warm_up(players: Players) -> float:
    """Step the policy on empty frames until it is warm; the lower quartile of the later steps in ms.

    The median would judge what else the machine does just then, and refuse a policy for it.
    """
    column: NDArray[np.float32] = np.zeros(len(RAW_NAMES), dtype=np.float32)
    times = []
    for _ in range(WARM_STEPS):
        begin = time.perf_counter()
        players.answer(column)
        times.append((time.perf_counter() - begin) * 1000)
    return float(np.quantile(times[WARM_STEPS // 2 :], 0.25))


def check_budget(step_ms: float) -> None:
    """Refuse a policy that cannot keep up with the game.

    Raises:
        ConfigError: a warm step takes longer than the frame leaves.
    """
    if step_ms > FRAME_BUDGET_MS:
        raise ConfigError(
            f"policy: a step must take at most {FRAME_BUDGET_MS:.1f} ms to play at 60 frames a second, found "
            f"{step_ms:.1f} ms, {step_ms - FRAME_BUDGET_MS:.1f} ms too long; play a smaller one, or let Dolphin wait: --sync"
        )


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
        self._session, self._players, self._find_port = session, players, find_port
        self._is_sync, self._num_games, self._seconds = is_sync, num_games, seconds
        self._game: LiveGame | None = None
        self._score, self._side = Score(0), 0
        self._first_at = self._last_at = 0.0
        self._last_number = FIRST_FRAME - 1
        self._answered_from: float | None = None

    def run(self) -> Report:
        """Play until the games, the time or the session are over, or somebody interrupts; then what was played counts."""
        try:
            while not self._is_done():
                self._handle(self._next())
        except KeyboardInterrupt:
            self._handle(Lost("somebody interrupted it"))
        return self.report

    def _is_done(self) -> bool:
        is_late = self._seconds is not None and self._elapsed() >= self._seconds
        if is_late and self._game is not None:
            self._end_game()
        has_played = self._num_games is not None and len(self.report.games) >= self._num_games
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
            if self._game is not None:
                self._end_game()
            if isinstance(event, Lost):
                self.report.lost = event.reason

    def _answer(self, frame: Frame) -> None:
        """Step this frame and all that came since, answer the newest, then turn to what interrupted them."""
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
        self.report.answered.append(newest.number)
        self._answered_from = newest.received_at
        if after is not None:
            self._handle(after)

    def _step(self, frame: Frame, frames_late: int) -> tuple[Controllers, ...]:
        if self._game is None:
            self._start_game(frame)
        assert self._game is not None
        self._bridge(frame.number - self._last_number - 1)
        column = self._game.column(frame.game)
        begin = time.perf_counter()
        controllers = self._players.answer(column, frames_late)
        self.report.step_ms.append((time.perf_counter() - begin) * 1000)
        self._score.add(column)
        self._leave_out_a_pause(frame.received_at - self._last_at)
        self._last_number, self._last_at = frame.number, frame.received_at
        self.report.frames += 1
        self.report.frames_stale += frames_late > 0
        return controllers

    def _start_game(self, frame: Frame) -> None:
        ports, own = two_ports(frame.game), self._find_port(frame.game)
        if own not in ports:
            raise DolphinError(
                f"game: the agent must sit on port {own}, found players on {ports}; see Dolphin's pad settings"
            )
        self._side = ports.index(own)
        self._players.start_game(self._side)
        self._game, self._score = LiveGame(self._session.zero_indices), Score(self._side)
        self._first_at = self._last_at = frame.received_at
        self._last_number = FIRST_FRAME - 1

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
        self.report.games.append(self._score.result())
        self.report.seconds += self._last_at - self._first_at
        self._game = None
