"""What a fighter of the scripted duel can do: action states by Melee's ids, and attacks with their hits.

The surprise: frames, damage and reach are only near the game's; see ``dataset.duels.fighter``.
"""

from typing import NamedTuple

DEAD, REBIRTH, REBIRTH_WAIT, WAIT, WALK, TURN, DASH, RUN, KNEE_BEND = 0, 12, 13, 14, 15, 18, 20, 21, 24
JUMP_F, JUMP_B, AIR_JUMP_F, AIR_JUMP_B, FALL, FALL_AERIAL, FALL_SPECIAL = 25, 26, 27, 28, 29, 32, 35
DAMAGE_FALL, SQUAT_WAIT, LANDING, LANDING_SPECIAL, JAB, DASH_ATTACK, FORWARD_TILT = 38, 40, 42, 43, 44, 50, 53
UP_TILT, DOWN_TILT, FORWARD_SMASH, UP_SMASH, DOWN_SMASH = 56, 57, 60, 63, 64
NEUTRAL_AIR, FORWARD_AIR, BACK_AIR, UP_AIR, DOWN_AIR = 65, 66, 67, 68, 69
DAMAGE_GROUND, DAMAGE_AIR, DAMAGE_FLY, DAMAGE_FLY_TOP = 78, 84, 88, 90
GUARD_ON, GUARD, GUARD_OFF, GUARD_HIT, CATCH, CLIFF_CATCH, CLIFF_WAIT, CLIFF_CLIMB = (
    178,
    179,
    180,
    181,
    212,
    252,
    253,
    254,
)
ENTRY, BALL_START, BALL_LOOP, BALL_FIRE, BALL_FIRE_AIR, BLASTER, BLASTER_AIR, RISE = (
    322,
    342,
    343,
    345,
    350,
    341,
    344,
    356,
)

JUMPING = frozenset({JUMP_F, JUMP_B, AIR_JUMP_F, AIR_JUMP_B})
HURT = frozenset({*range(75, 92)})
SHIELDING = frozenset({GUARD_ON, GUARD, GUARD_HIT})
GONE = frozenset({DEAD, REBIRTH, REBIRTH_WAIT, ENTRY})


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
