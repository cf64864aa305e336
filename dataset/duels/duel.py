"""A duel: two fighters and their projectiles on a stage, played frame by frame; it decides who is hit and who is out.

Nothing here reads or writes replays: ``dataset.duels.generate`` records what is played. Both sides' hits are found before
either is applied, so two attacks can trade.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dataset.duels.fighter import Arena, Fighter
from dataset.duels.moves import (
    ATTACK_IDS,
    BALL_FIRE,
    BALL_FIRE_AIR,
    BALL_LOOP,
    BLASTER,
    BLASTER_AIR,
    CATCH,
    GONE,
    SHADOW_BALL,
    SHOT_ID,
    TRAITS,
)
from dataset.melee.controller import NEUTRAL_PAD, Pad
from dataset.melee.ids import Stage
from dataset.melee.stages import BLAST_ZONES
from dataset.schema import FIRST_CONTROLLED_FRAME, FIRST_FRAME

STOCKS = 4
ENTRY_FRAMES = FIRST_CONTROLLED_FRAME - FIRST_FRAME
"""Frames before the game takes controllers into account."""
LONGEST = 28_800
"""Frames after which the clock ends any game: eight minutes."""
DRAMATIC_PAUSE = 60
"""Frames between the last stock and the end of a game."""
WAIT_LOOP = 60
FIRED_AT, BLASTER_FIRED_AT = 8, 10
"""Frames after which Shadow Ball and a laser leave the hand."""


@dataclass
class Shot:
    """A projectile in flight or, for Mewtwo's ball, still in hand."""

    kind: int
    owner: int
    spawn_id: int
    x: float
    y: float
    speed: float
    damage: float
    charge: int
    timer: int
    is_launched: bool


class Duel:
    """Two fighters and their projectiles; :meth:`step` plays one frame.

    Args:
        characters: names of ``TRAITS``, left fighter first.
        stage: the stage, of which only the floor and the blast zones are there.
        wait_loop: frames after which the animation of standing starts over; ``WAIT_LOOP`` as in the game.
    """

    def __init__(self, characters: Sequence[str], stage: Stage, wait_loop: int) -> None:
        arena = Arena(stage.ledge_x - 2.9, *BLAST_ZONES[stage.name])
        starts = (-0.5 * arena.edge, 0.5 * arena.edge)
        self.fighters = [
            Fighter(TRAITS[name], arena, x, STOCKS, wait_loop, ENTRY_FRAMES)
            for name, x in zip(characters, starts, strict=True)
        ]
        self.shots: list[Shot] = []
        self.spawned = 0
        self.before = [NEUTRAL_PAD, NEUTRAL_PAD]

    def step(self, pads: Sequence[Pad]) -> None:
        """Play one frame with both controllers."""
        for fighter, now, before in zip(self.fighters, pads, self.before, strict=True):
            fighter.step(now, before)
        self.before = list(pads)
        self._exchange_hits()
        self._shoot()
        self._fly_shots()
        for fighter in self.fighters:
            if fighter.has_left():
                fighter.die()

    @property
    def is_over(self) -> bool:
        """Whether a player has no stocks left."""
        return any(fighter.stocks == 0 for fighter in self.fighters)

    def _exchange_hits(self) -> None:
        pairs = [(0, 1), (1, 0)]
        found = [self.fighters[a].attacks() for a, _ in pairs]
        numbers = [ATTACK_IDS.get(self.fighters[a].state) for a, _ in pairs]
        landed = [
            attack is not None and self.fighters[a].reaches(attack, self.fighters[b])
            for (a, b), attack in zip(pairs, found, strict=True)
        ]
        for (a, b), attack, number, is_hit in zip(pairs, found, numbers, landed, strict=True):
            if attack is None or number is None or not is_hit:
                continue
            attacker, defender = self.fighters[a], self.fighters[b]
            attacker.has_hit, attacker.last_landed = True, number
            attacker.combo = attacker.combo + 1 if defender.hitstun else 1
            is_blockable = attacker.state != CATCH
            attacker.hitlag = defender.suffer(attack.damage, attack.angle_deg, attacker.facing, a, is_blockable)

    def _shoot(self) -> None:
        for owner, me in enumerate(self.fighters):
            if me.state == BALL_LOOP and not self._held_ball(owner):
                self._spawn(owner, SHADOW_BALL, me.charge, is_launched=False)
            elif me.state in (BALL_FIRE, BALL_FIRE_AIR) and me.time == FIRED_AT and not me.fired:
                self._launch_ball(owner)
            elif me.state in (BLASTER, BLASTER_AIR) and me.time == BLASTER_FIRED_AT and not me.fired:
                assert me.traits.shot is not None
                me.fired = True
                self._spawn(owner, me.traits.shot, 0, is_launched=True)

    def _held_ball(self, owner: int) -> Shot | None:
        return next((shot for shot in self.shots if shot.owner == owner and not shot.is_launched), None)

    def _launch_ball(self, owner: int) -> None:
        me = self.fighters[owner]
        me.fired = True
        ball = self._held_ball(owner) or self._spawn(owner, SHADOW_BALL, me.charge, is_launched=True)
        ball.is_launched, ball.charge, ball.timer = True, me.charge, 100
        ball.speed, ball.damage = 1.6 * me.facing, 4 + me.charge / 6
        me.charge = 0

    def _spawn(self, owner: int, kind: int, charge: int, is_launched: bool) -> Shot:
        me = self.fighters[owner]
        shot = Shot(
            kind, owner, self.spawned, me.x + 8 * me.facing, me.y + 8, 7 * me.facing, 3, charge, 35, is_launched
        )
        self.spawned += 1
        self.shots.append(shot)
        return shot

    def _fly_shots(self) -> None:
        kept = []
        for shot in self.shots:
            me, foe = self.fighters[shot.owner], self.fighters[1 - shot.owner]
            if not shot.is_launched:
                shot.x, shot.y, shot.charge = me.x + 8 * me.facing, me.y + 8, me.charge
                if me.state in (BALL_LOOP, BALL_FIRE, BALL_FIRE_AIR):
                    kept.append(shot)
                continue
            shot.x += shot.speed
            shot.timer -= 1
            if self._is_struck(shot, foe):
                foe.suffer(shot.damage, 45, 1.0 if shot.speed > 0 else -1.0, shot.owner)
                me.last_landed = SHOT_ID
            elif shot.timer > 0:
                kept.append(shot)
        self.shots = kept

    def _is_struck(self, shot: Shot, foe: Fighter) -> bool:
        reach = 6 + abs(shot.speed) / 2
        is_near = abs(shot.x - foe.x) < reach and -4 < shot.y - foe.y < 18
        return is_near and not foe.invulnerable and foe.state not in GONE
