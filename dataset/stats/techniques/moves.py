"""What a player does, by action state: attacks, dodges, grabs, throws, techs and landings, from tables of states.

Most of it follows slippi-js (``stats/actions.ts``). States of single characters: Mr. Game & Watch's as in slippi-js, Peach's as
in ``ftPeach_MotionState`` of doldecomp/melee.
"""

import numpy as np

from dataset.melee.controller import B
from dataset.melee.ids import FIRST_SPECIAL, NUM_ACTION_STATES, NUM_CHARACTERS, character_from_name
from dataset.stats.rules import ATTACKS, Flags, states
from dataset.stats.techniques.found import Found
from dataset.stats.techniques.movement import AERIAL_LANDING, AIR_DODGE, BOUNCES, LYING, SPECIAL_LANDING, TECH_ROLLS
from dataset.stats.techniques.sides import Side, Values

MOVES: dict[str, tuple[int, ...]] = {
    "jab": (44, 45, 46, 47),
    "dash attack": (50,),
    "forward tilt": (51, 52, 53, 54, 55),
    "up tilt": (56,),
    "down tilt": (57,),
    "forward smash": (58, 59, 60, 61, 62),
    "up smash": (63,),
    "down smash": (64,),
    "neutral air": (65,),
    "forward air": (66,),
    "back air": (67,),
    "up air": (68,),
    "down air": (69,),
    "grab": (212, 214),
    "getup attack": (187, 195),
    "ledge attack": (256, 257),
}
"""Attacks by the states in which they begin; specials are told by the B button."""

SPECIALS = ("neutral special", "side special", "up special", "down special")
SPECIAL_UP, SPECIAL_SIDE = 44, 48
"""From here on, in 1/80, the stick makes a special an up or down one, or else a side one (Falco's 8,462 specials in 129 games
are told so but for 19, side specials on the ground with the stick down as well)."""

OWN_MOVES: dict[str, dict[str, tuple[int, ...]]] = {
    "game_and_watch": {
        "jab": (341, 342),
        "down tilt": (345,),
        "forward smash": (346,),
        "neutral air": (347,),
        "back air": (348,),
        "up air": (349,),
    },
    "peach": {
        "neutral air": (344,),
        "forward air": (345,),
        "back air": (346,),
        "up air": (347,),
        "down air": (348,),
        "forward smash": (349, 350, 351),
    },
}
"""States of their own for moves that all characters have; Peach's aerials are those out of her float."""

OTHER_ACTS: dict[str, tuple[int, ...]] = {
    "roll": (233, 234),
    "spot dodge": (235,),
    "ledge grab": (252,),
    "taunt": (264, 265),
    "forward throw": (219,),
    "back throw": (220,),
    "up throw": (221,),
    "down throw": (222,),
}
"""What is only counted, by the states in which it begins."""

DASH_ATTACK, DASH_GRAB = 50, 214
GRABS, HOLDS = (212, DASH_GRAB), (213, 215, 216, 217, 218, 219, 220, 221, 222)
THROWS = (219, 220, 221, 222)
EDGE_ENDS = (29, 245)
"""Falling, teetering."""
ENDS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "grab made": (GRABS, HOLDS),
    "edge cancel": (tuple(range(AERIAL_LANDING[0], AERIAL_LANDING[1] + 1)), EDGE_ENDS),
    "special landing edge cancel": ((SPECIAL_LANDING,), EDGE_ENDS),
}
"""Acts that succeed if they are followed by certain states: the states, and those after them."""

WALL_TECH, WALL_BOUNCE, TECH_IN_PLACE = 202, 247, 199

LANDED_DODGE_FRAMES = 13
"""An air dodge that lands within so many frames is a wavedash's or waveland's (slippi-js: fewer than the last 15 frames)."""


def find_moves(side: Side, found: Found) -> None:
    """Attacks, with all of them as ``move``, what else is only counted, and what succeeds by what comes after it."""
    acts, label = side.acts, np.array([found.number(name) for name in (*MOVES, *SPECIALS, *OTHER_ACTS)], np.uint16)
    place = _LABELS[side["character"][acts.row], acts.state]
    special = (acts.state >= FIRST_SPECIAL) & (place < 0) & ((side.pressed[acts.row] & B) != 0)
    place[special] = len(MOVES) + _special_directions(side, acts.row[special])
    place[(acts.state == DASH_ATTACK) & (acts.after == DASH_GRAB)] = -1  # a grab, a little further
    is_known = place >= 0
    found.add(side, label[place[is_known]], acts.row[is_known])
    found.add(side, "move", acts.row[is_known & (place < len(MOVES) + len(SPECIALS))])
    found.add(side, "throw", acts.row[np.isin(acts.state, THROWS)])
    for name, (begin, end) in ENDS.items():
        is_try = np.isin(acts.state, begin) & (acts.after >= 0)
        found.add(side, name, acts.row[is_try], np.isin(acts.after[is_try], end))
    is_landed = (acts.after == SPECIAL_LANDING) & (acts.frames <= LANDED_DODGE_FRAMES)
    found.add(side, "air dodge", acts.row[(acts.state == AIR_DODGE) & ~is_landed])
    is_wall = np.isin(acts.state, (WALL_TECH, WALL_BOUNCE))
    found.add(side, "wall tech", acts.row[is_wall], acts.state[is_wall] == WALL_TECH)


def find_repeats(side: Side, found: Found) -> None:
    """Attacks of the arena's tally (``ATTACKS``); a success if it is the same as the player's attack before."""
    acts = side.acts
    is_attack = ATTACKS[acts.state]
    row, state = acts.row[is_attack], acts.state[is_attack]
    game = side.tables.game(row)
    is_same = np.zeros(len(row), np.bool_)
    is_same[1:] = (state[1:] == state[:-1]) & (game[1:] == game[:-1])
    found.add(side, "repeated attack", row, is_same)


def find_techs(side: Side, found: Found) -> None:
    """Knockdowns, teched or not, and towards or away from the opponent (slippi-js's "in" and "away")."""
    acts = side.acts
    is_down = _KNOCKDOWNS[acts.state] & ~(np.isin(acts.state, BOUNCES) & _LYING[acts.before])
    row, state = acts.row[is_down], acts.state[is_down]
    towards = np.where(side["x"][row] > side.other["x"][row], -1, 1)
    is_forwards = (side["facing"][row] == towards) == (state == TECH_ROLLS[0])
    is_roll = np.isin(state, TECH_ROLLS)
    found.add(side, "tech", row, is_roll | (state == TECH_IN_PLACE))
    found.add(side, "tech towards", row, is_roll & is_forwards)
    found.add(side, "tech away", row, is_roll & ~is_forwards)


def _special_directions(side: Side, rows: Values) -> Values:
    """The place in ``SPECIALS`` of each special, by the stick that began it."""
    x, y = side["main_x"][rows], side["main_y"][rows]
    is_side = np.abs(x.astype(np.int16)) >= SPECIAL_SIDE
    return np.select([y >= SPECIAL_UP, y <= -SPECIAL_UP, is_side], [2, 3, 1], 0).astype(np.int16)


def _labels() -> Values:
    """[NUM_CHARACTERS, NUM_ACTION_STATES] what begins in a state: a place in moves, specials and other acts, or -1."""
    labels = np.full((NUM_CHARACTERS, NUM_ACTION_STATES), -1, np.int16)
    names = [*MOVES, *SPECIALS, *OTHER_ACTS]
    for name, begin in (MOVES | OTHER_ACTS).items():
        labels[:, list(begin)] = names.index(name)
    for character, own in OWN_MOVES.items():
        for name, begin in own.items():
            labels[character_from_name(character).internal, list(begin)] = names.index(name)
    return labels


_LABELS = _labels()
_LYING: Flags = states(LYING)
_KNOCKDOWNS: Flags = states((TECH_IN_PLACE, TECH_ROLLS[1]), *((bounce, bounce) for bounce in BOUNCES))
