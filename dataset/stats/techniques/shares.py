"""How time is spent and how much is pressed: sums over frames, by the rules of the arena's tally (``dataset.stats.rules``)."""

import numpy as np

from dataset.features.layout import LEDGE_X
from dataset.melee.controller import START
from dataset.schema import CONTROLLER_NAMES, FIRST_CONTROLLED_FRAME
from dataset.stats.rules import ATTACKS, AWAY, FREEZE_FRAMES, Flags, in_air, is_able, is_off_stage, presses_attack
from dataset.stats.techniques.found import Found
from dataset.stats.techniques.sides import Side
from dataset.store.quality import TRIGGER_ZONE, stick_zones


def find_shares(side: Side, found: Found) -> None:
    """Where a player is: nearer the centre than the opponent, or off the stage, and whether it comes back."""
    tables, state = side.tables, side.state
    is_here = ~AWAY[state]
    are_both = is_here & ~AWAY[side.other.state]
    together = tables.totals(are_both)
    is_nearer = are_both & (np.abs(side["x"]) < np.abs(side.other["x"]))
    found.sum(
        side,
        "stage control",
        count=tables.totals(is_nearer),
        tries=together,
        rated=together,
    )
    ledge = np.repeat(LEDGE_X[tables["stage"][tables.first]], tables.lengths)
    is_air = in_air(state, side["on_ground"])
    is_off = is_air & is_off_stage(side["x"], side["y"], ledge)
    present = tables.totals(is_here)
    found.sum(side, "off stage", count=tables.totals(is_off), tries=present, rated=present)
    _find_recoveries(side, found, is_off, is_here & ~is_air)


def _find_recoveries(side: Side, found: Found, is_off: Flags, is_back: Flags) -> None:
    """Times off the stage that ended, when they did; a success if on the stage or its ledge, and not in the loss of a stock."""
    is_end = is_back.copy()
    is_end[side.losses] = True
    off, ends = (np.flatnonzero(flags[1:] & ~flags[:-1]) + 1 for flags in (is_off, is_end))
    place = np.searchsorted(ends, off)
    off, place = off[place < len(ends)], place[place < len(ends)]
    same_game = side.tables.game(off) == side.tables.game(ends[place])
    ended = ends[place[same_game]]
    ended = ended[np.diff(ended, prepend=-1) > 0]  # each once, in order
    found.add(side, "recovery", ended, is_back[ended])


def find_freezes(side: Side, found: Found) -> None:
    """Time able to act, and of it that in runs of ``FREEZE_FRAMES`` and more with the very same controller."""
    tables = side.tables
    able = is_able(side.state, side["hitlag"])
    is_change = np.zeros(len(able), np.bool_)
    for name in CONTROLLER_NAMES:
        is_change[1:] |= side[name][1:] != side[name][:-1]
    is_change[tables.first] = True
    starts = np.flatnonzero(is_change)
    ends = np.append(starts[1:], len(able))
    is_long = ends - starts >= FREEZE_FRAMES
    starts, ends = starts[is_long], ends[is_long]
    held = np.array([np.count_nonzero(able[start:end]) for start, end in zip(starts, ends, strict=True)], np.int64)
    frozen = np.bincount(tables.game(starts), np.where(held >= FREEZE_FRAMES, held, 0), len(tables.first))
    total = tables.totals(able)
    found.sum(side, "frozen", count=frozen, tries=total, rated=total)


def find_inputs(side: Side, found: Found) -> None:
    """Buttons that go down, sticks that come to another of eight directions, triggers pulled; and presses per attack.

    The first four are slippi-js's (``stats/inputs.ts``).
    """
    tables = side.tables
    is_played = tables["frame"] >= FIRST_CONTROLLED_FRAME
    down = np.flatnonzero((side.pressed & (START - 1) != 0) & is_played)
    bits = np.bitwise_count(side.pressed[down] & (START - 1))
    inputs = {"button press": np.bincount(tables.game(down), bits, len(tables.first))}
    for name, zone in (("stick move", side.zones), ("c-stick move", stick_zones(side["c_x"], side["c_y"]))):
        inputs[name] = tables.totals((zone != tables.before(zone)) & (zone != 0) & is_played)
    pulls = [side[f"trigger_{which}"] >= TRIGGER_ZONE for which in "lr"]
    inputs["trigger pull"] = np.sum([tables.totals(pull & ~tables.before(pull) & is_played) for pull in pulls], axis=0)
    for name, count in inputs.items():
        found.sum(side, name, count=count, tries=count)
    reach = np.maximum(np.abs(side["c_x"].astype(np.int16)), np.abs(side["c_y"].astype(np.int16)))
    presses = tables.totals(presses_attack(side.pressed, reach, tables.before(reach)) & is_played)
    acts = side.acts
    attacks = np.bincount(tables.game(acts.row), ATTACKS[acts.state], len(tables.first))
    found.sum(side, "attack press", count=presses, tries=presses, value=presses, valued=attacks)
