"""A store as one page to look at: who plays where, how long, how, and what was left out.

The page is one HTML file without script or network, for light and dark, wide and narrow screens. No name, code or path of a
player gets onto it, not even from a store that keeps names.
"""

from collections import Counter
from collections.abc import Callable
from html import escape
from pathlib import Path

import polars as pl

from dataset.io.atomic import replacing
from dataset.melee.ids import character_name, stage_name
from dataset.reporting.charts import bars, columns, heat_map, tiles
from dataset.schema import SIDES
from dataset.stats.queries import quality_table
from dataset.store.store import Store

MOST_BARS = 12
"""Further rows of a chart become one."""
STICK_CELL, STICK_RADIUS = 4, 20
"""Lattice points of a stick a cell of the heat map is wide, and cells from its middle to its rim."""
QUALITY_COLUMNS = 20


def write_card(store: Store, path: Path) -> int:
    """Write the page to ``path``; returns its bytes."""
    page = card_html(store)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return len(page.encode())


def card_html(store: Store) -> str:
    """The page."""
    replays = store.replays().collect()
    games = replays.filter(pl.col("status") == "ok")
    sections = [
        _section("Characters", bars(_most(_picks(games))), "games, once for each player"),
        _section("Stages", bars(_most(_named(games["stage"], stage_name))), "games"),
        _section("Length", _lengths(games), "games by minutes"),
    ]
    sections += _quality(games)
    if store.manifest.frames:
        sections += [*_sticks(store), _presses(store)]
    sections += [
        _section("Slippi versions", bars(_most(_versions(games))), "games"),
        _section("Endings", bars(_most(_named(_column(games, "ending"), str))), "games"),
        _section("Left out", _left_out(replays), "files by reason"),
    ]
    return _PAGE.format(
        title=escape(_title(store)), tiles=_tiles(store, games), sections="".join(sections), foot=_foot(store)
    )


def _title(store: Store) -> str:
    return str(store.path).rstrip("/").rsplit("/", 1)[-1] or "store"


def _section(title: str, body: str, caption: str) -> str:
    return f"<section><h2>{escape(title)} <small>{escape(caption)}</small></h2>{body}</section>"


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


def _foot(store: Store) -> str:
    manifest = store.manifest
    filters = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in sorted(manifest.filters.items()) if value
    )
    return escape(
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
    return [_section("Quality", columns(counts, labels, "Players by quality score"), "players of a game by score")]


def _sticks(store: Store) -> list[str]:
    sticks = (("main", "Main stick"), ("c", "C-stick"))
    return [_section(title, *_stick(store, name, title)) for name, title in sticks]


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
    return heat_map(cells, STICK_RADIUS, title), f"{at_rest / total:.0%} of frames in the middle; logarithmic"


def _presses(store: Store) -> str:
    rows = quality_table(store).filter(pl.col("about") == "presses")
    rates = [
        (name.replace("_", "-").upper(), rate or 0.0) for name, rate in rows.select("name", "per_minute").iter_rows()
    ]
    return _section("Buttons", bars(rates, decimals=1), "presses a minute of one player")


def _left_out(replays: pl.DataFrame) -> str:
    out = replays.filter(pl.col("status") != "ok")
    reasons = Counter(
        f"{status}: {reason}".replace("_", " ") for status, reason in out.select("status", "reason").iter_rows()
    )
    return bars(_most(reasons), kind="out")


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: data card</title>
<style>
:root {{ color-scheme: light dark; --ground: #f6f5f2; --sheet: #fff; --ink: #22242a; --soft: #6b6f7a; --line: #e2e0da;
  --mark: #2f6f8f; --out: #b4573f; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ground: #16181d; --sheet: #1f2229; --ink: #e8e8ea; --soft: #9a9faa;
  --line: #333843; --mark: #6fb7d6; --out: #e08d74; }} }}
* {{ box-sizing: border-box; margin: 0; }}
body {{ background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; padding: clamp(12px, 3vw, 40px);
  max-width: 1240px; margin: auto; }}
h1 {{ font-size: 1.6rem; overflow-wrap: anywhere; }}
h2 {{ font-size: 1rem; margin-bottom: .7rem; }}
small {{ color: var(--soft); font-weight: 400; font-size: .8rem; }}
.tiles {{ display: flex; flex-wrap: wrap; gap: .6rem 2.2rem; margin: .9rem 0 1.4rem; }}
.tiles b {{ display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }}
.tiles span {{ color: var(--soft); font-size: .85rem; }}
main {{ columns: 3 20rem; column-gap: 14px; }}
section {{ background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px 16px;
  margin-bottom: 14px; break-inside: avoid; }}
.bars {{ display: grid; grid-template-columns: fit-content(45%) 1fr; gap: .28rem .7rem; align-items: center; font-size: .88rem; }}
.bars dd {{ display: flex; align-items: center; gap: .45rem; min-width: 0; padding-right: 4.6rem; position: relative; }}
.bars i {{ flex: none; height: .8rem; min-width: 2px; background: var(--mark); border-radius: 2px; }}
.bars span {{ flex: none; width: 0; white-space: nowrap; color: var(--soft); font-variant-numeric: tabular-nums; }}
.out i {{ background: var(--out); }}
svg {{ display: block; width: 100%; height: auto; fill: var(--mark); }}
svg line {{ stroke: var(--line); }}
svg text {{ fill: var(--soft); font-size: 11px; }}
.heat rect {{ shape-rendering: crispEdges; }}
svg circle {{ fill: none; stroke: var(--line); stroke-width: .3; }}
.heat {{ max-width: 300px; margin: auto; }}
.none, footer {{ color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }}
</style></head>
<body><header><h1>{title}</h1>{tiles}</header><main>{sections}</main><footer>{foot}</footer></body></html>
"""
