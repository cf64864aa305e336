"""Counts what happens in games that run in lock step, frame by frame, so that no frame has to be kept.

The arena counts games while they are played, ``dataset.stats.conduct.people`` those of a store. Everything is counted for both
sides, from the raw columns that policies see too: what columns do not show is not counted.
Arrays are [N, 2] for N games and two sides unless stated otherwise.
"""

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from dataset.features.layout import HITSTUN_STATES, LEDGE_X, RAW_ROW
from dataset.melee.controller import BUTTONS
from dataset.melee.damage import is_dealt
from dataset.melee.ids import NUM_ACTION_STATES
from dataset.schema import FIRST_CONTROLLED_FRAME, SIDES
from dataset.stats.rules import (
    ATTACKS,
    AWAY,
    FREEZE_FRAMES,
    ON_LEDGE,
    Flags,
    in_air,
    is_able,
    is_off_stage,
    presses_attack,
    states,
)

SEEN = ("character", "action_state", "action_frame", "x", "y", "percent", "stocks", "on_ground", "hitlag")
"""What is looked at of both players, beside the stage and their controllers."""
_SEEN_ROWS = np.array([[RAW_ROW[f"{side}_{name}"] for side in SIDES] for name in SEEN])
_STAGE, _FRAME = RAW_ROW["stage"], RAW_ROW["frame"]
_BITS = np.array([bit for _, bit in BUTTONS], np.int32)

Counts = NDArray[np.int64]


class Frames(Protocol):
    """One frame of each of N games, as ``play.worlds.world.Frames`` has it."""

    @property
    def raw(self) -> NDArray[np.float32]:
        """[N, len(RAW_NAMES)] raw columns."""

    @property
    def controllers(self) -> NDArray[np.int32]:
        """[N, 2, 6] in the order of ``CONTROLLER_NAMES``: what the game read in this frame."""

    @property
    def is_over(self) -> NDArray[np.bool_]:
        """[N] games of which this is the last frame, or a later one."""


_HURT = np.isin(np.arange(NUM_ACTION_STATES), HITSTUN_STATES) | states((223, 232))
"""In hitstun, or held."""


class Tally:
    """What has happened so far in N games."""

    def __init__(self, num_games: int) -> None:
        shape = (num_games, 2)
        self.frames: Counts = np.zeros(num_games, np.int64)
        """[N] frames played, those of the entrance included, as in ``exphil eval-games``."""
        self.controlled: Counts = np.zeros(num_games, np.int64)
        """[N] those of them on which the game reads controllers; presses are counted on these."""
        self.stocks_lost, self.self_destructs, self.damage_taken = _zeros(shape), _zeros(shape), np.zeros(shape)
        """Damage that the opponent dealt (``dataset.melee.damage``). A self-destruct: a stock lost without a hit since the player
        last stood on the stage or hung on its ledge; whom the game credits, replays alone record."""
        self.presses: Counts = np.zeros((*shape, len(BUTTONS)), np.int64)
        """[N, 2, 8] in the order of ``BUTTONS``."""
        self.present, self.able, self.frozen, self.off_stage = (_zeros(shape) for _ in range(4))
        """Frames in the game at all, able to act, frozen (of those), and off the stage: in the air beyond a ledge or under the
        stage."""
        self.longest_freeze = _zeros(shape)
        """Most frames that a player could act and kept the very same controller."""
        self.attacks, self.repeats, self.attack_presses = (_zeros(shape) for _ in range(3))
        """Attacks begun, those of them that are the same as the one before, and presses of A, Z or the C-stick."""
        self.recoveries, self.recovered = _zeros(shape), _zeros(shape)
        """Times off stage that have ended, and those of them that ended on the stage or its ledge."""
        self.stocks, self.percent = np.zeros(shape, np.int64), np.zeros(shape)
        """At the last frame."""
        self._is_over: Flags = np.zeros(num_games, np.bool_)
        self._last: tuple[Counts, NDArray[np.float32], NDArray[np.int32]] | None = None
        self._held, self._last_attack = _zeros(shape), _zeros(shape)
        self._is_hit: Flags = np.zeros(shape, np.bool_)
        self._is_off: Flags = np.zeros(shape, np.bool_)

    @classmethod
    def joined(cls, tallies: Sequence[Self]) -> Self:
        """All games of several tallies, to which no more frames are added."""
        whole = cls(0)
        for name, value in vars(whole).items():
            if isinstance(value, np.ndarray):
                setattr(whole, name, np.concatenate([getattr(each, name) for each in tallies]))
        return whole

    def add(self, frames: Frames) -> None:
        """Count one frame of every game that was not over before it."""
        playing = ~self._is_over[:, None]
        seen = dict(zip(SEEN, frames.raw[:, _SEEN_ROWS].transpose(1, 0, 2), strict=True))
        state, stocks = seen["action_state"].astype(np.int64), seen["stocks"].astype(np.int64)
        last_state, last_age, last_controllers = self._last or (state, seen["action_frame"], frames.controllers)
        is_present = playing & ~AWAY[state]
        self.frames += ~self._is_over
        is_controlled = playing & (frames.raw[:, _FRAME] >= FIRST_CONTROLLED_FRAME)[:, None]
        self.controlled += is_controlled[:, 0]
        self.present += is_present
        died = playing & (stocks < self.stocks)
        self._count_stocks(died, playing, state, seen)
        self._count_trips(died, is_present, state, seen, frames.raw[:, _STAGE])
        self._count_controllers(is_controlled, is_present, state, seen["hitlag"], frames.controllers, last_controllers)
        is_begun = is_present & ATTACKS[state] & ((state != last_state) | (seen["action_frame"] < last_age))
        self.attacks += is_begun
        self.repeats += is_begun & (state == self._last_attack)
        self._last_attack = np.where(is_begun, state, self._last_attack)
        self.stocks, self.percent = stocks, seen["percent"].astype(np.float64)
        self._is_over = frames.is_over.copy()
        self._last = (state, seen["action_frame"], frames.controllers)

    def _count_stocks(self, died: Flags, playing: Flags, state: Counts, seen: dict[str, NDArray[np.float32]]) -> None:
        rise = seen["percent"] - self.percent
        is_dealt_to = is_dealt(rise, seen["character"], state, seen["x"], seen["y"], seen["hitlag"])
        rise = np.where(playing & is_dealt_to, rise, 0)
        self.damage_taken += rise
        self.stocks_lost += np.where(died, self.stocks - seen["stocks"].astype(np.int64), 0)
        self.self_destructs += died & ~self._is_hit
        is_hurt = (rise > 0) | _HURT[state]
        is_safe = ((seen["on_ground"] > 0) | ON_LEDGE[state]) & ~is_hurt
        self._is_hit = (self._is_hit | is_hurt) & ~is_safe & ~died

    def _count_trips(
        self,
        died: Flags,
        is_present: Flags,
        state: Counts,
        seen: dict[str, NDArray[np.float32]],
        stage: NDArray[np.float32],
    ) -> None:
        """Count time off the stage, and whether each trip there ended back on it."""
        is_air = in_air(state, seen["on_ground"]) & is_present
        is_off = is_air & is_off_stage(seen["x"], seen["y"], LEDGE_X[stage.astype(np.intp)][:, None])
        self.off_stage += is_off
        self._is_off |= is_off
        is_back = self._is_off & is_present & ~is_air
        self.recovered += is_back
        self.recoveries += is_back | (self._is_off & died)
        self._is_off &= ~(is_back | died)

    def _count_controllers(
        self,
        playing: Flags,
        is_present: Flags,
        state: Counts,
        hitlag: NDArray[np.float32],
        now: NDArray[np.int32],
        before: NDArray[np.int32],
    ) -> None:
        pressed = np.where(playing, now[..., 5] & ~before[..., 5], 0)
        self.presses += (pressed[..., None] & _BITS) != 0
        reach, was_reach = (np.abs(each[..., 2:4]).max(axis=-1) for each in (now, before))
        self.attack_presses += playing & presses_attack(pressed, reach, was_reach)
        able = is_present & is_able(state, hitlag)
        self.able += able
        self._held = np.where((now != before).any(axis=-1), 0, self._held) + able
        self.frozen += able * np.where(self._held == FREEZE_FRAMES, FREEZE_FRAMES, self._held > FREEZE_FRAMES)
        self.longest_freeze = np.maximum(self.longest_freeze, self._held)


def _zeros(shape: tuple[int, int]) -> Counts:
    return np.zeros(shape, np.int64)
