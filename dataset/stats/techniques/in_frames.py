"""Runs the finders that look at single frames, beside those of ``dataset.stats.techniques.table`` that look at spans."""

import numpy as np
import polars as pl

from dataset.schema import SIDES
from dataset.stats.techniques.about import ABOUT
from dataset.stats.techniques.found import Found
from dataset.stats.techniques.hits import find_hit_responses
from dataset.stats.techniques.moves import find_moves, find_repeats, find_techs
from dataset.stats.techniques.shares import find_freezes, find_inputs, find_shares
from dataset.stats.techniques.sides import Moments, Side, Tables
from dataset.stats.techniques.stocks import find_punishes, find_stocks
from dataset.stats.techniques.timing import find_timings

FINDERS = (
    *(find_moves, find_repeats, find_techs, find_hit_responses, find_stocks),
    *(find_shares, find_freezes, find_inputs),
)


TIMED = ("l-cancel", "wavedash")
"""Techniques found in spans that are timed in frames."""


def find_in_frames(
    frames: pl.DataFrame, events: pl.DataFrame, conversions: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Everything that single frames tell of some whole games.

    Args:
        frames: their rows, in order, with ``dataset.stats.techniques.sides.COLUMNS`` as far as there are any.
        events: of ``TIMED`` at least, found in spans.
        conversions: of the same games.

    Returns:
        Events and sums by ``player`` (``dataset.stats.techniques.found.Found``), and ``player, technique`` of what the games
        do not record. Events and sums of those are left in.
    """
    found, untold = Found(list(ABOUT)), []
    l_cancels, wavedashes = (Moments.of(events.filter(technique=name)) for name in TIMED)
    openings, kills = Moments.of(conversions, "start"), Moments.of(conversions.filter("is_kill"), "end")
    for tables in Tables.split(frames):
        for side in (Side(tables, number) for number in range(len(SIDES))):
            for finder in FINDERS:
                finder(side, found)
            find_timings(side, found, *(tables.rows(moments, side.number) for moments in (l_cancels, wavedashes)))
            find_punishes(side, found, *(tables.rows(moments, side.number) for moments in (openings, kills)))
            untold.append(_untold(side))
    return found.events(), found.sums(), pl.concat(untold)


def _untold(side: Side) -> pl.DataFrame:
    players, techniques = [np.empty(0, np.int64)], list[str]()
    for needs, names in _NEEDS.items():
        games = np.flatnonzero(~side.tables.tells([f"{side.prefix}_{name}" for name in needs]))
        players.append(np.repeat(side.tables.players(games, side.number), len(names)))
        techniques += names * len(games)
    columns = {"player": np.concatenate(players), "technique": techniques}
    return pl.DataFrame(columns, schema={"player": pl.Int64, "technique": pl.String})


_NEEDS = {
    needs: [name for name, about in ABOUT.items() if about.needs == needs]
    for needs in {about.needs for about in ABOUT.values() if about.needs}
}
"""Techniques by the columns that they need."""
