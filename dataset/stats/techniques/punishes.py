"""What conversions tell: openings and how they came about, kills, self-destructs, neutral wins and approaches."""

import polars as pl

from dataset.stats.techniques.conversions import DEAD
from dataset.stats.techniques.spans import Games, enters, events

ATTACKS = (44, 69)
GRABS = (212, 214)
CLOSED_UNITS, REACH_UNITS = 20.0, 40.0
"""An approach: how much of the gap a player closes in 30 frames, and the gap at which the attack comes, on x. Ours."""

ANSWER_FRAMES = 30
"""An approach won if it opens the opponent within this many frames. Ours."""


def openings(games: Games) -> pl.LazyFrame:
    """Every conversion begun (``dataset.stats.techniques.conversions``). The mean is of the damage done by its end."""
    return events(games.conversions, "opening", value=pl.col("damage"))


def conversions(games: Games) -> pl.LazyFrame:
    """Every opening; a success if it lands two hits or more (slippi-js's "successful conversion")."""
    return events(games.conversions, "conversion", success=pl.col("hits") >= 2)


def kills(games: Games) -> pl.LazyFrame:
    """Every opening; a success if its conversion takes the stock. The mean is of the percent at which it did."""
    percent = pl.when("is_kill").then("percent")
    return events(games.conversions, "kill", success=pl.col("is_kill"), value=percent)


def neutral_wins(games: Games) -> pl.LazyFrame:
    """Openings out of neutral, told to both: a success to who won it, a try to who lost it.

    An opening while the opponent's own conversion runs is a counter-attack, one on the same frame a trade (slippi-js's
    rules); both are counted by themselves.
    """
    won = _openings_by_kind(games.conversions).filter(pl.col("kind") == "neutral win")
    lost = won.with_columns(player=pl.col("victim"))
    told = (events(who, "neutral win", success=pl.lit(is_won)) for who, is_won in ((won, True), (lost, False)))
    return pl.concat(list(told))


def counter_attacks(games: Games) -> pl.LazyFrame:
    """Openings begun while the opponent's own conversion was running."""
    return events(_openings_by_kind(games.conversions).filter(pl.col("kind") == "counter-attack"), "counter-attack")


def trades(games: Games) -> pl.LazyFrame:
    """Openings that both players began on the same frame."""
    return events(_openings_by_kind(games.conversions).filter(pl.col("kind") == "trade"), "trade")


def self_destructs(games: Games) -> pl.LazyFrame:
    """Stocks lost (entering 0–10); a success where no conversion of the opponent's was running."""
    deaths = games.stays.filter(enters(*DEAD))
    ended = games.conversions.filter("is_kill").select(player="victim", start="end", is_killed=True)
    told = deaths.join(ended, on=["player", "start"], how="left", maintain_order="left")
    return events(told, "self-destruct", success=pl.col("is_killed").is_null())


def approaches(games: Games) -> pl.LazyFrame:
    """Attacks (44–69) and grabs (212–214) out of neutral, the way there one's own; a success if it opens the opponent.

    One's own: in the 30 frames before the attack the player moved at least 20 units towards where the opponent now is, and
    stands within 40 of it. Neutral: no conversion of either runs. It opens the opponent if a conversion of the player's
    starts within 30 frames.
    """
    moved = (pl.col("x") - pl.col("x_earlier")) * (pl.col("other_x") - pl.col("x_earlier")).sign()
    is_near = (pl.col("other_x") - pl.col("x")).abs() <= REACH_UNITS
    starts = enters(*ATTACKS) | enters(*GRABS)
    told = games.stays.with_columns(starts=starts, comes=(moved >= CLOSED_UNITS) & is_near).filter("starts", "comes")
    found = games.conversions
    mine = found.select("player", my_start="start", my_end="end")
    next_mine = found.select("player", next_start="start")
    told = _join_last(_join_last(told, mine, "my_start"), _theirs(found), "their_start").filter(
        ~_is_running("my"), ~_is_running("their")
    )
    told = told.join_asof(
        next_mine,
        left_on="start",
        right_on="next_start",
        by="player",
        strategy="forward",
        tolerance=ANSWER_FRAMES,
        check_sortedness=False,
    )
    return events(told, "approach", success=pl.col("next_start").is_not_null())


def _openings_by_kind(found: pl.LazyFrame) -> pl.LazyFrame:
    """Conversions with ``kind``, how each was opened."""
    kind = (
        pl.when(pl.col("their_start") == pl.col("start"))
        .then(pl.lit("trade"))
        .when(_is_running("their"))
        .then(pl.lit("counter-attack"))
        .otherwise(pl.lit("neutral win"))
    )
    return _join_last(found, _theirs(found), "their_start").with_columns(kind=kind)


def _theirs(found: pl.LazyFrame) -> pl.LazyFrame:
    """Conversions of the opponent of ``player``."""
    return found.select(player="victim", their_start="start", their_end="end")


def _join_last(told: pl.LazyFrame, found: pl.LazyFrame, start: str) -> pl.LazyFrame:
    """Beside each row the player's latest of ``found`` to have started by then; both are in order within a player."""
    return told.join_asof(
        found, left_on="start", right_on=start, by="player", strategy="backward", check_sortedness=False
    )


def _is_running(whose: str) -> pl.Expr:
    """Whether that conversion has not ended by the row's start."""
    has_ended = (pl.col(f"{whose}_end") <= pl.col("start")).fill_null(value=False)
    return pl.col(f"{whose}_start").is_not_null() & ~has_ended
