"""L-cancels and techs: what a player does as the ground arrives."""

import polars as pl

from dataset.stats.techniques.spans import Games, earlier, enters, events

AERIAL_LANDING = (70, 74)
TECH_IN_PLACE, TECH_ROLLS = 199, (200, 201)
BOUNCES = (183, 191)
"""The floor bounce of a missed tech, face up and face down."""

LYING = (183, 198)
"""A player on the floor: bounce, wait, hurt there, getups."""


def l_cancels(games: Games) -> pl.LazyFrame:
    """Landings from an aerial attack (action states 70–74); a success where Slippi says that the lag was cancelled.

    Slippi writes ``l_cancel`` on the landing's first frame: 1 cancelled, 2 not; 0 is no try. Older replays (null) tell
    nothing.
    """
    landings = games.stays.filter(enters(*AERIAL_LANDING), pl.col("l_cancel").is_in([1, 2]))
    return events(landings, "l-cancel", success=pl.col("l_cancel") == 1)


def techs_in_place(games: Games) -> pl.LazyFrame:
    """Knockdowns; a success if teched on the spot (199)."""
    return events(_knockdowns(games.stays), "tech in place", success=pl.col("state") == TECH_IN_PLACE)


def tech_rolls(games: Games) -> pl.LazyFrame:
    """Knockdowns; a success if teched rolling (200, 201)."""
    return events(_knockdowns(games.stays), "tech roll", success=pl.col("state").is_between(*TECH_ROLLS))


def missed_techs(games: Games) -> pl.LazyFrame:
    """Knockdowns; a "success" if the tech was missed and the player bounces on the floor (183, 191)."""
    return events(_knockdowns(games.stays), "missed tech", success=pl.col("state").is_in(BOUNCES))


def _knockdowns(stays: pl.LazyFrame) -> pl.LazyFrame:
    """Techs and floor bounces; a bounce out of a hit taken on the floor (183–198) is the same knockdown still.

    Wall and ceiling techs (202–204) are none: missing one does not knock down.
    """
    was_lying = earlier("state").is_between(*LYING).fill_null(value=False)
    return stays.filter(enters(TECH_IN_PLACE, TECH_ROLLS[1]) | (pl.col("state").is_in(BOUNCES) & ~was_lying))
