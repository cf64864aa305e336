"""Sessions with Dolphin, or with its stand-in, through libmelee.

``next`` gives a frame, a menu, the end of a game, or the loss of the connection; ``send`` puts a controller on the pad, which
the following ``next`` flushes. libmelee flushes the pads at the start of *every* step, even of one that only looks whether a
frame has come, and in blocking mode Dolphin would take that for an answer. So a ``Flusher`` decides which flushes go through.
"""

import logging
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import melee
from melee.slippstream import EnetDisconnected

from dataset.errors import DolphinError
from dataset.melee.controller import Controllers
from dataset.reporting.terminal import to_stderr
from play.agent.libmelee import press
from play.dolphin.connection import close_console

POLL_S = 0.5
"""How long to wait for a frame before checking that Dolphin is alive."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a session waits for a Dolphin that sends nothing, though it runs and is connected.

    It does not wait for a dead one: an exit, a disconnection, and a ping without an answer are each noticed by themselves.
    """

    silence_s: float = 30.0
    """For a frame or a menu: a stage loads in seconds."""
    pause_s: float = 30.0
    """For the next frame of a game: longer where a person plays, who may pause."""
    num_menus: int | None = None
    """Menu states in a row without a game; None has no limit, for people take their time."""


ALONE = Patience(num_menus=7200)
"""Where no person plays: after two minutes of menus something is wrong."""

BESIDE_A_PERSON = Patience(pause_s=3600.0)

MENUS_THAT_END = 3
"""Menu states in a row that end a game: Dolphin at times sends a single one in mid-game (Slippi's dolphin issue 31)."""

OLDEST_LIVE = (3, 18, 0)
"""libmelee reads past the events of older streams, so live ones are refused."""

_UNDECLARED = 1 << 30
"""Size that libmelee assumes for an event that the stream never declared: more than is there, so it drops the rest of the message
instead of reading the same byte for ever."""

_UNREADABLE = (
    *(ValueError, ArithmeticError, AssertionError, LookupError, TypeError, AttributeError),
    *(RecursionError, MemoryError, struct.error),
)
"""What libmelee raises when it meets a message or bytes it cannot read."""

MOST_MESSAGES = 10_000
"""Without a frame or menu among them; Dolphin sends about one of each a frame."""


@dataclass(frozen=True)
class Frame:
    """One in-game state."""

    game: Any
    """``melee.GameState``."""
    number: int
    """Slippi's frame index."""
    received_at: float
    """``time.perf_counter`` when libmelee had parsed it."""


@dataclass(frozen=True)
class Menu:
    """One menu state, outside of games."""

    state: Any


@dataclass(frozen=True)
class Ended:
    """A game is over; the session continues."""


@dataclass(frozen=True)
class Lost:
    """The session is over."""

    reason: str


Event = Frame | Menu | Ended | Lost


class UnknownEvents(logging.Filter):
    """Counts the events that libmelee does not know, and says each kind once; libmelee logs every one of them."""

    def __init__(self, say: Callable[[str], None] = to_stderr) -> None:
        super().__init__()
        self.counts: Counter[int] = Counter()
        self._say = say

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is anything else."""
        if record.msg != "Got unknown event type: %s" or not isinstance(record.args, tuple):
            return True
        kind = int(str(record.args[0]))
        self.counts[kind] += 1
        if self.counts[kind] == 1:
            self._say(f"Slippi sends events 0x{kind:02X}, which are newer than this libmelee; they are skipped")
        return False


UNKNOWN_EVENTS = UnknownEvents()
"""Of all sessions."""


class Flusher:
    """Takes the pad's place in libmelee's list and lets only those flushes through that answer a frame."""

    def __init__(self, pad: melee.Controller) -> None:
        self.pad = pad
        self.is_next_held = False
        """Whether the next flush is left out."""
        self.held: Controllers | None = None
        """Where ``send`` last put the pad; None once something else has moved it."""
        self.flushed_at = 0.0

    def flush(self) -> None:
        """Flush, unless this is the flush to leave out; the flush of a dropped frame goes through."""
        if self.is_next_held:
            self.is_next_held = False
            return
        self.pad.flush()
        self.flushed_at = time.perf_counter()

    def release_all(self) -> None:
        """Release everything: libmelee does so at the start of a game and flushes, though Dolphin waits for nothing then."""
        self.held, self.is_next_held = None, True
        self.pad.release_all()


class _Sizes(list[int]):
    """Bytes of each event, which libmelee sets as the stream declares them."""

    def __setitem__(self, command: Any, size: Any) -> None:
        """Refuse an event of no bytes (65535 declared, and one more), at which libmelee would stay for ever."""
        if not size > 0:
            raise ValueError(f"event 0x{command:02X} is declared as longer than any")
        super().__setitem__(command, size)


class Session:
    """One connection to a Dolphin.

    Args:
        console: a connected ``melee.Console`` in polling mode.
        pads: its connected controllers, the agent's first.
        oldest: Slippi version below which the stream is refused.
        navigate: what moves the pads in menus.
        patience: how long it waits before it gives up.
    """

    def __init__(
        self,
        console: melee.Console,
        pads: list[melee.Controller],
        *,
        oldest: tuple[int, int, int],
        navigate: Callable[[Any], None] | None = None,
        patience: Patience = BESIDE_A_PERSON,
    ) -> None:
        self.patience = patience
        self._console, self._oldest, self._navigate = console, oldest, navigate
        self._flushers = [Flusher(pad) for pad in pads]
        console.controllers = list(self._flushers)
        console.eventsize = _Sizes([_UNDECLARED] * len(console.eventsize))
        self._is_answered = True
        self._is_in_game, self._last_frame, self._num_menus = False, 0, 0
        self._pending: Frame | None = None
        self._ended: str | None = None
        self._listen_for_ends()
        logging.getLogger().addFilter(UNKNOWN_EVENTS)

    @property
    def zero_indices(self) -> Mapping[int, Collection[int]]:
        """Libmelee's shifted action states by character."""
        table: Mapping[int, Collection[int]] = self._console.zero_indices
        return table

    @property
    def flushed_at(self) -> float:
        """``time.perf_counter`` when the agent's pad was last flushed."""
        return self._flushers[0].flushed_at

    def next(self, *, wait: bool = True) -> Event | None:
        """What comes next; flushes the pads first if it waits.

        Args:
            wait: False only looks whether something has already come, and gives None if not.
        """
        if self._pending is not None:
            frame, self._pending = self._pending, None
            return frame
        quiet_since = time.monotonic()
        while True:
            state = self._step(POLL_S if wait else 0.0, is_answer=wait and self._is_answered)
            if isinstance(state, Lost):
                return state
            if state is not None:
                self._is_answered = True
                event = self._event(state)
                if event is not None:
                    return event
            elif not wait:
                return None
            elif (lost := self._silence(time.monotonic() - quiet_since)) is not None:
                return lost

    def send(self, *controllers: Controllers) -> None:
        """Put decoded controllers, int32 [6] each, on the pads; the agent's comes first."""
        for flusher, controller in zip(self._flushers, controllers, strict=False):  # a CPU's pad is for menus only
            press(flusher.pad, melee.Button, controller, flusher.held)
            flusher.held = controller

    def navigate(self, menu: Menu) -> None:
        """Press what leads from this menu to the next game."""
        if self._navigate is not None:
            self._navigate(menu.state)
            for flusher in self._flushers:
                flusher.held = None

    def close(self) -> None:
        """End the connection and our own Dolphin; safe to call twice."""
        for flusher in self._flushers:
            flusher.pad.disconnect()
        close_console(self._console)

    def _step(self, timeout_s: float, *, is_answer: bool) -> Any:
        for flusher in self._flushers:
            flusher.is_next_held = not is_answer
        self._is_answered = self._is_answered and not is_answer
        self._console._polling_timeout, self._num_messages = timeout_s, 0
        try:
            return self._console.step()
        except EnetDisconnected:
            return Lost("the spectator stream was closed")
        except BrokenPipeError:
            return Lost("the controller pipe was closed")
        except melee.console.SlippiVersionTooLow as error:
            raise _too_old(error.message, self._oldest) from error
        except _UNREADABLE as error:
            return Lost(f"libmelee could not read a frame ({type(error).__name__}: {error})"[:300])

    def _event(self, state: Any) -> Event | None:
        if state.menu_state in (melee.Menu.IN_GAME, melee.Menu.SUDDEN_DEATH):
            return self._frame(Frame(state, int(state.frame), time.perf_counter()))
        self._num_menus += 1
        if self.patience.num_menus is not None and self._num_menus > self.patience.num_menus:
            return Lost(
                f"no game began in {self._num_menus - 1:,} menus; see that all characters and stages are unlocked"
            )
        if not self._is_in_game:
            return Menu(state)
        if self._num_menus < MENUS_THAT_END:
            return None
        self._is_in_game = False
        for flusher in self._flushers:  # what a game's last frame held down is pressed in no menu
            flusher.pad.release_all()
            flusher.held = None
        return Ended()

    def _frame(self, frame: Frame) -> Event:
        """Libmelee drops frames that do not advance, so one that goes back is the first of another game."""
        is_new_game = self._is_in_game and frame.number <= self._last_frame
        if not self._is_in_game or is_new_game:
            version = tuple(int(part) for part in self._console.slp_version_tuple or (0, 0, 0))
            if version < self._oldest:
                raise _too_old(".".join(str(part) for part in version), self._oldest)
        self._is_in_game, self._num_menus, self._last_frame, self._ended = True, 0, frame.number, None
        if is_new_game:
            self._pending = frame
            return Ended()
        return frame

    def _listen_for_ends(self) -> None:
        """Note what libmelee ignores: that a game has ended, or the whole emulation, after which Dolphin's window may remain."""
        stream = self._console._slippstream
        dispatch = stream.dispatch

        def listening(*args: Any, **named: Any) -> Any:
            message = dispatch(*args, **named)
            if not isinstance(message, dict | None):
                raise TypeError("a message that is no object")
            self._num_messages += 1
            if self._num_messages > MOST_MESSAGES:
                raise ValueError(f"{MOST_MESSAGES:,} messages without a frame")
            if message is not None and message.get("type") == "end_game":
                self._ended = "emulation" if message.get("dolphin_closed") else "game"
            return message

        stream.dispatch = listening

    def _silence(self, quiet_s: float) -> Lost | None:
        """Why nothing will come any more; None while something may."""
        process: subprocess.Popen[bytes] | None = self._console._process
        if process is not None and process.poll() is not None:
            return Lost(f"Dolphin exited with code {process.returncode}")
        if self._ended == "emulation":
            return Lost("Dolphin's emulation was stopped")
        may_be_paused = self._is_in_game and self._ended is None
        longest_s = self.patience.pause_s if may_be_paused else self.patience.silence_s
        if quiet_s > longest_s:
            return Lost(f"no frame came for {longest_s:.0f} s, though Dolphin is still connected")
        return None


def _too_old(found: str, oldest: tuple[int, int, int]) -> DolphinError:
    needed = ".".join(str(part) for part in oldest)
    return DolphinError(f"stream: play needs Slippi {needed} or newer, found {found}; update Slippi Dolphin")
