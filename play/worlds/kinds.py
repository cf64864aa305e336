"""The kinds of worlds that there are, by the names that ``--world`` takes."""

from collections.abc import Callable
from pathlib import Path

from dataset.duels.duel import LONGEST
from dataset.duels.moves import TRAITS
from dataset.duels.player import LEVELS
from dataset.errors import ConfigError
from play.worlds.duel import DuelWorld
from play.worlds.melee_sim import melee_sim_kind
from play.worlds.world import WorldKind

DOLPHIN = "dolphin"


def worlds(
    dolphin: Path | None = None, iso: Path | None = None, at_once: int | None = None, is_headless: bool = False
) -> dict[str, Callable[[], WorldKind]]:
    """Every kind, made when it is called for; only Dolphin reads the arguments (``play.worlds.dolphin.DolphinSettings``)."""

    def in_dolphin() -> WorldKind:
        from play.worlds.dolphin import DolphinSettings, dolphin_kind  # libmelee is needed nowhere else

        settings = DolphinSettings(dolphin=dolphin, iso=iso, at_once=at_once or 1, is_headless=is_headless)
        return dolphin_kind(settings)

    return {"duel": _duel, "melee-sim": melee_sim_kind, DOLPHIN: in_dolphin}


def refuse_idle(world: str, **flags: object) -> None:
    """Refuse flags that only Dolphin reads.

    Raises:
        ConfigError: one is given, and games are not played there.
    """
    for flag, value in flags.items():
        if world != DOLPHIN and value:
            raise ConfigError(f"--{flag}: has no effect with --world {world}; leave it out, or give --world {DOLPHIN}")


def _duel() -> WorldKind:
    return WorldKind(
        characters=tuple(TRAITS),
        longest=LONGEST,
        make=DuelWorld,
        own_player="scripted",
        levels=tuple(LEVELS),
        has_platforms=False,
    )
