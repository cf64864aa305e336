"""The kinds of worlds that there are, by the names that ``--world`` takes."""

from dataset.duels.duel import LONGEST
from dataset.duels.moves import TRAITS
from dataset.duels.player import LEVELS
from play.arena.arena import WorldKind
from play.arena.duel import DuelWorld

WORLDS = {
    "duel": WorldKind(characters=tuple(TRAITS), levels=tuple(LEVELS), longest=LONGEST, make=DuelWorld),
}
