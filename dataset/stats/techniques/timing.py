"""When within a technique a player presses and how the stick is held: people vary, bots are too regular."""

import numpy as np

from dataset.melee.controller import TRIGGER_DEAD_ZONE, L, R, Z
from dataset.stats.rules import states
from dataset.stats.techniques.found import Found
from dataset.stats.techniques.movement import AIR_DODGE, KNEE_BEND
from dataset.stats.techniques.sides import Rows, Side, Values

EARLIEST_TRIGGER, LATEST_TRIGGER = 20, 5
"""A press of a trigger so many frames before a landing is not meant for it, nor one so many after (slippistats's bounds)."""

SHIELDS = (178, 179, 181, 182)
"""Raising, holding, struck and reflecting: the shields that one can drop through a platform from (slippistats)."""
SHIELD_STRUCK, PLATFORM_DROP = 181, 244
_SHIELD = states(*((state, state) for state in SHIELDS))


def find_timings(side: Side, found: Found, l_cancels: Rows, wavedashes: Rows) -> None:
    """When L-cancels and wavedashes, whose landings were found before, were pressed, and shields dropped."""
    _time_l_cancels(side, found, l_cancels)
    _time_wavedashes(side, found, wavedashes)
    _time_shield_drops(side, found)


def _time_l_cancels(side: Side, found: Found, landings: Rows) -> None:
    """Landings with the frames from the press to them: L, R or Z, or a trigger out of its dead zone, none held before.

    A late press counts only where none came in time, with a negative number; without any there is no value.
    """
    is_held = ((side["buttons"] & (L | R | Z)) != 0) | (side["trigger"] >= TRIGGER_DEAD_ZONE)
    presses = np.flatnonzero(is_held & ~side.tables.before(is_held))
    place = np.searchsorted(presses, landings, "right")
    padded = np.concatenate([[-1 << 40], presses, [1 << 40]])
    early, late = landings - padded[place], landings - padded[place + 1]
    value = np.where(early <= EARLIEST_TRIGGER, early, np.where(late >= -LATEST_TRIGGER, late, np.nan))
    found.add(side, "l-cancel press", landings[~np.isnan(value)], value=value[~np.isnan(value)])


def _time_wavedashes(side: Side, found: Found, landings: Rows) -> None:
    """Wavedashes with the frames that the air dodge came late, and how steeply the stick was held below the horizon."""
    acts = side.acts
    place = np.searchsorted(acts.row, landings)
    dodges = np.where(acts.before[place] == AIR_DODGE, acts.row[place - 1], landings)
    bends = np.flatnonzero(acts.state == KNEE_BEND)
    last = bends[np.searchsorted(acts.row[bends], landings) - 1]
    found.add(side, "wavedash trigger", landings, value=dodges - acts.row[last] - acts.frames[last])
    x, y = side["main_x"][dodges].astype(np.float64), side["main_y"][dodges].astype(np.float64)
    found.add(side, "wavedash angle", landings, value=np.degrees(np.arctan2(-y, np.abs(x))))


def _time_shield_drops(side: Side, found: Found) -> None:
    """Drops through a platform out of a shield, with the frames since it was raised or, if later, last struck."""
    acts = side.acts
    is_drop = (acts.state == PLATFORM_DROP) & _SHIELD[acts.before] & (acts.before >= 0)
    rises = _SHIELD[acts.state] & (~_SHIELD[acts.before] | (acts.before == SHIELD_STRUCK) | (acts.before < 0))
    risen = np.maximum.accumulate(np.where(rises, acts.row, 0))
    value: Values = np.where(acts.before == SHIELD_STRUCK, 0, acts.row - risen)
    found.add(side, "shield drop", acts.row[is_drop], value=value[is_drop])
