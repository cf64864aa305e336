"""Conversions, from the hit that opens an opponent to the neutral or the stock it ends in, and the techniques they show.

The rules are slippi-js's ("punishes", ``stats/conversions.ts``), applied to spans: a conversion starts when the victim is hurt
or held, and ends with the stock, or 45 frames after the victim is first back in control on the ground without being hurt
again. Being off stage is no control, so a long edge-guard is one conversion.
"""

import polars as pl

from dataset.melee.damage import NOBODY
from dataset.stats.techniques.spans import HURT, Games, enters, events, is_among

RESET_FRAMES = 45

CONTROL = ((14, 24), (39, 41), (45, 64), (212, 212))
"""Standing, moving, crouching, attacking or grabbing on the ground."""

ATTACKS = (44, 69)
GRABS = (212, 214)
CLOSED_UNITS, REACH_UNITS = 20.0, 40.0
"""An approach: how much of the gap a player closes in 30 frames, and the gap at which the attack comes, on x. Ours."""

ANSWER_FRAMES = 30
"""An approach won if it opens the opponent within this many frames. Ours."""


def find_conversions(spans: pl.LazyFrame) -> pl.LazyFrame:
    """Every conversion: ``player`` (who hit), ``victim``, ``start``, ``end``, ``damage``, ``moves``, ``percent``, ``is_kill``.

    ``end`` is null where the game ended first; ``damage`` is what the player dealt from the first to the last frame on which
    the victim was hurt, with how many ``moves``; ``percent`` is the victim's when it died, or else on that last frame.
    """
    is_opening = pl.col("closes").shift(1).over("player").fill_null(value=True)
    return (
        _hurt_spans(spans)
        .with_columns(is_opening=is_opening)
        .group_by(pl.col("is_opening").cum_sum(), maintain_order=True)
        .agg(
            player=pl.col("player").first() ^ 1,
            victim=pl.col("player").first(),
            start=pl.col("start").first(),
            end=pl.col("closed_at").last(),
            damage=pl.col("dealt_after").last() - pl.col("dealt_before").first(),
            moves=pl.col("moves_after").last() - pl.col("moves_before").first(),
            percent=pl.when("kills").then("dies_percent").otherwise("percent_after").last(),
            is_kill=pl.col("kills").last(),
        )
        .cache()
    )


def _hurt_spans(spans: pl.LazyFrame) -> pl.LazyFrame:
    """The spans in which a player is hurt, and whether, when and how the conversion closes before the next of them."""
    rows = (
        spans.with_columns(
            hurts=is_among(HURT).cum_sum().over("player"),
            control=pl.when(is_among(CONTROL)).then("start"),
        )
        .filter(pl.col("hurts") > 0)
        .group_by("player", "hurts", maintain_order=True)
        .agg(
            pl.col("start", "percent_after", "dealt_before", "dealt_after", "moves_before", "moves_after").first(),
            pl.col("control", "dies").min(),
            pl.col("dies_percent").drop_nulls().first(),
        )
    )
    reset = pl.col("control") + RESET_FRAMES
    lapses = (pl.col("start").shift(-1).over("player") > reset).fill_null(value=False)
    kills = pl.col("dies").is_not_null() & (reset.is_null() | (pl.col("dies") <= reset))
    return rows.with_columns(
        kills=kills, closes=pl.col("dies").is_not_null() | lapses, closed_at=pl.min_horizontal("dies", reset)
    )


def openings(games: Games) -> pl.LazyFrame:
    """Every conversion begun . The mean is of the damage done by its end."""
    return events(games.conversions, "opening", value=pl.col("damage"))


def conversions(games: Games) -> pl.LazyFrame:
    """Every opening; a success if it lands two moves or more (slippi-js's "successful conversion").

    A move that hits more than once is one (``dataset.stats.techniques.spans``).
    """
    return events(games.conversions, "conversion", success=pl.col("moves") >= 2)


def kills(games: Games) -> pl.LazyFrame:
    """Every opening; a success if its conversion takes the stock. The mean is of the percent at which it died."""
    percent = pl.when("is_kill").then("percent")
    return events(games.conversions, "kill", success=pl.col("is_kill"), value=percent)


def neutral_wins(games: Games) -> pl.LazyFrame:
    """Openings out of neutral, one event for each player: a success for who won it, a try for who lost it.

    An opening while the opponent's own conversion runs is a counter-attack, one on the same frame a trade (slippi-js's
    rules); both are counted by themselves.
    """
    won = _openings_by_kind(games.conversions).filter(pl.col("kind") == "neutral win")
    lost = won.with_columns(player=pl.col("victim"))
    both = [events(who, "neutral win", success=pl.lit(is_won)) for who, is_won in ((won, True), (lost, False))]
    return pl.concat(both)


def counter_attacks(games: Games) -> pl.LazyFrame:
    """Openings begun while the opponent's own conversion was running."""
    return events(_openings_by_kind(games.conversions).filter(pl.col("kind") == "counter-attack"), "counter-attack")


def trades(games: Games) -> pl.LazyFrame:
    """Openings that both players began on the same frame."""
    return events(_openings_by_kind(games.conversions).filter(pl.col("kind") == "trade"), "trade")


def self_destructs(games: Games) -> pl.LazyFrame:
    """Stocks lost; a success where the game credits nobody: no hit on the player counts any more when it dies.

    The columns ``sds_a`` and ``sds_b`` of the table of replays follow the same rule (``dataset.store.quality``).
    """
    deaths = games.spans.filter(pl.col("dies").is_not_null()).with_columns(start="dies")
    return events(deaths, "self-destruct", success=pl.col("dies_hit_by") == NOBODY)


def approaches(games: Games) -> pl.LazyFrame:
    """Attacks (44–69) and grabs (212–214) out of neutral to which the player came; a success if it opens the opponent.

    The player came if in the 30 frames before the attack it moved at least 20 units towards where the opponent now is, and
    stands within 40 of it. Neutral means that no conversion of either runs. The attack opens the opponent if a conversion of
    the player's starts within 30 frames.
    """
    moved = (pl.col("x") - pl.col("x_earlier")) * (pl.col("other_x") - pl.col("x_earlier")).sign()
    is_near = (pl.col("other_x") - pl.col("x")).abs() <= REACH_UNITS
    starts = enters(*ATTACKS) | enters(*GRABS)
    attacks = games.spans.with_columns(starts=starts, comes=(moved >= CLOSED_UNITS) & is_near).filter("starts", "comes")
    found = games.conversions
    attacks = _join_last(attacks, found.select("player", my_start="start", my_end="end"), "my_start")
    attacks = _join_last(attacks, _theirs(found), "their_start").filter(~_is_running("my"), ~_is_running("their"))
    answered = attacks.join_asof(
        found.select("player", next_start="start"),
        left_on="start",
        right_on="next_start",
        by="player",
        strategy="forward",
        tolerance=ANSWER_FRAMES,
        check_sortedness=False,
    )
    return events(answered, "approach", success=pl.col("next_start").is_not_null())


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


def _join_last(rows: pl.LazyFrame, found: pl.LazyFrame, start: str) -> pl.LazyFrame:
    """Join to each row the player's latest of ``found`` to have started by then; both are in order within a player."""
    return rows.join_asof(
        found, left_on="start", right_on=start, by="player", strategy="backward", check_sortedness=False
    )


def _is_running(whose: str) -> pl.Expr:
    """Whether that conversion has not ended by the row's start."""
    has_ended = (pl.col(f"{whose}_end") <= pl.col("start")).fill_null(value=False)
    return pl.col(f"{whose}_start").is_not_null() & ~has_ended
