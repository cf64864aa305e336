"""What fighters can do and how each character moves: action states by Melee's ids, attacks with their hits, characters' figures.

Frames, damage, reach and speeds are only near the game's; see ``dataset.duels.fighter``.
"""

from dataclasses import dataclass
from typing import NamedTuple

DEAD, REBIRTH, REBIRTH_WAIT, WAIT, WALK, TURN, DASH, RUN, KNEE_BEND = 0, 12, 13, 14, 15, 18, 20, 21, 24
JUMP_F, JUMP_B, AIR_JUMP_F, AIR_JUMP_B, FALL, FALL_AERIAL, FALL_SPECIAL = 25, 26, 27, 28, 29, 32, 35
DAMAGE_FALL, SQUAT_WAIT, LANDING, LANDING_SPECIAL, JAB, DASH_ATTACK, FORWARD_TILT = 38, 40, 42, 43, 44, 50, 53
UP_TILT, DOWN_TILT, FORWARD_SMASH, UP_SMASH, DOWN_SMASH = 56, 57, 60, 63, 64
NEUTRAL_AIR, FORWARD_AIR, BACK_AIR, UP_AIR, DOWN_AIR = 65, 66, 67, 68, 69
DAMAGE_GROUND, DAMAGE_AIR, DAMAGE_FLY, DAMAGE_FLY_TOP = 78, 84, 88, 90
GUARD_ON, GUARD, GUARD_OFF, GUARD_HIT, CATCH, CLIFF_CATCH, CLIFF_WAIT, CLIFF_CLIMB = (
    *range(178, 182),
    212,
    252,
    253,
    254,
)
ENTRY, BLASTER, BALL_START, BALL_LOOP, BLASTER_AIR, BALL_FIRE, BALL_FIRE_AIR, RISE = (
    322,
    341,
    342,
    343,
    344,
    345,
    350,
    356,
)

JUMPING = frozenset({JUMP_F, JUMP_B, AIR_JUMP_F, AIR_JUMP_B})
HURT = frozenset({*range(75, 92)})
SHIELDING = frozenset({GUARD_ON, GUARD, GUARD_HIT})
GONE = frozenset({DEAD, REBIRTH, REBIRTH_WAIT, ENTRY})
"""Not on the stage yet, or not any more: nothing can be hit there, and inputs do nothing."""


class Attack(NamedTuple):
    """Active frames, length, damage, launch angle, and the box it hits, forward and up from the attacker."""

    first: int
    last: int
    length: int
    damage: int
    angle_deg: int
    near: float
    far: float
    low: float
    high: float


ATTACKS = {
    JAB: Attack(3, 4, 16, 4, 70, 0, 14, -8, 10),
    DASH_ATTACK: Attack(6, 14, 36, 9, 60, -4, 14, -8, 10),
    FORWARD_TILT: Attack(6, 9, 28, 9, 40, 0, 18, -8, 10),
    UP_TILT: Attack(5, 10, 24, 8, 85, -10, 12, -4, 24),
    DOWN_TILT: Attack(6, 8, 24, 8, 60, 0, 18, -10, 6),
    FORWARD_SMASH: Attack(14, 17, 44, 18, 40, 0, 22, -8, 12),
    UP_SMASH: Attack(9, 13, 42, 15, 85, -10, 12, -4, 28),
    DOWN_SMASH: Attack(8, 12, 40, 14, 30, -16, 16, -10, 6),
    NEUTRAL_AIR: Attack(4, 20, 36, 9, 50, -12, 12, -12, 12),
    FORWARD_AIR: Attack(5, 9, 32, 13, 45, 0, 16, -12, 12),
    BACK_AIR: Attack(6, 9, 30, 13, 140, -18, 0, -12, 12),
    UP_AIR: Attack(5, 10, 28, 12, 85, -10, 12, 0, 26),
    DOWN_AIR: Attack(10, 16, 36, 12, 280, -10, 10, -24, 4),
    CATCH: Attack(7, 8, 30, 6, 60, 0, 12, -8, 10),
}

ATTACK_IDS = {
    **{
        JAB: 2,
        DASH_ATTACK: 6,
        FORWARD_TILT: 7,
        UP_TILT: 8,
        DOWN_TILT: 9,
        FORWARD_SMASH: 10,
        UP_SMASH: 11,
        DOWN_SMASH: 12,
    },
    **{NEUTRAL_AIR: 13, FORWARD_AIR: 14, BACK_AIR: 15, UP_AIR: 16, DOWN_AIR: 17, CATCH: 53},
}
"""Melee's attack ids, which replays record when one lands; a grab here throws forward at once."""

SHOT_ID = 18
"""The attack id of a projectile: that of a neutral special."""

SHADOW_BALL = 0x70
"""Item type of Mewtwo's projectile, which is charged in hand; lasers are 0x36 (Fox) and 0x37 (Falco)."""


@dataclass(frozen=True, kw_only=True)
class Traits:
    """A character's figures in Melee units and frames, roughly those of the game."""

    jump_squat: int
    gravity: float
    fall_speed: float
    fast_fall: float
    dash: float
    walk: float
    friction: float
    air_speed: float
    air_accel: float
    jump: float
    hop: float
    weight: float
    shot: int | None = None
    """Item type of its projectile."""


TRAITS = {
    "mewtwo": Traits(
        jump_squat=5, gravity=0.12, fall_speed=1.8, fast_fall=2.3, dash=1.4, walk=0.95, friction=0.04, air_speed=1.2,
        air_accel=0.09, jump=2.1, hop=1.4, weight=85, shot=SHADOW_BALL,
    ),
    "fox": Traits(
        jump_squat=3, gravity=0.23, fall_speed=2.8, fast_fall=3.4, dash=2.0, walk=1.6, friction=0.08, air_speed=0.83,
        air_accel=0.08, jump=3.68, hop=2.1, weight=75, shot=0x36,
    ),
    "falco": Traits(
        jump_squat=5, gravity=0.17, fall_speed=3.1, fast_fall=3.5, dash=1.7, walk=1.4, friction=0.08, air_speed=0.83,
        air_accel=0.07, jump=4.1, hop=1.9, weight=80, shot=0x37,
    ),
    "marth": Traits(
        jump_squat=4, gravity=0.12, fall_speed=2.2, fast_fall=2.5, dash=1.6, walk=1.6, friction=0.06, air_speed=0.9,
        air_accel=0.05, jump=2.4, hop=1.5, weight=87,
    ),
    "sheik": Traits(
        jump_squat=3, gravity=0.12, fall_speed=2.13, fast_fall=3.0, dash=1.7, walk=1.2, friction=0.08, air_speed=0.8,
        air_accel=0.06, jump=2.8, hop=2.1, weight=90,
    ),
    "peach": Traits(
        jump_squat=5, gravity=0.11, fall_speed=1.8, fast_fall=2.0, dash=1.3, walk=0.85, friction=0.1, air_speed=1.1,
        air_accel=0.06, jump=2.5, hop=1.6, weight=90,
    ),
}  # fmt: skip
"""Characters the duel can show."""
