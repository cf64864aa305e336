"""One fighter of a duel: takes one controller per frame and moves through Melee's action states roughly as in Melee.

It is a stand-in for the game good enough to learn from and to test with, not a simulation of Melee: figures are only near
the game's (floaty characters fall faster, so that they jump more often), platforms and throws are missing. A fighter's
fields are what Slippi records after a frame. ``age`` starts at 0 or 1 by action state, as ``state_age`` does in real
replays, and starts over while a fighter stands.
"""

import math
from typing import NamedTuple

from dataset.duels import moves
from dataset.melee.controller import A, B, Pad, X, Y, Z

_STARTS_AT_ONE = frozenset({moves.DASH, moves.TURN, moves.CATCH, *range(moves.JAB, moves.DOWN_AIR + 1)})
_NEXT = {
    moves.GUARD_ON: moves.GUARD,
    moves.GUARD_HIT: moves.GUARD,
    moves.BALL_START: moves.BALL_LOOP,
    moves.CLIFF_CATCH: moves.CLIFF_WAIT,
    moves.RISE: moves.FALL_SPECIAL,
}
"""What follows a state of fixed length whatever is pressed."""
FULL_SHIELD, SMASH, TILT = 60.0, 64, 23
"""Shield in Melee's units; stick thresholds in 1/80."""
DEAD_FRAMES, REBIRTH_FRAMES, INVULNERABLE_FRAMES, SPECIAL_LANDING_FRAMES = 60, 45, 90, 20
HANG_FRAMES, LEDGE_LOST_FRAMES = 120, 30
"""How long a fighter hangs on a ledge before it falls, and how long after that it cannot catch one: it has to recover."""


class Arena(NamedTuple):
    """Half the floor's width and the blast zones around it, in Melee units."""

    edge: float
    left: float
    right: float
    bottom: float
    top: float


class Fighter:
    """State of one player; :meth:`step` advances it by one frame."""

    def __init__(
        self, traits: moves.Traits, arena: Arena, x: float, stocks: int, wait_loop: int, entry_frames: int
    ) -> None:
        self.traits, self.arena, self.wait_loop, self.stocks = traits, arena, wait_loop, stocks
        self.x, self.y, self.facing = x, 0.0, 1.0 if x < 0 else -1.0
        self.percent, self.shield = 0.0, FULL_SHIELD
        self.jumps, self.hitlag, self.hitstun, self.invulnerable = 2, 0, 0, 0
        self.last_landed, self.combo, self.last_hit_by, self.l_cancel, self.instances = 0, 0, 6, 0, 0
        self.trigger_age, self.charge, self.ledge_lost = 99, 0, 0
        self.has_hit = self.fired = False
        self._stop()
        self.enter(moves.ENTRY, entry_frames)

    def _stop(self) -> None:
        self.ground_x = self.air_x = self.speed_y = self.knock_x = self.knock_y = 0.0
        self.airborne = self.is_fast_falling = False

    def enter(self, state: int, length: int = 0) -> None:
        """Begin an action state; ``length`` frames long, or 0 for one that its inputs end."""
        self.state, self.length = state, length
        self.age = -1.0 if state == moves.GUARD_ON else float(state in _STARTS_AT_ONE)
        self.has_hit = self.fired = False
        self.time = 0

    @property
    def is_free(self) -> bool:
        """Whether inputs decide what happens next."""
        return self.length == 0 and self.state not in moves.GONE

    def step(self, now: Pad, before: Pad) -> None:
        """Advance one frame in which the controller went from ``before`` to ``now``."""
        self.l_cancel = 0
        self.trigger_age = 0 if now.trigger and not before.trigger else self.trigger_age + 1
        if self.hitlag:
            self.hitlag -= 1
            return
        self.time += 1
        self.age += 1.0
        if self.state == moves.WAIT and self.age >= self.wait_loop:
            self.age = 0.0
        self.invulnerable = max(0, self.invulnerable - 1)
        self.hitstun = max(0, self.hitstun - 1)
        self.ledge_lost = max(0, self.ledge_lost - 1)
        if self.state not in moves.SHIELDING:
            self.shield = min(FULL_SHIELD, self.shield + 0.07)
        if self.length and self.time >= self.length:
            self._finish(now)
        if self.length == 0:
            self._obey(now, before)
        if self.state not in moves.GONE:
            self._move(now)

    def _finish(self, now: Pad) -> None:
        if self.state == moves.KNEE_BEND:
            self._take_off(now)
        elif self.state in _NEXT:
            self.enter(_NEXT[self.state])
        elif self.state == moves.DEAD:
            self._return()
        elif self.state == moves.REBIRTH:
            self.enter(moves.REBIRTH_WAIT, REBIRTH_FRAMES)
        elif self.state == moves.REBIRTH_WAIT:
            self.airborne, self.invulnerable = True, INVULNERABLE_FRAMES
            self.enter(moves.FALL)
        elif self.state == moves.TURN:
            self.length = 0
        elif self.state == moves.CLIFF_CLIMB:
            self.x, self.y, self.airborne = math.copysign(self.arena.edge - 8.0, self.x), 0.0, False
            self.enter(moves.WAIT)
        elif self.state in moves.HURT and self.airborne:
            self.enter(moves.DAMAGE_FALL)
        else:
            self.enter(moves.FALL if self.airborne else moves.WAIT)

    def _take_off(self, now: Pad) -> None:
        self.airborne, self.jumps = True, self.jumps - 1
        self.speed_y = self.traits.jump if now.buttons & (X | Y) else self.traits.hop
        self.air_x = 0.7 * self.ground_x + 0.3 * self.traits.air_speed * now.x / 80
        self.ground_x = 0.0
        self.enter(moves.JUMP_B if now.x * self.facing < -TILT else moves.JUMP_F)

    def _return(self) -> None:
        """Come back on the platform after a stock was lost; with none left, stay away."""
        if self.stocks == 0:
            self.enter(moves.DEAD, 1_000_000)
            return
        self._stop()
        self.x, self.y, self.percent, self.shield, self.charge = 0.0, 40.0, 0.0, FULL_SHIELD, 0
        self.jumps, self.facing, self.airborne = 2, 1.0, True
        self.enter(moves.REBIRTH, REBIRTH_FRAMES)

    def _obey(self, now: Pad, before: Pad) -> None:
        pressed = now.buttons & ~before.buttons
        if self.state in (moves.GUARD, moves.BALL_LOOP, moves.CLIFF_WAIT):
            self._obey_holding(now, pressed)
        elif self.airborne:
            self._obey_air(now, before, pressed)
        else:
            self._obey_ground(now, before, pressed)

    def _obey_holding(self, now: Pad, pressed: int) -> None:
        if self.state == moves.CLIFF_WAIT:
            if now.x * self.x < 0 or now.y >= TILT:
                self.enter(moves.CLIFF_CLIMB, 34)
            elif self.time >= HANG_FRAMES:
                self.ledge_lost = LEDGE_LOST_FRAMES
                self.enter(moves.FALL)
        elif self.state == moves.BALL_LOOP:
            self.charge = min(self.charge + 1, 120)
            if pressed & B:
                self.enter(moves.BALL_FIRE, 34)
            elif now.trigger:
                self.enter(moves.WAIT)
        elif pressed & (X | Y):
            self.enter(moves.KNEE_BEND, self.traits.jump_squat)
        elif not now.trigger or self.shield <= 0:
            self.enter(moves.GUARD_OFF, 15)
        else:
            self.shield = max(0.0, self.shield - 0.28 * now.trigger / 140)

    def _obey_ground(self, now: Pad, before: Pad, pressed: int) -> None:
        forward = now.x * self.facing
        if pressed & (X | Y):
            self.enter(moves.KNEE_BEND, self.traits.jump_squat)
        elif pressed & Z:
            self._attack(moves.CATCH)
        elif now.trigger:
            self.enter(moves.GUARD_ON, 8)
        elif _is_flick(now.cstick_x, now.cstick_y, before.cstick_x, before.cstick_y):
            self._smash(now.cstick_x, now.cstick_y)
        elif pressed & A:
            self._attack(self._ground_attack(now, before, forward))
        elif pressed & B and self.traits.shot is not None:
            is_ball = self.traits.shot == moves.SHADOW_BALL
            self.enter(moves.BALL_START if is_ball else moves.BLASTER, 13 if is_ball else 22)
        elif abs(now.x) >= SMASH:
            self._dash(now, before)
        elif abs(now.x) >= TILT:
            self.facing = math.copysign(1.0, now.x)
            if self.state != moves.WALK:
                self.enter(moves.WALK)
        elif now.y <= -SMASH:
            if self.state != moves.SQUAT_WAIT:
                self.enter(moves.SQUAT_WAIT)
        elif self.state != moves.WAIT:
            self.enter(moves.WAIT)

    def _ground_attack(self, now: Pad, before: Pad, forward: float) -> int:
        if self.state in (moves.DASH, moves.RUN):
            return moves.DASH_ATTACK
        if now.y >= TILT and now.y >= abs(now.x):
            return moves.UP_TILT
        if now.y <= -TILT and -now.y >= abs(now.x):
            return moves.DOWN_TILT
        if abs(forward) >= TILT:
            self.facing = math.copysign(1.0, now.x)
            return moves.FORWARD_SMASH if abs(now.x) >= SMASH > abs(before.x) else moves.FORWARD_TILT
        return moves.JAB

    def _smash(self, x: int, y: int) -> None:
        if abs(x) >= abs(y):
            self.facing = math.copysign(1.0, x)
            self._attack(moves.FORWARD_SMASH)
        else:
            self._attack(moves.UP_SMASH if y > 0 else moves.DOWN_SMASH)

    def _attack(self, state: int) -> None:
        self.enter(state, moves.ATTACKS[state].length)
        self.instances += 1

    def _dash(self, now: Pad, before: Pad) -> None:
        if now.x * self.facing < 0:
            self.facing = -self.facing
            self.enter(moves.TURN, 1)
        elif self.state == moves.DASH and self.time >= 14:
            self.enter(moves.RUN)
        elif self.state not in (moves.DASH, moves.RUN):
            if abs(before.x) < SMASH or self.state == moves.TURN:
                self.enter(moves.DASH)
            elif self.state != moves.WALK:
                self.enter(moves.WALK)

    def _obey_air(self, now: Pad, before: Pad, pressed: int) -> None:
        if self.state == moves.FALL_SPECIAL:
            return
        if pressed & (X | Y) and self.jumps > 0:
            self.jumps -= 1
            self.speed_y, self.is_fast_falling = 0.95 * self.traits.jump, False
            self.air_x = 0.9 * self.traits.air_speed * now.x / 80
            self.enter(moves.AIR_JUMP_B if now.x * self.facing < -TILT else moves.AIR_JUMP_F)
        elif _is_flick(now.cstick_x, now.cstick_y, before.cstick_x, before.cstick_y):
            self._attack(self._aerial(now.cstick_x, now.cstick_y))
        elif pressed & A:
            self._attack(self._aerial(now.x, now.y))
        elif pressed & B:
            self._air_special(now)
        elif now.y <= -53 < before.y and self.speed_y < 0:
            self.is_fast_falling = True
        elif self.state in moves.JUMPING and self.speed_y <= 0:
            self.enter(moves.FALL if self.state in (moves.JUMP_F, moves.JUMP_B) else moves.FALL_AERIAL)

    def _aerial(self, x: int, y: int) -> int:
        if max(abs(x), abs(y)) < TILT:
            return moves.NEUTRAL_AIR
        if abs(x) >= abs(y):
            return moves.FORWARD_AIR if x * self.facing > 0 else moves.BACK_AIR
        return moves.UP_AIR if y > 0 else moves.DOWN_AIR

    def _air_special(self, now: Pad) -> None:
        if now.y >= TILT:
            self.speed_y, self.air_x, self.is_fast_falling = 2.6, 1.5 * now.x / 80, False
            self.enter(moves.RISE, 30)
        elif self.traits.shot == moves.SHADOW_BALL:
            self.enter(moves.BALL_FIRE_AIR, 34)
        elif self.traits.shot is not None:
            self.enter(moves.BLASTER_AIR, 22)

    def _move(self, now: Pad) -> None:
        if self.state in (moves.CLIFF_CATCH, moves.CLIFF_WAIT, moves.CLIFF_CLIMB):
            return
        if self.airborne:
            self._fly(now)
        else:
            self._slide(now)
        self._decay_knockback()

    def _slide(self, now: Pad) -> None:
        traits = self.traits
        wanted = 0.0
        if self.state in (moves.DASH, moves.RUN):
            wanted = traits.dash * self.facing
        elif self.state == moves.WALK:
            wanted = traits.walk * now.x / 80
        grip = 3 * traits.friction if wanted else traits.friction
        self.ground_x += max(-grip, min(grip, wanted - self.ground_x))
        self.air_x = self.speed_y = 0.0
        x = self.x + self.ground_x + self.knock_x
        if abs(x) > self.arena.edge:
            is_moving = self.state in (moves.DASH, moves.RUN, moves.WALK, *moves.HURT)
            if is_moving and abs(self.ground_x + self.knock_x) > 0.5:
                self.airborne, self.air_x, self.ground_x, self.jumps = True, self.ground_x, 0.0, 1
                if self.state not in moves.HURT:
                    self.enter(moves.FALL)
            else:
                x, self.ground_x = math.copysign(self.arena.edge, x), 0.0
        self.x = x

    def _fly(self, now: Pad) -> None:
        traits, was_y = self.traits, self.y
        if self.state != moves.RISE or self.time > 12:
            bottom = traits.fast_fall if self.is_fast_falling else traits.fall_speed
            self.speed_y = -bottom if self.is_fast_falling else max(-bottom, self.speed_y - traits.gravity)
        if self.state not in moves.HURT:
            wanted = traits.air_speed * now.x / 80
            grip = traits.air_accel if wanted else 0.02
            self.air_x += max(-grip, min(grip, wanted - self.air_x))
        self.x += self.air_x + self.knock_x
        self.y += self.speed_y + self.knock_y
        edge, falling = self.arena.edge, self.speed_y + self.knock_y <= 0
        is_at_ledge = edge <= abs(self.x) < edge + 9 and -24 < self.y < -2
        if was_y >= 0 >= self.y and falling and abs(self.x) <= edge:
            self._land()
        elif self.y < 0 and abs(self.x) < edge:
            self.x = math.copysign(edge, self.x)
        elif falling and is_at_ledge and not self.ledge_lost and self.state not in moves.HURT:
            self._catch_ledge()

    def _land(self) -> None:
        state = self.state
        self.y, self.jumps, self.ground_x = 0.0, 2, self.air_x
        self.airborne = self.is_fast_falling = False
        self.air_x = self.speed_y = self.knock_y = 0.0
        if moves.NEUTRAL_AIR <= state <= moves.DOWN_AIR:
            self.l_cancel = 1 if self.trigger_age < 7 else 2
            self.enter(state + 5, 8 if self.l_cancel == 1 else 16)
        elif state in (moves.FALL_SPECIAL, moves.RISE):
            self.enter(moves.LANDING_SPECIAL, SPECIAL_LANDING_FRAMES)
        elif state not in moves.HURT:
            self.enter(moves.LANDING, 4)

    def _catch_ledge(self) -> None:
        self._stop()
        self.x, self.y, self.airborne = math.copysign(self.arena.edge + 3.0, self.x), -12.0, True
        self.facing, self.jumps, self.invulnerable = math.copysign(1.0, -self.x), 1, 30
        self.enter(moves.CLIFF_CATCH, 8)

    def _decay_knockback(self) -> None:
        speed = math.hypot(self.knock_x, self.knock_y)
        left = max(0.0, speed - 0.051) / speed if speed else 0.0
        self.knock_x, self.knock_y = self.knock_x * left, self.knock_y * left

    def attacks(self) -> moves.Attack | None:
        """The attack that can hit this frame."""
        attack = moves.ATTACKS.get(self.state)
        if attack is None or self.has_hit or not attack.first <= self.age <= attack.last or self.hitlag:
            return None
        return attack

    def reaches(self, attack: moves.Attack, other: "Fighter") -> bool:
        """Whether ``attack`` touches ``other`` now."""
        forward, up = (other.x - self.x) * self.facing, other.y - self.y
        if other.invulnerable or other.state in moves.GONE:
            return False
        return attack.near <= forward <= attack.far and attack.low <= up <= attack.high

    def suffer(self, damage: float, angle_deg: float, direction: float, by: int, is_blockable: bool = True) -> int:
        """Take a hit that launches towards ``direction`` (±1); return the frames of hitlag for both sides."""
        self.hitlag = int(damage / 3 + 3)
        if self.state in moves.SHIELDING and is_blockable:
            self.shield = max(0.0, self.shield - 0.7 * damage)
            self.ground_x = direction * (0.3 + 0.04 * damage)
            self.enter(moves.GUARD_HIT, int(0.45 * damage + 3))
            return self.hitlag
        self.percent += damage
        self.last_hit_by = by
        strength = (self.percent / 10 + self.percent * damage / 20) * 200 / (self.traits.weight + 100) * 1.15 + 28
        self.hitstun = int(0.27 * strength)
        angle = math.radians(angle_deg)
        self._stop_self()
        self.knock_x, self.knock_y = 0.03 * strength * math.cos(angle) * direction, 0.03 * strength * math.sin(angle)
        was_airborne, self.airborne = self.airborne, self.airborne or strength > 45
        if not self.airborne:
            self.knock_y = 0.0
        self.facing = -direction
        self.enter(_hurt_state(strength, was_airborne, angle_deg), max(self.hitstun, 1))
        return self.hitlag

    def _stop_self(self) -> None:
        self.ground_x = self.air_x = self.speed_y = 0.0
        self.is_fast_falling = False
        self.y = max(self.y, 0.01) if self.y >= 0 else self.y

    def has_left(self) -> bool:
        """Whether a blast zone was crossed."""
        arena = self.arena
        return self.state not in moves.GONE and not (
            arena.left < self.x < arena.right and self.y > arena.bottom and not (self.y > arena.top and self.hitstun)
        )

    def die(self) -> None:
        """Lose a stock."""
        self._stop()
        self.stocks -= 1
        self.hitstun = self.hitlag = self.combo = 0
        self.enter(moves.DEAD, DEAD_FRAMES)


def _is_flick(x: int, y: int, old_x: int, old_y: int) -> bool:
    return max(abs(x), abs(y)) >= 53 > max(abs(old_x), abs(old_y))


def _hurt_state(strength: float, was_airborne: bool, angle_deg: float) -> int:
    if strength > 80:
        return moves.DAMAGE_FLY_TOP if 70 <= angle_deg <= 110 else moves.DAMAGE_FLY
    level = 0 if strength < 45 else 1 if strength < 60 else 2
    return (moves.DAMAGE_AIR if was_airborne else moves.DAMAGE_GROUND) + level
