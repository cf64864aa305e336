"""The characters a duel can show, and roughly how each of them moves."""

from dataclasses import dataclass


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
        air_accel=0.09, jump=2.1, hop=1.4, weight=85, shot=0x70,
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
