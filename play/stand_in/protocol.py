"""What a stand-in and its server process send each other: the games to serve, and a report of what was sent and read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ADDRESS = "127.0.0.1"
NEVER = 2**31 - 1
"""``poll_frame`` of a FLUSH that no frame came after."""
PIPE, OTHER_PIPE = 1, 2
"""Ports of the pads in a match against a replay: the agent's and its opponent's. The replayed game listens to neither."""


class Message(NamedTuple):
    """One batch of events as Dolphin sends it; ``frame`` is Slippi's number, None unless it is a frame."""

    kind: str
    """``start``, ``gecko``, ``frame`` or ``end``."""
    payload: bytes
    frame: int | None


class Setup(NamedTuple):
    """What the server needs to know; see :class:`play.stand_in.stand_in.StandIn`."""

    games: list[list[Message]]
    version: str
    port: int
    pipes: dict[int, Path]
    fps: float | None
    start_grace_s: float
    pauses: dict[int, float] = {}  # noqa: RUF012  a NamedTuple's default, never changed


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a stand-in saw; F frames sent (rollback copies counted), N FLUSHes read; times from ``time.monotonic``."""

    frames: NDArray[np.int32]
    """[F] Slippi's frame numbers, in the order sent."""
    sent_s: NDArray[np.float64]
    """[F]"""
    port: NDArray[np.uint8]
    """[N] 1 to 4, of the pad that was flushed; so all below."""
    flush_s: NDArray[np.float64]
    """[N]"""
    poll_frame: NDArray[np.int32]
    """[N] the first frame whose pad poll saw it; ``NEVER`` if none came after."""
    main_x: NDArray[np.int8]
    """[N] as the game sees it, in 1/80; so the three below."""
    main_y: NDArray[np.int8]
    c_x: NDArray[np.int8]
    c_y: NDArray[np.int8]
    trigger: NDArray[np.uint8]
    """[N] both triggers as one, as the game sees it, in 1/140."""
    l_analog: NDArray[np.uint8]
    r_analog: NDArray[np.uint8]
    buttons: NDArray[np.uint16]
    """[N] Slippi's physical button bits."""
    num_bad_lines: int
    """Pipe lines that Dolphin would not have understood."""
    is_over: bool
    """Whether the end of the last game was sent."""
    has_client: bool

    def answer_ms(self, answered: Sequence[int], *, is_lock_step: bool) -> tuple[float, float] | None:
        """p50 and p99 from a frame leaving the stand-in to the FLUSH of the agent's pad that answers it arriving here.

        Args:
            answered: frames in the order in which they were answered.
            is_lock_step: whether every FLUSH answers the frame sent last. At the game's pace the first one opens the
                stream, and each later one answers the next of ``answered``, however late it comes.
        """
        is_own = self.port == PIPE
        flushed = self.flush_s[is_own]
        if is_lock_step:
            newest = np.searchsorted(self.sent_s, flushed, side="right") - 1
            is_answer = (newest >= 0) & (self.poll_frame[is_own] != NEVER)
            waited: Any = flushed[is_answer] - self.sent_s[newest[is_answer]]
        else:
            frames, first_copy = np.unique(self.frames, return_index=True)
            flushed = flushed[1:][: len(answered)]
            sent = self.sent_s[first_copy[np.searchsorted(frames, answered[: len(flushed)])]]
            waited = flushed - sent
        return (float(np.percentile(waited, 50) * 1e3), float(np.percentile(waited, 99) * 1e3)) if len(waited) else None
