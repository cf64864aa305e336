"""What one frame tells of a player: rules that the arena's tally and the techniques of the frame table share.

Arrays may have any shape, the same one in every argument: [N, 2] for one frame of N games, [N] for the frames of one player.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.melee.controller import A, Z
from dataset.melee.ids import NUM_ACTION_STATES

FREEZE_FRAMES = 60
"""A player freezes who can act and keeps the very same controller for a second or longer."""

BELOW_FLOOR = 12.0
"""A player in the air under the stage is off it from so many units below the floor's height on. Feet are drawn up in the air,
so whoever lands sinks a little first: 9,107 times did a player between the ledges (side a of 129 real games) sink below the
floor; 8,784 times it was by less than 10 units, 4 times by 10 to 12, and 319 times by more."""

C_STICK_FLICK = 53
"""From here on, in 1/80, the C-stick attacks."""

Flags = NDArray[np.bool_]


def states(*ranges: tuple[int, int]) -> Flags:
    """[NUM_ACTION_STATES] which action states lie in ``ranges``, ends included."""
    found = np.zeros(NUM_ACTION_STATES, np.bool_)
    for first, last in ranges:
        found[first : last + 1] = True
    return found


AWAY = states((0, 13), (322, 324))
"""Dead, on the way back, or entering the game."""
ABLE = states((14, 34), (38, 41), (178, 180), (253, 253))
"""Standing, moving, jumping, falling, crouching, tumbling, shielding and hanging on the ledge: the states in which a controller
decides what comes next. Attacks, landings and hitstun are not among them."""
ATTACKS = states((44, 69), (212, 212), (214, 214))
"""Attacks that all characters have, and grabs; specials have other ids for every character."""
ON_LEDGE = states((252, 263))


def in_air(state: NDArray[Any], on_ground: NDArray[Any]) -> Flags:
    """Whether a player is in the game and neither on the ground nor on the ledge."""
    found: Flags = (on_ground == 0) & ~(ON_LEDGE | AWAY)[state]
    return found


def is_off_stage(x: NDArray[Any], y: NDArray[Any], ledge: NDArray[Any]) -> Flags:
    """Whether a player in the air there is beyond a ledge (``LEDGE_X``; never if that is nan) or under the stage."""
    found: Flags = (np.abs(x) > ledge) | (y < -BELOW_FLOOR)
    return found


def is_able(state: NDArray[Any], hitlag: NDArray[Any]) -> Flags:
    """Whether what a player does next is up to the controller."""
    found: Flags = ABLE[state] & (hitlag == 0)
    return found


def presses_attack(pressed: NDArray[Any], c_stick: NDArray[Any], c_stick_before: NDArray[Any]) -> Flags:
    """Whether A or Z goes down (bits of the buttons that do) or the C-stick is flicked (its larger coordinate, 1/80)."""
    is_flick = (c_stick >= C_STICK_FLICK) & (c_stick_before < C_STICK_FLICK)
    found: Flags = ((pressed & (A | Z)) != 0) | is_flick
    return found
