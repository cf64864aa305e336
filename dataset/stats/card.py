"""The data card: a store as one HTML page that shows who plays where, how long, how, and what was left out.

No name, code or path of a player gets onto the page, not even from a store that keeps names.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl

from dataset.io.atomic import replacing
from dataset.melee.ids import character_name, stage_name
from dataset.reporting.charts import bars, columns, heat_map, tiles
from dataset.reporting.page import page, section
from dataset.schema import SIDES
from dataset.stats.queries import quality_table
from dataset.store.replay_table import readable
from dataset.store.store import Store

MOST_BARS = 12
"""Further rows of a chart become one."""
STICK_CELL, STICK_RADIUS = 4, 20
"""Lattice points of a stick a cell of the heat map is wide, and cells from its middle to its rim."""
QUALITY_COLUMNS = 20


def write_card(store: Store, path: Path) -> int:
    """Write the page to ``path``; returns its bytes."""
    with readable(f"store {store.path}"):
        text = card_html(store)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return len(text.encode())


def card_html(store: Store) -> str:
    """The page."""
    replays = store.replays().collect()
    games = replays.filter(pl.col("status") == "ok")
    sections = [
        section("Characters", bars(_most(_picks(games))), "games, counted once for each player"),
        section("Stages", bars(_most(_named(games["stage"], stage_name))), "games"),
        section("Length", _lengths(games), "games by minutes"),
    ]
    sections += _quality(games)
    if store.manifest.frames:
        sections += [*_sticks(store), _presses(store)]
    sections += [
        section("Slippi versions", bars(_most(_versions(games))), "games"),
        section("Endings", bars(_most(_named(_column(games, "ending"), str))), "games"),
        section("Left out", _left_out(replays), "files by reason"),
    ]
    return page(
        f"{_title(store)}: data card", sections, header=_tiles(store, games), footer=_footer(store), is_flowing=True
    )


def _title(store: Store) -> str:
    return str(store.path).rstrip("/").rsplit("/", 1)[-1] or "store"


def _tiles(store: Store, games: pl.DataFrame) -> str:
    splits = Counter(games["split"].to_list())
    facts = [
        (f"{store.manifest.replays:,}", "replays"),
        (f"{store.manifest.frames:,}", "frames"),
        (f"{store.manifest.frames / 216_000:,.1f}", "hours"),
        (f"{games['match_id'].drop_nulls().n_unique():,}", "matches"),
        (" / ".join(f"{splits[name]:,}" for name in ("train", "val", "test")), "train / val / test"),
    ]
    return tiles(facts)


def _footer(store: Store) -> str:
    manifest = store.manifest
    filters = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in sorted(manifest.filters.items()) if value
    )
    return (
        f"digest {manifest.digest} · frame table {manifest.schema_version} · codec {manifest.codec} · features "
        f"{manifest.features} · rollback {manifest.rollback} · {filters}"
    )


def _most(counts: Counter[str]) -> list[tuple[str, float]]:
    """The most frequent, and the rest as one row."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    rows = [(name, float(count)) for name, count in ordered[:MOST_BARS]]
    rest = ordered[MOST_BARS:]
    return [*rows, (f"{len(rest)} others", float(sum(count for _, count in rest)))] if rest else rows


def _named(values: pl.Series, name: Callable[..., str]) -> Counter[str]:
    return Counter(name(value).replace("_", " ") for value in values.drop_nulls())


def _column(games: pl.DataFrame, name: str) -> pl.Series:
    return games[name] if name in games.columns else pl.Series(name, [], pl.String)


def _picks(games: pl.DataFrame) -> Counter[str]:
    both = pl.concat([games[f"character_{side}"].alias("character") for side in SIDES])
    return _named(both, character_name)


def _versions(games: pl.DataFrame) -> Counter[str]:
    return Counter(version.rsplit(".", 1)[0] for version in games["version"].drop_nulls())


def _lengths(games: pl.DataFrame) -> str:
    """Games by length in steps of a quarter of a minute, up to the clock's eight."""
    counts = [0] * 33
    for seconds in games["seconds"].drop_nulls():
        counts[min(int(seconds // 15), 32)] += 1
    labels = {0: "0", **{4 * minute: f"{minute}" for minute in range(1, 8)}, 33: "8+"}
    return columns(counts, labels, "Games by length in minutes")


def _quality(games: pl.DataFrame) -> list[str]:
    """Scores of both players, where the store has them."""
    scores = [games[f"quality_{side}"].drop_nulls() for side in SIDES if f"quality_{side}" in games.columns]
    counts = [0] * QUALITY_COLUMNS
    for score in (value for side in scores for value in side):
        counts[min(int(score * QUALITY_COLUMNS), QUALITY_COLUMNS - 1)] += 1
    if not any(counts):
        return []
    labels = {0: "0", QUALITY_COLUMNS // 2: "0.5", QUALITY_COLUMNS: "1"}
    return [section("Quality", columns(counts, labels, "Players by quality score"), "players by score, two per game")]


def _sticks(store: Store) -> list[str]:
    sticks = (("main", "Main stick"), ("c", "C-stick"))
    return [section(title, *_stick(store, name, title)) for name, title in sticks]


def _stick(store: Store, name: str, title: str) -> tuple[str, str]:
    """Heat map of both players' stick, and the share of frames at rest."""
    frames = store.frames([f"{side}_{name}_{axis}" for side in SIDES for axis in "xy"])
    points = pl.concat([frames.select(x=f"{side}_{name}_x", y=f"{side}_{name}_y") for side in SIDES])
    found = points.group_by("x", "y").len().collect(engine="streaming")
    cells: Counter[tuple[int, int]] = Counter()
    at_rest = total = 0
    for x, y, count in found.iter_rows():
        cells[round(x / STICK_CELL), round(y / STICK_CELL)] += count
        total += count
        at_rest += count * (x == 0 and y == 0)
    return heat_map(
        cells, STICK_RADIUS, title
    ), f"{at_rest / total:.0%} of frames in the middle; colours are logarithmic"


def _presses(store: Store) -> str:
    rows = quality_table(store).filter(pl.col("about") == "presses")
    rates = [
        (name.replace("_", "-").upper(), rate or 0.0) for name, rate in rows.select("name", "per_minute").iter_rows()
    ]
    return section("Buttons", bars(rates, decimals=1), "presses per minute of one player")


def _left_out(replays: pl.DataFrame) -> str:
    out = replays.filter(pl.col("status") != "ok")
    reasons = Counter(
        f"{status}: {reason}".replace("_", " ") for status, reason in out.select("status", "reason").iter_rows()
    )
    return bars(_most(reasons), kind="out")
