"""Conversions, from the hit that opens an opponent to the neutral or the stock it ends in, and the techniques they show.

The rules are slippi-js's ("punishes", ``stats/conversions.ts``), applied to spans: a conversion starts when the victim is hurt
or held, and ends with the stock, or 45 frames after the victim is first back in control on the ground without being hurt
again. Being off stage is no control, so a long edge-guard is one conversion.
"""

import polars as pl

from dataset.stats.techniques.spans import Games, enters, events

RESET_FRAMES = 45
DEAD = (0, 10)
HURT = ((38, 38), (75, 91), (185, 185), (193, 193), (223, 232), (266, 292), (294, 304), (327, 338))
"""Tumbling, hitstun, hit while lying, grabbed and thrown, and held by a special; 293, waiting in a barrel, is none."""

CONTROL = ((14, 24), (39, 41), (45, 64), (212, 212))
"""Standing, moving, crouching, attacking or grabbing on the ground."""

ATTACKS = (44, 69)
GRABS = (212, 214)
CLOSED_UNITS, REACH_UNITS = 20.0, 40.0
"""An approach: how much of the gap a player closes in 30 frames, and the gap at which the attack comes, on x. Ours."""

ANSWER_FRAMES = 30
"""An approach won if it opens the opponent within this many frames. Ours."""


def _is_among(ranges: tuple[tuple[int, int], ...]) -> pl.Expr:
    """Whether a span's action state lies in one of the ranges."""
    return pl.any_horizontal(pl.col("state").is_between(*bounds) for bounds in ranges)


def find_conversions(spans: pl.LazyFrame) -> pl.LazyFrame:
    """Every conversion: ``player`` (who hit), ``victim``, ``start``, ``end``, ``damage``, ``hits``, ``percent``, ``is_kill``.

    ``end`` is null where the game ended first; ``percent`` is the victim's on the last frame it was hurt; ``hits`` are the
    frames on which its percent rose.
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
            damage=pl.col("percent_after").last() - pl.col("percent_before").first(),
            hits=pl.col("hits_after").last() - pl.col("hits_before").first(),
            percent=pl.col("percent_after").last(),
            is_kill=pl.col("kills").last(),
        )
        .cache()
    )


def _hurt_spans(spans: pl.LazyFrame) -> pl.LazyFrame:
    """The spans in which a player is hurt, and whether, when and how the conversion closes before the next of them."""
    rows = (
        spans.with_columns(
            hurts=_is_among(HURT).cum_sum().over("player"),
            control=pl.when(_is_among(CONTROL)).then("start"),
            death=pl.when(enters(*DEAD)).then("start"),
        )
        .filter(pl.col("hurts") > 0)
        .group_by("player", "hurts", maintain_order=True)
        .agg(
            pl.col("start", "percent_before", "percent_after", "hits_before", "hits_after").first(),
            pl.col("control", "death").min(),
        )
    )
    reset = pl.col("control") + RESET_FRAMES
    lapses = (pl.col("start").shift(-1).over("player") > reset).fill_null(value=False)
    kills = pl.col("death").is_not_null() & (reset.is_null() | (pl.col("death") <= reset))
    return rows.with_columns(
        kills=kills, closes=pl.col("death").is_not_null() | lapses, closed_at=pl.min_horizontal("death", reset)
    )


def openings(games: Games) -> pl.LazyFrame:
    """Every conversion begun . The mean is of the damage done by its end."""
    return events(games.conversions, "opening", value=pl.col("damage"))


def conversions(games: Games) -> pl.LazyFrame:
    """Every opening; a success if it lands two hits or more (slippi-js's "successful conversion")."""
    return events(games.conversions, "conversion", success=pl.col("hits") >= 2)


def kills(games: Games) -> pl.LazyFrame:
    """Every opening; a success if its conversion takes the stock. The mean is of the percent at which it did."""
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
    """Stocks lost (entering 0–10); a success where no conversion of the opponent's was running."""
    deaths = games.spans.filter(enters(*DEAD))
    ended = games.conversions.filter("is_kill").select(player="victim", start="end", is_killed=True)
    with_killer = deaths.join(ended, on=["player", "start"], how="left", maintain_order="left")
    return events(with_killer, "self-destruct", success=pl.col("is_killed").is_null())


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
