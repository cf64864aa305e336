"""The table of techniques: how often and how well each character or player of a store does what the finders find.

A finder takes spans and conversions and returns events (``dataset.stats.techniques.spans.events``). Finders run over a few
million frames at a time, so memory does not grow with the store. A technique's ``count`` is of its successes, ``tries`` of all
its events.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import polars as pl

from dataset.melee.ids import Character
from dataset.schema import FIRST_CONTROLLED_FRAME, FIRST_FRAME, FRAMES_PER_MINUTE, SIDES
from dataset.stats.techniques import conversions, movement
from dataset.stats.techniques.about import ABOUT
from dataset.stats.techniques.conversions import find_conversions
from dataset.stats.techniques.found import SUMS
from dataset.stats.techniques.in_frames import TIMED, find_in_frames
from dataset.stats.techniques.sides import COLUMNS
from dataset.stats.techniques.spans import FRAME_COLUMNS, Games, earlier, find_spans
from dataset.store.store import Store

BATCH_FRAMES = 1_000_000
"""Frames taken at a time, rounded up to a whole frame shard."""


Finder = Callable[[Games], pl.LazyFrame]

ALONE: dict[str, Finder] = {
    "l-cancel": movement.l_cancels,
    "tech in place": movement.techs_in_place,
    "tech roll": movement.tech_rolls,
    "missed tech": movement.missed_techs,
    "wavedash": movement.wavedashes,
    "waveland": movement.wavelands,
    "dash-dance": movement.dash_dances,
    "ledgedash": movement.ledgedashes,
    "djc aerial": movement.double_jump_cancels,
    "teleport": movement.teleports,
    "teleport ledge cancel": movement.teleport_ledge_cancels,
    "shadow ball": movement.shadow_balls,
}
"""What one player does whatever the other does."""

TECHNIQUES = ALONE | {
    "approach": conversions.approaches,
    "neutral win": conversions.neutral_wins,
    "counter-attack": conversions.counter_attacks,
    "trade": conversions.trades,
    "opening": conversions.openings,
    "conversion": conversions.conversions,
    "kill": conversions.kills,
    "self-destruct": conversions.self_destructs,
}
"""Every finder by the technique it finds, in the order in which people read them."""

NAMES = tuple(ABOUT)
"""Every technique, those found in spans (``TECHNIQUES``) and those found in frames, in the order in which people read them."""

MEANS = {name: about.value for name, about in ABOUT.items() if about.value} | {"openings per kill": "openings"}
"""What the column ``mean`` is of, where there is one."""


class Findings(NamedTuple):
    """What was found in some whole games."""

    events: pl.LazyFrame
    """``replay, side, frame, technique, success, value``: one row per event."""
    counts: pl.DataFrame
    """``replay, side, technique`` and ``SUMS``: the sums of events, and what is no event but summed over frames."""
    untold: pl.DataFrame
    """``replay, side, technique``: what a game does not record."""


def technique_table(
    store: Store, character: Character | None = None, *, by_player: bool = False, port: int | None = None
) -> pl.LazyFrame:
    """Techniques of every character (or of one), on every port (or on one), and of every player by hash if asked.

    Who plays most comes first.

    Columns: ``character`` (internal id as picked), ``player``, ``technique``, ``count`` (successes, or all where a technique
    is only counted), ``tries``, ``share`` of tries that succeed, ``per_minute`` of play (``played_minutes``), ``mean`` and
    ``mean_of``.
    """
    by = ["character", "player"] if by_player else ["character"]
    players = _players(store, character, port)
    counts = pl.concat([_count(frames, players, by) for frames in _batches(store)], how="diagonal").lazy()
    sums = counts.group_by(*by, "technique").agg(pl.col(*SUMS, "untold").sum()).filter(pl.col("tries") > 0)
    minutes = players.lazy().group_by(by).agg(minutes=played_minutes(pl.col("frames")))
    whole = sums.select(*by, of="technique", whole="count")
    told = pl.col("minutes") - pl.col("untold")
    rows = (
        sums.join(minutes, on=by, nulls_equal=True)
        .with_columns(of=_about("of"), is_rate=_about("is_rate"))
        .join(whole, on=[*by, "of"], how="left", nulls_equal=True)
        .select(
            *by,
            "technique",
            "count",
            "tries",
            "minutes",
            share=pl.when(pl.col("rated") > 0)
            .then(pl.col("count") / pl.col("rated"))
            .otherwise(pl.col("count") / pl.col("whole")),
            per_minute=pl.when("is_rate").then(pl.col("count") / told),
            mean=pl.when(pl.col("valued") > 0).then(pl.col("value") / pl.col("valued")),
        )
    )
    rows = pl.concat([rows, _openings_per_kill(rows)], how="diagonal_relaxed")
    order = pl.col("technique").replace_strict({name: number for number, name in enumerate(_NAMES)})
    return (
        rows.sort(pl.col("minutes"), *by, order, descending=[True, *[False] * len(by), False])
        .with_columns(mean_of=pl.col("technique").replace_strict(MEANS, default=None, return_dtype=pl.String))
        .drop("minutes")
    )


def played_minutes(frames: pl.Expr) -> pl.Expr:
    """Minutes of games of so many frames each, from the first on which the game reads controllers."""
    return (frames - (FIRST_CONTROLLED_FRAME - FIRST_FRAME)).clip(0).sum() / FRAMES_PER_MINUTE


def find_games(frames: pl.LazyFrame) -> Games:
    """What the finders look at; ``frames`` are whole replays."""
    spans = find_spans(frames).lazy()
    return Games(spans, find_conversions(spans).collect().lazy())


def find_events(frames: pl.LazyFrame, techniques: Iterable[str] = NAMES) -> pl.DataFrame:
    """Every event of some techniques in whole replays: ``replay, side, frame, technique, success, value``."""
    return find(frames, techniques).events.collect()


def find(frames: pl.LazyFrame, techniques: Iterable[str] = NAMES) -> Findings:
    """Everything about some techniques in whole replays.

    Args:
        frames: their rows, in order. Columns that are missing make unknown what needs them (``About.needs``); those of
            ``FRAME_COLUMNS`` must be there. For techniques of ``TECHNIQUES`` alone no others are read.
        techniques: their names.
    """
    wanted = set(techniques)
    needs_frames = not wanted <= set(TECHNIQUES)
    if needs_frames:
        there = frames.collect_schema().names()
        read = [name for name in dict.fromkeys((*FRAME_COLUMNS, *COLUMNS)) if name in there]
        frames = frames.select(read).collect().lazy()
    games = find_games(frames)
    in_spans = [name for name in TECHNIQUES if name in wanted or (needs_frames and name in TIMED)]
    found = pl.concat([TECHNIQUES[name](games) for name in in_spans]).collect()
    who = games.spans.filter(earlier("start").is_null()).select("player", "replay", "side").collect()
    sums, untold = pl.DataFrame(schema=_SUMS_SCHEMA), pl.DataFrame(schema={"player": pl.Int64, "technique": pl.String})
    rows = frames.collect() if needs_frames else pl.DataFrame()
    if not rows.is_empty():
        more, sums, untold = find_in_frames(rows, found, games.conversions.collect())
        found = pl.concat([found, more])
    if wanted != set(NAMES):
        found, sums, untold = (table.filter(pl.col("technique").is_in(wanted)) for table in (found, sums, untold))
    if not untold.is_empty():
        found, sums = (table.join(untold, on=["player", "technique"], how="anti") for table in (found, sums))
    counts = pl.concat([_count_events(found), sums], how="diagonal_relaxed")
    events, counts_by_name, named_untold = (_with_names(table.lazy(), who) for table in (found, counts, untold))
    return Findings(events, counts_by_name.collect(), named_untold.collect())


def _with_names(table: pl.LazyFrame, who: pl.DataFrame) -> pl.LazyFrame:
    return table.join(who.lazy(), on="player", maintain_order="left").drop("player")


def _count_events(found: pl.DataFrame) -> pl.DataFrame:
    """``SUMS`` of events by player and technique."""
    success, value = pl.col("success"), pl.col("value")
    return found.group_by("player", "technique").agg(
        count=success.fill_null(value=True).sum(),
        tries=pl.len(),
        rated=success.count(),
        value=value.sum(),
        valued=value.count(),
    )


_SUMS_SCHEMA = {"player": pl.Int64, "technique": pl.String} | dict.fromkeys(SUMS, pl.Int64) | {"value": pl.Float64}

_NAMES = [name for known in NAMES for name in ((known, "openings per kill") if known == "kill" else (known,))]


def _openings_per_kill(rows: pl.LazyFrame) -> pl.LazyFrame:
    """A row beside every row of kills: how many openings a stock took."""
    kills = rows.filter(pl.col("technique") == "kill", pl.col("count") > 0)
    mean = pl.col("tries") / pl.col("count")
    return kills.with_columns(
        technique=pl.lit("openings per kill"),
        mean=mean,
        share=pl.lit(None, pl.Float64),
        per_minute=pl.lit(None, pl.Float64),
    )


def _count(frames: pl.LazyFrame, players: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Sums over what a batch holds, and the minutes of ``untold`` games, that more batches may be added to."""
    found = find(frames)
    counts, untold = (rows.lazy().join(players.lazy(), on=["replay", "side"]) for rows in (found.counts, found.untold))
    sums = counts.group_by(*by, "technique").agg(pl.col(*SUMS).sum())
    missing = untold.group_by(*by, "technique").agg(untold=played_minutes(pl.col("frames")))
    return pl.concat([sums, missing], how="diagonal_relaxed").collect()


def _about(field: str) -> pl.Expr:
    """A field of ``ABOUT`` for each row's technique."""
    known = {name: getattr(about, field) for name, about in ABOUT.items()}
    return pl.col("technique").replace_strict(known)


def _batches(store: Store) -> Iterator[pl.LazyFrame]:
    """The frame table in runs of whole frame shards, which never cut a replay."""
    frames = store.frames()
    start = count = 0
    for shard in store.manifest.of_kind("frames"):
        count += shard.frames
        if count >= BATCH_FRAMES:
            yield frames.slice(start, count)
            start, count = start + count, 0
    if count:
        yield frames.slice(start, count)


def _players(store: Store, character: Character | None, port: int | None) -> pl.DataFrame:
    """One row per player of every ingested game: ``replay, side, character, player, frames``."""
    replays = store.replays().filter(pl.col("status") == "ok")
    sides = [
        replays.select(
            "frames",
            replay="id",
            side=pl.lit(side),
            character=f"character_{side}",
            port=f"port_{side}",
            player=pl.coalesce(f"code_hash_{side}", f"name_hash_{side}"),
        )
        for side in SIDES
    ]
    wanted = {"character": None if character is None else character.internal, "port": port}
    asked = [pl.col(name) == value for name, value in wanted.items() if value is not None]
    return pl.concat(sides).filter(*asked).drop("port").collect()
