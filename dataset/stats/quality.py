"""The query ``quality``: what became of every file, how sound the frames are, and how busy the controllers.

In: a store and a character. Out: one row a finding: what it is ``about``, its ``name``, a ``count``, its ``share``, how often
``per_minute`` of one player's play, and a ``mean``. The surprise: what a store was ingested without (idle share, scores) has
no row rather than a zero.
"""

import json
from collections import Counter

import polars as pl

from dataset.melee.controller import BUTTONS
from dataset.melee.ids import Character
from dataset.schema import SIDES
from dataset.store.store import Store

FRAMES_PER_MINUTE = 3600

SCHEMA = {
    "about": pl.String,
    "name": pl.String,
    "count": pl.Int64,
    "share": pl.Float64,
    "per_minute": pl.Float64,
    "mean": pl.Float64,
}

SIDE_MEANS = ("idle_share", "inputs_per_minute", "damage_per_minute", "sds", "quality")
"""Columns of the table of replays that tell of one player, under the suffixes ``_a`` and ``_b``; older stores have none."""


def quality_table(store: Store, character: Character | None = None) -> pl.DataFrame:
    """Files by status and reason, frames that are resimulated, missing or odd, players' idleness and presses."""
    replays = store.replays().collect()
    if character is not None:
        plays = [pl.col(f"character_{side}") == character.internal for side in SIDES]
        replays = replays.filter(pl.any_horizontal(plays))
    games = replays.filter(pl.col("status") == "ok")
    parts = [_files(replays), _frames(games), _players(games, character)]
    if store.manifest.frames:
        parts.append(_presses(store, character))
    return pl.concat([part.select(_complete(part)) for part in parts])


def _complete(part: pl.DataFrame) -> list[pl.Expr]:
    """Every column of ``SCHEMA``, null where a part has none."""
    return [(pl.col(n) if n in part.columns else pl.lit(None)).cast(kind).alias(n) for n, kind in SCHEMA.items()]


def _files(replays: pl.DataFrame) -> pl.DataFrame:
    """Files by what became of them, then the reasons why not, most frequent first."""
    whole = {"share": pl.len() / len(replays), "count": pl.len()}
    status = replays.group_by(name="status").agg(**whole).with_columns(about=pl.lit("files"))
    reasons = replays.filter(pl.col("reason").is_not_null()).group_by(about="status", name="reason").agg(**whole)
    rows = pl.concat([status, reasons], how="diagonal")
    return rows.sort(pl.col("about") != "files", "about", "count", "name", descending=[False, False, True, False])


def _frames(games: pl.DataFrame) -> pl.DataFrame:
    """Resimulated frames and gaps as shares of all frames; values off the controllers' lattice and non-finite ones."""
    frames, gaps = int(games["frames"].sum()), int(games["frame_gaps"].sum())
    resimulated = int(games["frames_resimulated"].sum())
    odd: Counter[str] = Counter()
    for text in games["non_finite"].drop_nulls():
        odd.update(json.loads(text))
    rows = [
        {"name": "all", "count": frames},
        {"name": "resimulated", "count": resimulated, "share": resimulated / frames if frames else None},
        {"name": "missing", "count": gaps, "share": gaps / (frames + gaps) if frames else None},
        {"name": "off the lattice", "count": int(games["off_lattice"].sum())},
        *({"name": f"not finite: {column}", "count": count} for column, count in sorted(odd.items())),
    ]
    return pl.DataFrame(rows, schema=SCHEMA).with_columns(about=pl.lit("frames"))


def _players(games: pl.DataFrame, character: Character | None) -> pl.DataFrame:
    """Means over players' games, by frames, of what ingest measured of each player."""
    found = [name for name in SIDE_MEANS if f"{name}_a" in games.columns]
    sides = [
        games.select("frames", character=f"character_{side}", **{name: f"{name}_{side}" for name in found})
        for side in SIDES
    ]
    players = pl.concat(sides)
    if character is not None:
        players = players.filter(pl.col("character") == character.internal)
    weights = pl.col("frames").cast(pl.Float64)
    means = [
        (pl.col(n).cast(pl.Float64) * weights).sum() / weights.filter(pl.col(n).is_not_null()).sum() for n in found
    ]
    rows = [
        {"name": name.replace("_", " "), "mean": players.select(mean).item()}
        for name, mean in zip(found, means, strict=True)
    ]
    return pl.DataFrame(rows, schema=SCHEMA).with_columns(about=pl.lit("players"), count=pl.lit(len(players)))


def _presses(store: Store, character: Character | None) -> pl.DataFrame:
    """How often a minute each button goes down, of one player's play."""
    columns = ["replay", *(f"{side}_{name}" for side in SIDES for name in ("character", "buttons"))]
    same = pl.col("replay") == pl.col("replay").shift(1)
    told = store.ok_frames(columns).with_columns(same=same.fill_null(value=False))
    sums = []
    for side in SIDES:
        buttons = pl.col(f"{side}_buttons")
        onsets = buttons & ~pl.when("same").then(buttons.shift(1)).otherwise(buttons)
        of_side = told.select(onsets=onsets, character=f"{side}_character")
        kept = of_side if character is None else of_side.filter(pl.col("character") == character.internal)
        sums.append(kept.select(pl.len().alias("frames"), *(_downs(bit).alias(name) for name, bit in BUTTONS)))
    totals = pl.concat(sums).sum().collect(engine="streaming").row(0, named=True)
    minutes = totals["frames"] / FRAMES_PER_MINUTE
    rows = [
        {"name": name, "count": totals[name], "per_minute": totals[name] / minutes if minutes else None}
        for name, _ in BUTTONS
    ]
    return pl.DataFrame(rows, schema=SCHEMA).with_columns(about=pl.lit("presses"))


def _downs(bit: int) -> pl.Expr:
    return (pl.col("onsets") & bit != 0).sum()
