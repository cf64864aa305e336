"""Spans: a player's unbroken time in one action state, from which techniques are found.

The frame table becomes one row per span of either player, a tenth as many rows, each player's of a game together and in
order. Techniques are expressions over neighbouring spans; ``earlier`` and ``later`` never look past the game. Only a change of
action state ends a span, so a second hit in the same hurt state lengthens it.
"""

from typing import NamedTuple

import polars as pl

from dataset.schema import SIDES

APPROACH_FRAMES = 30
"""How far back ``x_earlier`` lies, in frames."""

_STATE = ("character", "action_state", "x", "percent", "l_cancel")

FRAME_COLUMNS = ("replay", "frame", *(f"{side}_{name}" for side in SIDES for name in _STATE))
"""Columns of the frame table that spans are made of."""


class Games(NamedTuple):
    """What techniques are found in; both tables lie in memory."""

    spans: pl.LazyFrame
    """See ``find_spans``."""
    conversions: pl.LazyFrame
    """See ``dataset.stats.techniques.conversions.find_conversions``."""


def find_spans(frames: pl.LazyFrame) -> pl.DataFrame:
    """Spans of both players of every replay in ``frames`` (whole replays, in order).

    Columns: ``player`` (2 × the replay's number here, + 1 for side b), ``replay``, ``side``, ``character`` (internal id),
    ``state``, ``start`` and ``end`` (first and last frame), ``percent_before`` and ``percent_after`` (on the frame before
    the span and on its last), ``hits_before`` (percent rises so far, this span's excluded) and ``hits_after``, ``l_cancel``
    on the first frame, ``x`` and ``other_x`` on it, and ``x_earlier``, 30 frames before it (null that early in a game).
    """
    marks = _marks(frames).collect(engine="streaming")
    marks = marks.with_columns(game=(~pl.col("same")).cum_sum().cast(pl.Int64))
    return pl.concat([_side_spans(marks, side, number) for number, side in enumerate(SIDES)])


def earlier(name: str, count: int = 1) -> pl.Expr:
    """A column of the span ``count`` spans before, null at the start of a game."""
    return pl.when(pl.col("player").shift(count) == pl.col("player")).then(pl.col(name).shift(count))


def later(name: str, count: int = 1) -> pl.Expr:
    """A column of the span ``count`` spans after, null at the end of a game."""
    return earlier(name, -count)


def enters(first: int, last: int) -> pl.Expr:
    """Whether a span is in the action states ``first`` to ``last`` and the one before it is not."""
    before = earlier("state").is_between(first, last).fill_null(value=False)
    return pl.col("state").is_between(first, last) & ~before


def length() -> pl.Expr:
    """Frames of a span."""
    return pl.col("end") - pl.col("start") + 1


def events(
    spans: pl.LazyFrame, technique: str, success: pl.Expr | None = None, value: pl.Expr | None = None
) -> pl.LazyFrame:
    """One row per span as every technique's function returns them: ``player, frame, technique, success, value``.

    ``success`` is null where a technique is only counted; ``value`` is what its mean is taken of, null where there is none.
    """
    return spans.select(
        "player",
        frame="start",
        technique=pl.lit(technique),
        success=pl.lit(None, pl.Boolean) if success is None else success,
        value=pl.lit(None, pl.Float64) if value is None else value.cast(pl.Float64),
    )


def _marks(frames: pl.LazyFrame) -> pl.LazyFrame:
    """Frames on which a span of either side starts or the game ends; all that the spans need lies on them."""
    same = pl.col("replay") == pl.col("replay").shift(1)
    is_last = (pl.col("replay") != pl.col("replay").shift(-1)).fill_null(value=True)
    return (
        frames.select(FRAME_COLUMNS)
        .with_columns(same=same.fill_null(value=False), is_last=is_last)
        .with_columns(expr for side in SIDES for expr in _side_marks(side))
        .filter(pl.col("a_starts") | pl.col("b_starts") | pl.col("is_last"))
    )


def _side_marks(side: str) -> list[pl.Expr]:
    state, percent, x = (pl.col(f"{side}_{name}") for name in ("action_state", "percent", "x"))
    was_there = pl.col("frame").shift(APPROACH_FRAMES) == pl.col("frame") - APPROACH_FRAMES
    rises = (pl.col("same") & (percent > percent.shift(1))).fill_null(value=False)
    return [
        (~pl.col("same") | (state != state.shift(1))).alias(f"{side}_starts"),
        percent.shift(1).alias(f"{side}_percent_before"),
        rises.cum_sum().alias(f"{side}_hits"),
        rises.alias(f"{side}_rises"),
        pl.when(was_there).then(x.shift(APPROACH_FRAMES)).alias(f"{side}_x_earlier"),
    ]


def _side_spans(marks: pl.DataFrame, side: str, number: int) -> pl.DataFrame:
    own = {name: f"{side}_{name}" for name in ("character", "l_cancel", "x", "x_earlier")}
    percent, hits = pl.col(f"{side}_percent"), pl.col(f"{side}_hits")
    ends = marks.lazy().filter("is_last").select("game", last="frame", last_percent=percent, last_hits=hits)
    starts = (
        marks.lazy()
        .filter(f"{side}_starts")
        .select(
            "game",
            "replay",
            player=2 * pl.col("game") + number,
            side=pl.lit(side),
            state=f"{side}_action_state",
            start="frame",
            percent_before=pl.when("same").then(f"{side}_percent_before").otherwise(0.0),
            hits_before=hits - pl.col(f"{side}_rises"),
            other_x=f"{SIDES[1 - number]}_x",
            **own,
        )
    )
    return (
        starts.join(ends, on="game", maintain_order="left")
        .with_columns(
            end=(later("start") - 1).fill_null(pl.col("last")),
            percent_after=later("percent_before").fill_null(pl.col("last_percent")),
            hits_after=later("hits_before").fill_null(pl.col("last_hits")),
        )
        .drop("game", "last", "last_percent", "last_hits")
        .collect()
    )
