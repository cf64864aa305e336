"""Conversions: from the hit that opens an opponent to the neutral or the stock it ends in.

In: stays. Out: one row a conversion. The rules are slippi-js's ("punishes", ``stats/conversions.ts``), told over stays: a
conversion starts when the victim is hurt or held, and ends with the stock, or 45 frames after the victim is first back in
control on the ground without being hurt again. The surprise: being off stage is no control, so a long edge-guard is one.
"""

import polars as pl

from dataset.stats.techniques.spans import enters

RESET_FRAMES = 45
DEAD = (0, 10)
HURT = ((38, 38), (75, 91), (185, 185), (193, 193), (223, 232), (266, 292), (294, 304), (327, 338))
"""Tumbling, hitstun, hit while lying, grabbed and thrown, and held by a special; 293, waiting in a barrel, is none."""

CONTROL = ((14, 24), (39, 41), (45, 64), (212, 212))
"""Standing, moving, crouching, attacking or grabbing on the ground."""


def is_among(ranges: tuple[tuple[int, int], ...]) -> pl.Expr:
    """Whether a stay's action state lies in one of the ranges."""
    return pl.any_horizontal(pl.col("state").is_between(*bounds) for bounds in ranges)


def find_conversions(stays: pl.LazyFrame) -> pl.LazyFrame:
    """Every conversion: ``player`` (who hit), ``victim``, ``start``, ``end``, ``damage``, ``hits``, ``percent``, ``is_kill``.

    ``end`` is null where the game ended first; ``percent`` is the victim's on the last frame it was hurt; ``hits`` are the
    frames on which its percent rose.
    """
    rows = hurt_rows(stays).with_columns(is_opening=pl.col("closes").shift(1).over("player").fill_null(value=True))
    told = rows.with_columns(conversion=pl.col("is_opening").cum_sum())
    return (
        told.group_by("conversion", maintain_order=True)
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


def hurt_rows(stays: pl.LazyFrame) -> pl.LazyFrame:
    """One row a stay in which a player is hurt, with what follows until the next: does it close the conversion, when, how."""
    told = stays.with_columns(
        hurts=is_among(HURT).cum_sum().over("player"),
        control=pl.when(is_among(CONTROL)).then("start"),
        death=pl.when(enters(*DEAD)).then("start"),
    )
    rows = (
        told.filter(pl.col("hurts") > 0)
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
