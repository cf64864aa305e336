"""The scripted player of a duel: sees its own fighter now and the other a few frames late, and follows plans of a few frames.

What it does depends on distance, height, percent and the foe's action state, with seeded noise on top, so there is something
to learn that copying the last controller misses.
"""

import random
from collections import deque
from collections.abc import Generator
from typing import NamedTuple

from dataset.duels.duel import Duel
from dataset.duels.fighter import Fighter
from dataset.duels.moves import ATTACKS, BALL_LOOP, CLIFF_WAIT, GONE, HURT, RISE, SHIELDING
from dataset.melee.controller import NEUTRAL_PAD, A, B, L, Pad, R, X, Y, Z, make_pad

Plan = Generator[Pad, None, None]


class Level(NamedTuple):
    """How strong a scripted player is."""

    reaction: int
    """Frames after which it sees what the other did."""
    hesitation: float
    """Share of its decisions in which it stands there instead, for up to half a second."""


LEVELS = {1: Level(24, 0.5), 2: Level(12, 0.2), 3: Level(4, 0.0)}
"""The strongest is the one whose duels are generated."""
FULL = 100
"""A stick pushed to the rim, in raw units."""


class View(NamedTuple):
    """What is seen of a fighter."""

    x: float
    y: float
    state: int
    percent: float
    airborne: bool


def view(fighter: Fighter) -> View:
    """Return what a player can see of ``fighter``."""
    return View(fighter.x, fighter.y, fighter.state, fighter.percent, fighter.airborne)


class ScriptedPlayer:
    """Chooses the controllers of one side of a duel; equal seeds and equal duels give equal controllers."""

    def __init__(self, duel: Duel, side: int, rng: random.Random, level: int = 3) -> None:
        self.me, self._other, self.rng = duel.fighters[side], duel.fighters[1 - side], rng
        self.foe = view(self._other)
        self._level = LEVELS[level]
        self._seen = deque([self.foe] * self._level.reaction, maxlen=self._level.reaction)
        self.plan: Plan | None = None
        self.stick = (0, 0)

    def choose(self) -> Pad:
        """Return the controller of the next frame; called once for each frame from the first that takes controllers."""
        self._seen.append(view(self._other))
        self.foe = self._seen[0]
        if self.me.state in GONE:
            self.plan = None
            self.stick = (0, 0)
            return NEUTRAL_PAD
        while True:
            if self.plan is None:
                self.plan = self._decide()
            chosen = next(self.plan, None)
            if chosen is not None:
                return self._by_hand(chosen)
            self.plan = None

    def _by_hand(self, chosen: Pad) -> Pad:
        """Move the stick as a thumb does: often half the way first, and never quite still while held off the rim."""
        x, y, *cstick = chosen.raw
        old_x, old_y = self.stick
        if abs(x - old_x) + abs(y - old_y) > 60 and self.rng.random() < 0.6:
            x, y = (x + old_x) // 2, (y + old_y) // 2
        elif (x or y) and self.rng.random() < 0.2:
            x, y = x + self.rng.randint(-2, 2), y + self.rng.randint(-2, 2)
        self.stick = (x, y)
        if chosen.raw[:2] == self.stick:
            return chosen
        return make_pad((x, y), (cstick[0], cstick[1]), *chosen.analog, chosen.buttons)

    @property
    def toward(self) -> int:
        """Sign of the direction to the foe."""
        return 1 if self.foe.x > self.me.x else -1

    @property
    def distance(self) -> float:
        """Horizontal distance to the foe."""
        return abs(self.foe.x - self.me.x)

    def _decide(self) -> Plan:
        me, foe, roll = self.me, self.foe, self.rng.random()
        if me.state in HURT:
            return self._drift_in()
        if me.state == CLIFF_WAIT or (me.airborne and abs(me.x) > me.arena.edge):
            return self._recover()
        if me.state == BALL_LOOP:
            return self._release()
        if not me.is_free:
            return self._stand(1)
        if self._level.hesitation and self.rng.random() < self._level.hesitation:
            return self._stand(self.rng.randint(1, 30))
        if me.airborne:
            return self._act_in_air(roll)
        if foe.state in ATTACKS and self.distance < 26 and roll < 0.8:
            return self._shield()
        if foe.state in GONE:
            return self._walk_to_center() if roll < 0.3 else self._jump(full=roll < 0.6)
        if me.state in SHIELDING or self.distance > 70:
            return self._from_afar(roll)
        if self.distance > 24:
            if me.traits.shot is not None and self.distance > 40 and roll > 0.8:
                return self._shoot()
            return self._approach() if roll < 0.3 else self._jump(full=roll < 0.55)
        return self._up_close(roll)

    def _from_afar(self, roll: float) -> Plan:
        if self.me.traits.shot is not None and roll < 0.2:
            return self._shoot()
        return self._approach() if roll < 0.45 else self._jump(full=True)

    def _up_close(self, roll: float) -> Plan:
        if self.foe.airborne and self.foe.y > 12:
            return self._attack(0, 45, A) if roll < 0.5 else self._jump(full=False)
        if roll < 0.55:
            return self._jump(full=False)
        if roll < 0.6 + self.me.percent / 500:
            return self._retreat()
        if roll > 0.95:
            return self._attack(0, 0, Z)
        if self.foe.percent > 70:
            return self._flick(self.toward * FULL, 0)
        return self._attack(45 * self.toward, 0, A) if roll < 0.75 else self._attack(0, -45, A)

    def _near(self, raw: int) -> int:
        """Return a raw stick value as a hand would hold it: a few units off, and centre at centre."""
        return raw + self.rng.randint(-3, 3) if raw else 0

    def _stand(self, frames: int) -> Plan:
        for _ in range(frames):
            yield NEUTRAL_PAD

    def _hold(self, x: int, y: int, frames: int, buttons: int = 0) -> Plan:
        held = make_pad((self._near(x), self._near(y)), buttons=buttons)
        for _ in range(frames):
            yield held

    def _drift_in(self) -> Plan:
        up = self.rng.random() < 0.7
        held = make_pad((self._near(-FULL if self.me.x > 0 else FULL), self._near(60 if up else 0)))
        while self.me.state in HURT and self.me.hitstun > 2:
            yield held
        yield NEUTRAL_PAD

    def _approach(self) -> Plan:
        held = make_pad((self._near(self.toward * FULL), 0))
        side, patience = self.toward, self.rng.randint(8, 24)
        while self.toward == side and self.distance > 20 and patience and not self.me.airborne:
            patience -= 1
            yield held
        yield NEUTRAL_PAD

    def _walk_to_center(self) -> Plan:
        side = -1 if self.me.x > 0 else 1
        held = make_pad((self._near(side * 45), 0))
        for _ in range(20):
            if self.me.x * side > -5:
                break
            yield held
        yield from self._stand(self.rng.randint(6, 20))

    def _retreat(self) -> Plan:
        side = -self.toward if abs(self.me.x) < self.me.arena.edge - 25 else self.toward
        yield from self._hold(side * FULL, 0, self.rng.randint(8, 16))
        yield NEUTRAL_PAD

    def _shield(self) -> Plan:
        is_light = self.rng.random() < 0.25
        held = make_pad((0, 0), l=self.rng.randint(60, 130)) if is_light else make_pad((0, 0), buttons=L)
        patience = self.rng.randint(6, 22)
        while patience > 0 and (self.foe.state in ATTACKS or patience > 14):
            patience -= 1
            yield held
        if self.rng.random() < 0.75:
            yield from self._jump(full=False)
        else:
            yield NEUTRAL_PAD

    def _shoot(self) -> Plan:
        yield from self._hold(0, 0, 3, B)
        yield from self._stand(16)

    def _release(self) -> Plan:
        patience = self.rng.randint(10, 40)
        while patience and self.distance > 35 and self.me.state == BALL_LOOP:
            patience -= 1
            yield NEUTRAL_PAD
        if self.foe.state in ATTACKS:
            yield from self._hold(0, 0, 4, L)
        else:
            yield from self._hold(0, 0, 3, B)
        yield NEUTRAL_PAD

    def _attack(self, x: int, y: int, button: int) -> Plan:
        if x * self.me.facing < 0:
            yield from self._hold(x, 0, 2)
        yield from self._hold(x, y, self.rng.randint(2, 4), button)
        yield NEUTRAL_PAD

    def _flick(self, x: int, y: int) -> Plan:
        held = make_pad((0, 0), (self._near(x), self._near(y)))
        for _ in range(self.rng.randint(3, 5)):
            yield held
        yield NEUTRAL_PAD

    def _jump(self, full: bool) -> Plan:
        button = Y if self.rng.random() < 0.7 else X
        x = self._near(self.toward * FULL) if self.distance > 12 else 0
        squat = self.me.traits.jump_squat
        for frame in range(squat + 3):
            yield make_pad((x, 0), buttons=button if full or frame < 2 else 0)
        if full and (self.foe.y > self.me.y + 15 or self.distance > 50) and self.rng.random() < 0.8:
            yield from self._jump_again()

    def _jump_again(self) -> Plan:
        while self.me.airborne and self.me.speed_y > 0.6 * self.me.traits.jump * 0.5:
            yield make_pad((self.toward * FULL, 0))
        yield from self._hold(self.toward * FULL, 0, 4, X)

    def _act_in_air(self, roll: float) -> Plan:
        me, up = self.me, self.foe.y - self.me.y
        if self.distance < 24 and -26 < up < 28:
            return self._aerial(up)
        if me.jumps and me.speed_y < 0.3 and roll < (0.5 if up > 10 or self.distance > 40 else 0.3):
            return self._hold(self.toward * FULL, 0, 4, Y)
        if me.traits.shot is not None and self.distance > 60 and roll < 0.03:
            return self._hold(0, 0, 3, B)
        if me.speed_y < 0 and up < 5 and not me.is_fast_falling and roll < 0.3:
            return self._hold(0, -FULL, 3)
        return self._hold(self.toward * (FULL if self.distance > 15 else 40), 0, 3)

    def _aerial(self, up: float) -> Plan:
        side = self.toward
        if up > 12:
            yield from self._flick(0, FULL)
        elif up < -12:
            yield from self._flick(0, -FULL)
        elif self.rng.random() < 0.4:
            yield from self._hold(0, 0, 2, A)
        else:
            yield from self._flick(side * FULL, 0)
        while self.me.airborne and self.me.state in ATTACKS:
            if self.me.y < 5 - 3 * self.me.speed_y and self.me.speed_y < 0:
                yield from self._hold(0, 0, 3, R)
                return
            yield make_pad((side * FULL, 0))

    def _recover(self) -> Plan:
        side = -1 if self.me.x > 0 else 1
        if self.me.state == CLIFF_WAIT:
            yield from self._stand(self.rng.randint(2, 12))
            yield from self._hold(side * FULL, 0, 4)
        elif self.me.y < -8 and self.me.jumps and self.me.state != RISE:
            yield from self._hold(side * FULL, 0, 6, Y)
        elif self.me.y < -30 and self.me.is_free:
            yield from self._hold(side * 60, 80, 4, B)
        else:
            yield from self._hold(side * FULL, 0, 2)


def drill(facing: int) -> Plan:
    """Return a fixed routine, mirrored by ``facing``, whose timing cannot be read from what is visible.

    Twice it stands through 20 and 33 frames that look alike and then does different things, so a policy that does not
    remember how long it stood cannot reproduce it.
    """
    forward, back = make_pad((facing * FULL, 0)), make_pad((-facing * FULL, 0))
    steps: list[tuple[Pad, int]] = [
        (NEUTRAL_PAD, 20),
        (make_pad((0, 0), buttons=A), 3),
        (NEUTRAL_PAD, 33),
        (forward, 4),
        (make_pad((0, 0), buttons=X), 9),
        (make_pad((0, 0), (facing * FULL, 0)), 4),
        (NEUTRAL_PAD, 18),
        (make_pad((0, -FULL)), 4),
        (NEUTRAL_PAD, 26),
        (make_pad((0, 0), buttons=L), 16),
        (NEUTRAL_PAD, 30),
        (back, 6),
        (NEUTRAL_PAD, 20),
        (make_pad((0, 45), buttons=A), 3),
        (NEUTRAL_PAD, 33),
    ]
    while True:
        for held, frames in steps:
            for _ in range(frames):
                yield held
