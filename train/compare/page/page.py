"""``report.html`` of a comparison or sweep, drawn from its results.

A section whose numbers are not in the results is left out of the page.
"""

from html import escape
from pathlib import Path

from dataset.io.atomic import replacing
from dataset.reporting.charts import tiles
from dataset.reporting.page import page
from train.compare.page.detail_sections import across_codecs, detail
from train.compare.page.play_sections import playing, speed
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
        *playing(results, colours),
        *speed(results, colours),
        *components(results, colours),
        *buttons(results, colours),
        *across_codecs(results),
        *detail(results, colours),
        *settings(results),
        *failures(results),
    ]
    link = f'<p><a href="{escape(results["card"])}">The data it was trained on</a></p>' if results["card"] else ""
    notes = "".join(f"<p>{escape(note)}</p>" for note in results["notes"])
    header = f'<p>{escape(_lead(results))}</p>{link}{tiles(_facts(results))}<div class="notes">{notes}</div>'
    footer = f"measured {results['date']} on {results['machine']} · store {results['data']['manifest_digest']}"
    return page(results["name"], sections, header=header, footer=footer)


def _lead(results: Results) -> str:
    """What was compared, in a sentence."""
    rows, data = results["rows"], results["data"]
    counts = [row["seeds"] for row in rows]
    fewest, most = min(counts), max(counts)
    many = f"{fewest} to {most} seeds" if fewest < most else f"{most} seeds each" if most > 1 else "one seed each"
    variants = "1 variant" if len(rows) == 1 else f"{len(rows)} variants"
    return (
        f"{results['kind']}: {variants}, {many}, trained on {data['train']['replays']:,} replays "
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
