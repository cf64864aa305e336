"""What situation a player is in, from the encoded frame alone, so that it is the same for replays and live play.

A frame has the first of these situations that applies:

``away``            dead, on the respawn platform or entering: nothing to decide
``teching``         on the floor or getting up from it, teching on floor, wall or ceiling
``ledge``           catching it, hanging, or getting up from it
``disadvantage``    in hitstun or tumbling, grabbed, thrown, held, or shield-broken; also while off stage
``off-stage``       beyond the ledge or well below it, in control
``advantage``       none of these, while the opponent is in one of them other than ``away``
``neutral``         everything else

Legend: N frames, C features, I indices.
"""

import torch
from torch import Tensor

from dataset.features.layout import FEATURE_ROW, HITSTUN_STATES, INDEX_ROW
from dataset.melee.ids import NUM_ACTION_STATES
from dataset.stats.techniques.movement import LYING
from dataset.stats.techniques.spans import HURT

SITUATIONS = ("neutral", "advantage", "disadvantage", "off-stage", "ledge", "teching", "away")
NEUTRAL, ADVANTAGE, DISADVANTAGE, OFF_STAGE, LEDGE, TECHING, AWAY = range(len(SITUATIONS))

AWAY_STATES = (*range(0, 14), *range(322, 325))
"""Dying, waiting to respawn, the respawn platform, and the entry at the start of a game."""

TECH_STATES = tuple(state for state in (*range(LYING[0], LYING[1] + 1), *range(199, 205)) if state not in (185, 193))
"""Floor bounces, lying, getups and techs; being hit while lying (185, 193) is disadvantage."""

LEDGE_STATES = tuple(range(252, 264))

HURT_STATES = (*(state for low, high in HURT for state in range(low, high + 1)), *HITSTUN_STATES, *range(205, 212))
"""What opens a conversion (``dataset.stats.techniques.conversions``), bounces off walls, and the broken shield."""

BELOW_STAGE = -10.0 * 0.05
"""A scaled height below every legal stage's floor (the lowest is the slope of Yoshi's Story); a player under it is off stage."""


def _among(states: tuple[int, ...]) -> Tensor:
    table = torch.zeros(NUM_ACTION_STATES, dtype=torch.bool)
    table[list(states)] = True
    return table


_IS_AWAY, _IS_TECHING, _IS_LEDGE, _IS_HURT = map(_among, (AWAY_STATES, TECH_STATES, LEDGE_STATES, HURT_STATES))


def find_situations(indices: Tensor, continuous: Tensor) -> Tensor:
    """The situation of the imitated player (side a) in each frame, int64 [N], as an index into ``SITUATIONS``.

    Args:
        indices: [N, I] embedding indices.
        continuous: [N, C] scaled features.
    """
    own, other = (_situation(indices, continuous, side) for side in "ab")
    is_ahead = (own == NEUTRAL) & (other != NEUTRAL) & (other != AWAY)
    return torch.where(is_ahead, ADVANTAGE, own)


def _situation(indices: Tensor, continuous: Tensor, side: str) -> Tensor:
    """A player's situation without regard to the other's, int64 [N]."""
    state = indices[:, INDEX_ROW[f"{side}_action_state"]].long()
    ledge, height, on_ground = (continuous[:, FEATURE_ROW[f"{side}_{name}"]] for name in ("ledge", "y", "on_ground"))
    found = torch.full_like(state, NEUTRAL)
    found[((ledge < 0) | (height < BELOW_STAGE)) & (on_ground == 0)] = OFF_STAGE
    for situation, table in (
        (DISADVANTAGE, _IS_HURT),
        (LEDGE, _IS_LEDGE),
        (TECHING, _IS_TECHING),
        (AWAY, _IS_AWAY),
    ):
        found[table.to(state.device)[state]] = situation
    return found
