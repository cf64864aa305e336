"""Spans: a player's unbroken time in one action state, from which techniques are found.

The frame table becomes one row per span of either player, a tenth as many rows, each player's of a game together and in
order. Techniques are expressions over neighbouring spans; ``earlier`` and ``later`` never look past the game. Only a change of
action state ends a span, so a second hit in the same hurt state lengthens it.
"""

from typing import NamedTuple

import polars as pl

from dataset.melee.damage import is_dealt
from dataset.schema import SIDES

APPROACH_FRAMES = 30
"""How far back ``x_earlier`` lies, in frames."""

HURT = ((38, 38), (75, 91), (185, 185), (193, 193), (223, 232), (266, 292), (294, 304), (327, 338))
"""Tumbling, hitstun, hit while lying, grabbed and thrown, and held by a special; 293, waiting in a barrel, is none."""

_STATE = (
    *("character", "action_state", "action_frame", "x", "y", "percent", "stocks"),
    *("hitlag", "last_hit_by", "l_cancel"),
)

FRAME_COLUMNS = ("replay", "frame", *(f"{side}_{name}" for side in SIDES for name in _STATE))
"""Columns of the frame table that spans are made of. ``action_frame``, ``hitlag`` and ``l_cancel`` may be null."""


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
    the span and on its last), ``dealt_before`` and ``dealt_after`` (percent dealt to the player by then, from some
    start), ``moves_before`` and ``moves_after`` (with how many moves, see ``_side_totals``), ``dies`` (the frame on which a
    stock is lost; null where none is), ``dies_percent`` and ``dies_hit_by`` (``percent`` and ``last_hit_by`` on the frame
    before that), ``l_cancel`` on the first frame, ``x``, ``y`` and ``other_x`` on it, ``y_before`` on the frame before it, and
    ``x_earlier``, 30 frames before it (null that early in a game).
    """
    marks = _marks(frames).collect(engine="streaming")
    marks = marks.with_columns(
        (~pl.col("same")).cum_sum().cast(pl.Int64).alias("game"),
        *(expr for side in SIDES for expr in _side_damage(side)),
    )
    marks = marks.with_columns(expr for side, other in (SIDES, SIDES[::-1]) for expr in _side_totals(side, other))
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


def is_among(ranges: tuple[tuple[int, int], ...], state: str = "state") -> pl.Expr:
    """Whether an action state lies in one of the ranges, ends included."""
    return pl.any_horizontal(pl.col(state).is_between(*bounds) for bounds in ranges)


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
    """Frames on which a span of either side starts, percent rises, a stock is lost or the game ends: all that spans need."""
    same = pl.col("replay") == pl.col("replay").shift(1)
    is_last = (pl.col("replay") != pl.col("replay").shift(-1)).fill_null(value=True)
    wanted = [f"{side}_{name}" for side in SIDES for name in ("starts", "rises", "is_death")]
    return (
        frames.select(FRAME_COLUMNS)
        .with_columns(same=same.fill_null(value=False), is_last=is_last)
        .with_columns(expr for side in SIDES for expr in _side_marks(side))
        .filter(pl.any_horizontal(*wanted, "is_last"))
    )


def _side_marks(side: str) -> list[pl.Expr]:
    names = ("action_state", "action_frame", "x", "percent", "stocks")
    state, age, x, percent, stocks = (pl.col(f"{side}_{name}") for name in names)
    was_there = pl.col("frame").shift(APPROACH_FRAMES) == pl.col("frame") - APPROACH_FRAMES
    starts = ~pl.col("same") | (state != state.shift(1))
    is_begun = starts | (age < age.shift(1)).fill_null(value=False)
    return [
        starts.alias(f"{side}_starts"),
        is_begun.cum_sum().alias(f"{side}_begun"),
        *(pl.col(f"{side}_{name}").shift(1).alias(f"{side}_{name}_before") for name in _BEFORE),
        (pl.col("same") & (percent > percent.shift(1))).fill_null(value=False).alias(f"{side}_rises"),
        (pl.col("same") & (stocks < stocks.shift(1))).fill_null(value=False).alias(f"{side}_is_death"),
        pl.when(was_there).then(x.shift(APPROACH_FRAMES)).alias(f"{side}_x_earlier"),
    ]


_BEFORE = ("percent", "y", "last_hit_by")


def _side_damage(side: str) -> list[pl.Expr]:
    """What the opponent has dealt to a side on a frame, and whether that hit it."""
    names = ("character", "action_state", "x", "y", "percent", "percent_before", "hitlag")
    character, state, x, y, percent, before, hitlag = (pl.col(f"{side}_{name}") for name in names)
    rise = pl.when(f"{side}_rises").then(percent - before).otherwise(0.0)
    is_dealt_to = (
        is_dealt(rise, character, state, x, y, hitlag.fill_null(0.0)).fill_null(value=False) & rise.is_finite()
    )
    return [
        pl.when(is_dealt_to).then(rise).otherwise(0.0).cast(pl.Float64).alias(f"{side}_dealt"),
        (is_dealt_to & is_among(HURT, f"{side}_action_state")).alias(f"{side}_is_hit"),
    ]


def _side_totals(side: str, other: str) -> list[pl.Expr]:
    """How much damage has been dealt to a side so far, and with how many moves.

    A hit is of the same move as the one before if the opponent has stayed in one action since the frame before that one, so
    a drill is one move and two jabs are two (slippi-js's rule, ``stats/conversions.ts``).
    """
    is_hit, begun = pl.col(f"{side}_is_hit"), pl.col(f"{other}_begun")
    lasting = pl.when(is_hit).then(pl.when(f"{other}_starts").then(-1).otherwise(begun.cast(pl.Int64)))
    is_same = (lasting.forward_fill().shift(1) == begun).fill_null(value=False)
    return [
        pl.col(f"{side}_dealt").cum_sum().alias(f"{side}_dealt_sum"),
        (is_hit & ~is_same).cum_sum().alias(f"{side}_moves"),
    ]


def _side_spans(marks: pl.DataFrame, side: str, number: int) -> pl.DataFrame:
    own = {name: f"{side}_{name}" for name in ("character", "l_cancel", "x", "y", "y_before", "x_earlier")}
    totals = {name: pl.col(f"{side}_{column}") for name, column in _TOTALS.items()}
    deaths = {
        "dies": pl.col("frame"),
        "dies_percent": pl.col(f"{side}_percent_before"),
        "dies_hit_by": pl.col(f"{side}_last_hit_by_before"),
    }
    next_deaths = {
        name: pl.when(f"{side}_is_death").then(value).backward_fill().over("game") for name, value in deaths.items()
    }
    ends = marks.lazy().filter("is_last").select("game", last="frame", **{f"last_{n}": v for n, v in totals.items()})
    starts = (
        marks.lazy()
        .with_columns(moves_before=totals["moves"].shift(1).fill_null(0), **next_deaths)
        .filter(f"{side}_starts")
        .select(
            "game",
            "replay",
            "moves_before",
            *deaths,
            player=2 * pl.col("game") + number,
            side=pl.lit(side),
            state=f"{side}_action_state",
            start="frame",
            percent_before=pl.when("same").then(f"{side}_percent_before").otherwise(0.0),
            dealt_before=totals["dealt"] - pl.col(f"{side}_dealt"),
            other_x=f"{SIDES[1 - number]}_x",
            **own,
        )
    )
    after = {f"{name}_after": later(f"{name}_before").fill_null(pl.col(f"last_{name}")) for name in totals}
    return (
        starts.join(ends, on="game", maintain_order="left")
        .with_columns(end=(later("start") - 1).fill_null(pl.col("last")), **after)
        .with_columns(pl.when(pl.col("dies") <= pl.col("end")).then(name).alias(name) for name in deaths)
        .drop("game", "last", *(f"last_{name}" for name in totals))
        .collect()
    )


_TOTALS = {"percent": "percent", "dealt": "dealt_sum", "moves": "moves"}
