"""Wavedashes, wavelands, dash-dances and ledgedashes."""

import polars as pl

from dataset.stats.techniques.spans import Games, earlier, events, later

TURN, DASH, KNEE_BEND, SPECIAL_LANDING, AIR_DODGE = 18, 20, 24, 43, 236
JUMPS_AND_FALLS = (24, 34)
"""Knee bend, jumps, double jumps and falls in which a player has control; helpless fall (35) is not among them."""

RECENT_FRAMES = 8
"""slippi-js looks this many frames back, the landing's own included, for the knee bend of a wavedash."""

LEDGE = (252, 253)
"""Catching the ledge, hanging from it."""

LEDGEDASH_FRAMES = 40
"""Longest from letting go of the ledge to landing; the ledge's intangibility is over before (30 frames). Ours."""


def wavedashes(games: Games) -> pl.LazyFrame:
    """Special landings (43) out of an air dodge (236) begun by a knee bend (24) at most 7 frames before.

    The dodge may not show: it can land on its first frame, so 43 right out of a jump or fall (24–34) counts too
    (slippi-js's rule). An air dodge in the air that lands later is none.
    """
    return events(_dodge_landings(games.stays).filter(_is_from_knee_bend()), "wavedash")


def wavelands(games: Games) -> pl.LazyFrame:
    """Special landings (43) as a wavedash's, without the knee bend, out of an air dodge (236) of at most 6 frames.

    A longer dodge (slippi-js's bound) is one that happened to land.
    """
    is_short = pl.col("dodge_frames") < RECENT_FRAMES - 1
    return events(_dodge_landings(games.stays).filter(~_is_from_knee_bend(), is_short), "waveland")


def dash_dances(games: Games) -> pl.LazyFrame:
    """Dashes (20) out of a turn (18) of one frame out of a dash (20): every change of direction counts (slippi-js's rule)."""
    is_turned = (earlier("state") == TURN) & (pl.col("start") - earlier("start") == 1)
    return events(games.stays.filter(pl.col("state") == DASH, is_turned, earlier("state", 2) == DASH), "dash-dance")


def ledgedashes(games: Games) -> pl.LazyFrame:
    """Times the ledge (252, 253) was let go; a success if an air dodge lands within 40 frames.

    Between the ledge and the special landing (43) nothing may lie but jumps and falls (24–34) and an air dodge (236). Being
    hit off the ledge, or leaving it by a getup, attack, roll or ledge jump (254–263), is no try. The mean is of the frames
    from letting go to landing.
    """
    is_flight = pl.col("state").is_between(*JUMPS_AND_FALLS) | (pl.col("state") == AIR_DODGE)
    told = games.stays.with_columns(
        lets_go=(pl.col("state").is_between(*LEDGE) & later("state").is_between(*JUMPS_AND_FALLS)).fill_null(
            value=False
        ),
        **{f"{name}_then": _next_where(~is_flight, name) for name in ("state", "start")},
    )
    frames = pl.col("start_then") - pl.col("end") - 1
    is_dash = (pl.col("state_then") == SPECIAL_LANDING) & (frames <= LEDGEDASH_FRAMES)
    tries = told.filter("lets_go").with_columns(is_dash=is_dash.fill_null(value=False))
    return events(tries, "ledgedash", success=pl.col("is_dash"), value=pl.when("is_dash").then(frames))


def _next_where(condition: pl.Expr, name: str) -> pl.Expr:
    """A column of the player's next stay that meets a condition."""
    return pl.when(condition).then(name).backward_fill().shift(-1).over("player")


def _dodge_landings(stays: pl.LazyFrame) -> pl.LazyFrame:
    """Special landings out of an air dodge or, the dodge unseen, a controlled jump or fall.

    ``knee_bend`` is the last frame of the player's latest knee bend, ``dodge_frames`` how long the dodge shows.
    """
    is_dodge, is_flight = earlier("state") == AIR_DODGE, earlier("state").is_between(*JUMPS_AND_FALLS)
    told = stays.with_columns(
        knee_bend=pl.when(pl.col("state") == KNEE_BEND).then("end").forward_fill().over("player"),
        dodge_frames=pl.when(is_dodge).then(pl.col("start") - earlier("start")).otherwise(0),
    )
    return told.filter(pl.col("state") == SPECIAL_LANDING, is_dodge | is_flight)


def _is_from_knee_bend() -> pl.Expr:
    return (pl.col("start") - pl.col("knee_bend") < RECENT_FRAMES).fill_null(value=False)
