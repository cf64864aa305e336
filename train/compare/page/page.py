"""``report.html`` of a comparison or sweep: one file without script or network, for light and dark, wide and narrow screens.

In: the results (``train.compare.results``). Out: the page. The surprise: it shows what was measured and nothing else. A
section whose numbers are not in the results is not on the page.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from dataset.io.atomic import replacing
from dataset.reporting.charts import tiles
from train.compare.page.detail_sections import across_codecs, detail
from train.compare.page.sections import (
    Colours,
    buttons,
    components,
    curves,
    differences,
    failures,
    law,
    matrix,
    quality,
    settings,
    speed,
)
from train.compare.results import Results

PAGE = "report.html"


def write_page(folder: Path, results: Results) -> None:
    """Write the page into the comparison's folder."""
    with replacing(folder / PAGE) as temporary:
        temporary.write_text(page_html(results), encoding="utf-8")


def page_html(results: Results) -> str:
    """The page."""
    colours = Colours.of(results)
    sections = [
        *matrix(results),
        *quality(results, colours),
        *differences(results),
        *law(results),
        *curves(results, colours),
        *speed(results, colours),
        *components(results, colours),
        *buttons(results, colours),
        *across_codecs(results),
        *detail(results, colours),
        *settings(results),
        *failures(results),
    ]
    return _PAGE.format(
        title=escape(results["name"]),
        lead=escape(_lead(results)),
        card=f'<p><a href="{escape(results["card"])}">The data it was trained on</a></p>' if results["card"] else "",
        tiles=tiles(_facts(results)),
        notes="".join(f"<p>{escape(note)}</p>" for note in results["notes"]),
        sections="".join(sections),
        foot=escape(_foot(results)),
    )


def _lead(results: Results) -> str:
    """What was compared, in a sentence."""
    rows, data = results["rows"], results["data"]
    counts = [row["seeds"] for row in rows]
    fewest, most = min(counts), max(counts)
    many = f"{fewest} to {most} seeds" if fewest < most else f"{most} seeds each" if most > 1 else "one seed each"
    return (
        f"{results['kind']}: {len(rows)} variants, {many}, trained on {data['train']['replays']:,} replays "
        f"({data['train']['frames']:,} frames, {data['train']['hours']:.1f} h) and measured on replays that none of them saw."
    )


def _facts(results: Results) -> list[tuple[str, str]]:
    split = results["split"]
    key = f"{split}_nll"
    known = [row for row in results["rows"] if row[key] is not None]
    facts = []
    if known:
        best = min(known, key=lambda row: row[key])
        facts.append((f"{best[key]:.3f}", f"lowest {split} NLL: {best['label']}"))
    facts += [(f"{row[key]:.3f}", row["label"]) for row in results["baselines"][:2] if row[key] is not None]
    report = results["runs"][0]["reports"].get(split, {})
    if "replays" in report:
        facts.append((f"{report['replays']:,}", f"{split} replays"))
        facts.append((f"{report['frames']:,}", f"{split} frames"))
    return facts


def _foot(results: Mapping[str, Any]) -> str:
    versions: Sequence[str] = [f"measured {results['date']} on {results['machine']}"]
    return " · ".join([*versions, f"store {results['data']['manifest_digest']}"])


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ground: #f6f5f2; --sheet: #fff; --ink: #22242a; --soft: #666a75; --line: #e2e0da;
  --mark: #2f6f8f; --good: #cfe8d6; --bad: #f4d9d0; --c0: #0b6aa8; --c1: #c2540a; --c2: #0f8a5f; --c3: #8e44ad; --c4: #b8860b;
  --c5: #b3204d; --c6: #3b8ea5; --c7: #5d6d1e; --c8: #6b6f7a; --c9: #a3a6ad; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ground: #16181d; --sheet: #1f2229; --ink: #e8e8ea; --soft: #a2a7b2;
  --line: #333843; --mark: #6fb7d6; --good: #1f4a33; --bad: #57302a; --c0: #5db3ee; --c1: #f2955a; --c2: #4fc99a; --c3: #c58be0;
  --c4: #e3b94a; --c5: #f0789c; --c6: #7fd0e4; --c7: #b3c665; --c8: #a2a7b2; --c9: #70757f; }} }}
* {{ box-sizing: border-box; margin: 0; }}
body {{ background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; padding: clamp(12px, 3vw, 40px);
  max-width: 1240px; margin: auto; }}
h1 {{ font-size: 1.6rem; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.05rem; }}
a {{ color: var(--mark); }}
section > p, header > p {{ color: var(--soft); font-size: .9rem; margin: .2rem 0 .7rem; max-width: 75ch; }}
.notes p {{ border-left: 3px solid var(--c4); padding: .1rem .7rem; margin: .4rem 0; max-width: 80ch; }}
.tiles {{ display: flex; flex-wrap: wrap; gap: .6rem 2.2rem; margin: .9rem 0 1.2rem; }}
.tiles b {{ display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }}
.tiles span {{ color: var(--soft); font-size: .85rem; }}
main {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 14px; margin-top: 14px;
  align-items: start; }}
section {{ background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px 16px; min-width: 0; }}
.wide {{ grid-column: 1 / -1; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .32rem .55rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }}
th {{ color: var(--soft); font-weight: 500; vertical-align: bottom; white-space: normal; line-height: 1.25; }}
th:first-child, td:first-child {{ text-align: left; position: sticky; left: 0; background: var(--sheet); }}
td small {{ color: var(--soft); }}
.best {{ font-weight: 700; }}
.baseline td {{ color: var(--soft); }}
td.good {{ background: var(--good); }}
td.bad {{ background: var(--bad); }}
.legend {{ display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .85rem; margin-bottom: .5rem; }}
.legend i {{ display: inline-block; width: .8rem; height: .8rem; border-radius: 50%; margin-right: .35rem;
  vertical-align: -.06rem; }}
svg {{ display: block; width: 100%; height: auto; max-width: 680px; margin: auto; fill: var(--mark); }}
svg line {{ stroke: var(--line); }}
svg text {{ fill: var(--soft); font-size: 11px; }}
svg text.name {{ fill: var(--ink); font-size: 12px; }}
svg polyline {{ fill: none; stroke-width: 2; }}
.discs {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; }}
figure {{ max-width: 300px; width: 100%; margin: auto; }}
figcaption {{ text-align: center; font-size: .88rem; }}
.disc path {{ stroke: var(--line); }}
.disc text.name {{ font-size: 15px; }}
.heat circle {{ fill: none; stroke: var(--line); stroke-width: .3; }}
.heat rect {{ shape-rendering: crispEdges; }}
.none, footer {{ color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }}
footer {{ margin-top: 1.2rem; }}
</style></head>
<body><header><h1>{title}</h1><p>{lead}</p>{card}{tiles}<div class="notes">{notes}</div></header><main>{sections}</main>
<footer>{foot}</footer></body></html>
"""
