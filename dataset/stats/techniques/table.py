"""The table of techniques: how often and how well each character or player of a store does what the finders find.

A finder takes spans and conversions and returns events (``dataset.stats.techniques.spans.events``). Finders run over a few
million frames at a time, so memory does not grow with the store. A technique's ``count`` is of its successes, ``tries`` of all
its events.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import polars as pl

from dataset.melee.ids import Character
from dataset.schema import FIRST_CONTROLLED_FRAME, FIRST_FRAME, FRAMES_PER_MINUTE, SIDES
from dataset.stats.techniques import conversions, movement
from dataset.stats.techniques.conversions import find_conversions
from dataset.stats.techniques.spans import Games, earlier, find_spans
from dataset.store.store import Store

BATCH_FRAMES = 2_000_000
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

MEANS = {
    "ledgedash": "frames to land",
    "shadow ball": "frames charged",
    "opening": "damage",
    "kill": "percent",
    "openings per kill": "openings",
}
"""What the column ``mean`` is of, where there is one."""


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
    counts = pl.concat([_count(frames, players, by) for frames in _batches(store)]).lazy()
    sums = counts.group_by(*by, "technique").agg(pl.col("count", "tries", "rated", "value", "valued").sum())
    minutes = players.lazy().group_by(by).agg(minutes=played_minutes(pl.col("frames")))
    rows = sums.join(minutes, on=by, nulls_equal=True).select(
        *by,
        "technique",
        "count",
        "tries",
        "minutes",
        share=pl.when(pl.col("rated") > 0).then(pl.col("count") / pl.col("rated")),
        per_minute=pl.col("count") / pl.col("minutes"),
        mean=pl.when(pl.col("valued") > 0).then(pl.col("value") / pl.col("valued")),
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


def find_events(frames: pl.LazyFrame, techniques: Iterable[str] = tuple(TECHNIQUES)) -> pl.DataFrame:
    """Every event of some techniques in whole replays: ``replay, side, frame, technique, success, value``."""
    games = find_games(frames)
    who = games.spans.filter(earlier("start").is_null()).select("player", "replay", "side")
    found = pl.concat([TECHNIQUES[name](games) for name in techniques])
    return found.join(who, on="player").drop("player").collect()


def count_events(found: pl.LazyFrame, by: Sequence[str]) -> pl.LazyFrame:
    """Sums over events (``find_events``) by these columns and technique.

    Columns beside them: ``count`` (successes, or all where a technique is only counted), ``tries``, ``rated`` (tries that may
    fail), ``value`` and ``valued`` (the sum that a mean is of, and of how many).
    """
    success, value = pl.col("success"), pl.col("value")
    return found.group_by(*by, "technique").agg(
        count=success.fill_null(value=True).sum(),
        tries=pl.len(),
        rated=success.count(),
        value=value.sum(),
        valued=value.count(),
    )


_NAMES = [name for known in TECHNIQUES for name in ((known, "openings per kill") if known == "kill" else (known,))]


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
    """Sums over the events of a batch that more batches may be added to."""
    return count_events(find_events(frames).lazy().join(players.lazy(), on=["replay", "side"]), by).collect()


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
