"""How stocks are lost and taken: where, after how long, and by which moves punishes open and kill."""

import numpy as np

from dataset.schema import FRAMES_PER_SECOND
from dataset.stats.rules import states
from dataset.stats.techniques.found import Found
from dataset.stats.techniques.moves import MOVES, SPECIALS
from dataset.stats.techniques.sides import Rows, Side, Values

DEATHS = {"death below": (0,), "death at a side": (1, 2), "death above": (3, 4, 5, 6, 7, 8, 9, 10)}
"""By the states in which a player dies."""
LAST_DEATH = 10

HELD = states((223, 232), (266, 292), (327, 338))
"""Grabbed, or held by a special."""

PUNISHES = (*MOVES, *SPECIALS, "pummel", "forward throw", "back throw", "up throw", "down throw", "other")
"""Moves that a punish opens or kills with; ``other``: items, and what the game does not name."""

ATTACK_IDS: dict[str, tuple[int, ...]] = {
    "jab": (2, 3, 4, 5),
    **{name: (number,) for number, name in enumerate(list(MOVES)[1:13], 6)},
    **{name: (number,) for number, name in enumerate(SPECIALS, 18)},
    "neutral special": (18, *range(22, 47)),
    "getup attack": (50, 51),
    "pummel": (52,),
    "forward throw": (53, 57),
    "back throw": (54, 58),
    "up throw": (55, 59),
    "down throw": (56, 60),
    "ledge attack": (61, 62),
}
"""Melee's attack ids; 22–46 are neutral specials that Kirby has swallowed (slippistats's ``Attack``)."""


def find_stocks(side: Side, found: Found) -> None:
    """Stocks lost, with the seconds that they lasted from the start of the game or the end of the death before (slippi-js's)."""
    acts = side.acts
    lost = side.losses
    begins = np.where((acts.state > LAST_DEATH) & (acts.before <= LAST_DEATH), acts.row, 0)
    begun = np.maximum.accumulate(begins)[np.searchsorted(acts.row, lost, "right") - 1]
    found.add(side, "stock lost", lost, value=(lost - begun) / FRAMES_PER_SECOND)
    for name, died in DEATHS.items():
        found.add(side, name, lost[np.isin(side.state[lost], died)])


def find_punishes(side: Side, found: Found, openings: Rows, kills: Rows) -> None:
    """The player's conversions by the move that opened them, and by the one that killed (the game's "last attack landed")."""
    by = _MOVE_OF_ATTACK[side["last_attack_landed"][openings]]
    by[HELD[side.other.state[openings]]] = PUNISHES.index("grab")
    found.add(side, _numbers(found, "opening by")[by], openings)
    found.add(side, _numbers(found, "kill by")[_MOVE_OF_ATTACK[side["last_attack_landed"][kills]]], kills)


def _numbers(found: Found, prefix: str) -> Values:
    return np.array([found.number(f"{prefix} {name}") for name in PUNISHES], np.uint16)


def _move_of_attack() -> Values:
    """[256] the place in ``PUNISHES`` of every attack id."""
    places = np.full(256, PUNISHES.index("other"), np.int16)
    for name, numbers in ATTACK_IDS.items():
        places[list(numbers)] = PUNISHES.index(name)
    return places


_MOVE_OF_ATTACK = _move_of_attack()
