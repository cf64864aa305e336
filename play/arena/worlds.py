"""The kinds of worlds that there are, by the names that ``--world`` takes."""

from dataset.duels.duel import LONGEST
from dataset.duels.moves import TRAITS
from dataset.duels.player import LEVELS
from play.arena.arena import WorldKind
from play.arena.duel import DuelWorld
from play.arena.melee_sim import melee_sim_kind


def _duel() -> WorldKind:
    return WorldKind(
        characters=tuple(TRAITS),
        longest=LONGEST,
        make=DuelWorld,
        own_player="scripted",
        levels=tuple(LEVELS),
        has_platforms=False,
    )


WORLDS = {"duel": _duel, "melee-sim": melee_sim_kind}
