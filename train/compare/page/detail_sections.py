"""The sections of the results page that come from ``--detailed``: situations, the main stick on its disc, reliability.

Each function returns a list of HTML sections, which is empty for runs that were not measured in detail. The confusion of
the main stick is drawn on the stick's own disc: the darker a field, the more often the policy's samples agree with players there.

Legend: R regions of the disc: rest, and eight directions, each near and far.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from dataset.reporting.charts import Dot, Series, heat_map, lines, rows_of_dots
from dataset.reporting.page import section, table
from train.compare.page.sections import Colours
from train.compare.results import Results
from train.compare.terminal_table import number, percent

RINGS = (0.0, 0.27, 0.64, 1.0)
"""Where rest ends, and near, and far, on a disc of radius 1 (drawn for legibility, not to the stick's scale)."""

RADIUS = 100

STICK_CELL, STICK_RADIUS = 4, 20
"""Lattice points of a stick a cell of the heat map is wide, and cells from its middle to its rim."""

LATTICE = 80

LEAST_FRAMES = 200
"""Bins of confidence with fewer frames are not drawn."""

Reports = dict[str, Mapping[str, Any]]
"""By variant, what ``--detailed`` measured of its first seed."""


def detail(results: Results, colours: Colours) -> list[str]:
    """All of them."""
    reports = _reports(results)
    if not reports:
        return []
    return [
        *_situations(results, reports, colours),
        *_confusions(reports, colours),
        *_positions(reports),
        *_reliability(reports, colours),
    ]


def across_codecs(results: Results) -> list[str]:
    """What means the same under every codec, where the runs have several."""
    if not any("policy.codec" in values for values in results["settings"]["differing"].values()):
        return []
    split = results["split"]
    heads = (
        "",
        "accuracy %",
        "button F1",
        "stick within 22.5° %",
        "stick error °",
        "stick at rest %",
        "NLL, own classes",
    )
    rows = [
        [run["label"], *_same_for_all(report)]
        for run in results["runs"]
        for report in [run["reports"].get(split, {})]
        if "accuracy" in report
    ]
    caption = (
        "One row per run. Three figures mean the same under every codec: accuracy, button F1 (at a probability of one "
        "half, weighted by how often buttons are held), and the angle between the sampled main stick and the "
        "player's. NLL is over the codec's own classes, so a codec with more classes costs more nats."
    )
    return [section("Across codecs", table(heads, rows), caption, is_wide=True)]


def _same_for_all(report: Mapping[str, Any]) -> list[str]:
    presses = [(about["press_true"], about["f1"]) for about in report["buttons"].values()]
    pressed = sum(true for true, _ in presses)
    stick = report.get("detailed", {}).get("main_stick")
    angles = None if stick is None else stick["angles"]["all"]
    return [
        percent(report["accuracy"]),
        number(sum(true * f1 for true, f1 in presses) / pressed if pressed else None, ".3f"),
        percent(None if angles is None else angles["within_octant"]),
        number(None if angles is None else angles["mean_degrees"], ".1f"),
        percent(None if stick is None else stick["rest_sampled"]),
        number(report["nll"], ".3f"),
    ]


def _reports(results: Results) -> Reports:
    split = results["split"]
    found: Reports = {}
    for run in results["runs"]:
        if "detailed" in run["reports"].get(split, {}):
            found.setdefault(run["label"], run["reports"][split]["detailed"])
    return found


def _situations(results: Results, reports: Reports, colours: Colours) -> list[str]:
    lookups = [row["label"] for row in results["baselines"] if row["label"].startswith("lookup")]
    first = next(iter(reports.values()))["situations"]
    rows = []
    for name, about in first.items():
        dots = [
            Dot(name=label, colour=colours.of_label[label], value=report["situations"][name]["nll"])
            for label, report in reports.items()
            if name in report["situations"]
        ]
        if about.get("lookup_nll") is not None and len(lookups) == 1:
            dots.insert(0, Dot(name="lookup", colour=colours.of_label[lookups[0]], value=about["lookup_nll"]))
        rows.append((f"{name} {100 * about['share']:.0f}%", dots))
    shown = [*lookups[:1], *reports] if len(lookups) == 1 else [*reports]
    caption = "Each situation with its share of all frames."
    return [section("By situation", colours.legend(shown) + rows_of_dots(rows, "NLL, nats per frame"), caption)]


def _confusions(reports: Reports, colours: Colours) -> list[str]:
    discs = "".join(
        _figure(confusion_disc(report["main_stick"], colours.of_label[label]), label)
        for label, report in reports.items()
    )
    caption = (
        "Each field shows, of the frames in which the player holds the main stick there, the percentage in which the "
        "policy's sample is there too. Rest is in the middle, tilts are around it, dashes and taps at the rim. "
        "Samples are random, so even a perfect policy stays below 100."
    )
    return [section("Main stick, field by field", f'<div class="discs">{discs}</div>', caption, is_wide=True)]


def confusion_disc(stick: Mapping[str, Any], colour: int) -> str:
    """The confusion of R regions on the stick's disc; fields that players never use stay empty."""
    parts = []
    for place, (name, row) in enumerate(zip(stick["regions"], stick["confusion"], strict=True)):
        total = sum(row)
        share = row[place] / total if total else 0.0
        hover = f"{name}: {total:,} frames"
        if total:
            others = [(count, other) for other, count in zip(stick["regions"], row, strict=True) if other != name]
            count, other = max(others)
            hover += f", {share:.0%} the same, {count / total:.0%} {other}"
        x, y = _middle(place)
        shade = f'fill="var(--c{colour})" fill-opacity="{0.85 * share:.2f}"'
        parts.append(f'<path d="{_field(place)}" {shade}><title>{escape(hover)}</title></path>')
        if total:
            parts.append(
                f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" class="name">{100 * share:.0f}</text>'
            )
    side = RADIUS + 2
    return (
        f'<svg class="disc" viewBox="{-side} {-side} {2 * side} {2 * side}" role="img" '
        f'aria-label="Main stick: share of samples in the player\'s field">{"".join(parts)}</svg>'
    )


def _ring_and_angle(place: int) -> tuple[int, float]:
    """Which ring a region lies in, and its direction in radians from right towards up."""
    return (0, 0.0) if place == 0 else (1 + (place - 1) % 2, (place - 1) // 2 * math.pi / 4)


def _middle(place: int) -> tuple[float, float]:
    ring, angle = _ring_and_angle(place)
    if ring == 0:
        return 0.0, 0.0
    radius = RADIUS * (RINGS[ring] + RINGS[ring + 1]) / 2
    return radius * math.cos(angle), -radius * math.sin(angle)


def _field(place: int) -> str:
    """The outline of a region: a circle, or a piece of a ring."""
    ring, angle = _ring_and_angle(place)
    inner, outer = RADIUS * RINGS[ring], RADIUS * RINGS[ring + 1]
    if ring == 0:
        return f"M{-outer:.1f} 0a{outer:.1f} {outer:.1f} 0 1 0 {2 * outer:.1f} 0a{outer:.1f} {outer:.1f} 0 1 0 {-2 * outer:.1f} 0"
    ends = [
        (radius * math.cos(angle + turn), -radius * math.sin(angle + turn))
        for radius, turn in ((inner, -math.pi / 8), (outer, -math.pi / 8), (outer, math.pi / 8), (inner, math.pi / 8))
    ]
    a, b, c, d = (f"{x:.1f} {y:.1f}" for x, y in ends)
    return f"M{a}L{b}A{outer:.1f} {outer:.1f} 0 0 0 {c}L{d}A{inner:.1f} {inner:.1f} 0 0 1 {a}"


def _positions(reports: Reports) -> list[str]:
    first = next(iter(reports.values()))["main_stick"]
    pictures = [("players", first, 2, first["rest_true"])]
    pictures += [(label, one["main_stick"], 3, one["main_stick"]["rest_sampled"]) for label, one in reports.items()]
    figures = "".join(
        _figure(
            heat_map(_cells(stick["points"], column), STICK_RADIUS, f"Main stick of {label}"),
            f"{label}, {rest:.0%} at rest",
        )
        for label, stick, column, rest in pictures
    )
    caption = "Where the main stick is held, by players and by samples of the policies, on a logarithmic scale."
    return [section("Main stick, where it is held", f'<div class="discs">{figures}</div>', caption, is_wide=True)]


def _figure(drawn: str, caption: str) -> str:
    return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def _cells(points: Sequence[Sequence[float]], column: int) -> dict[tuple[int, int], int]:
    cells: dict[tuple[int, int], int] = {}
    for point in points:
        cell = round(point[0] * LATTICE / STICK_CELL), round(point[1] * LATTICE / STICK_CELL)
        cells[cell] = cells.get(cell, 0) + int(point[column])
    return cells


def _reliability(reports: Reports, colours: Colours) -> list[str]:
    titles = {
        "components": ("Reliability of components", "confidence in the likeliest class", "share right"),
        "buttons": ("Reliability of presses", "probability of a press", "share pressed"),
    }
    drawn = []
    for kind, (title, x_label, y_label) in titles.items():
        series = [Series(name="perfect", colour=8, points=[(0.0, 0.0), (1.0, 1.0)], is_dashed=True)]
        series += [
            Series(name=label, colour=colours.of_label[label], points=_pooled(report["calibration"][kind]))
            for label, report in reports.items()
        ]
        caption = (
            f"All pooled, in bins of at least {LEAST_FRAMES} decisions. On the dashed line, a probability equals the "
            "share of cases in which it comes true."
        )
        drawn.append(section(title, colours.legend(reports) + lines(series, x_label, y_label), caption))
    return drawn


def _pooled(calibration: Mapping[str, Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Mean confidence and share that came true in every bin, over all decisions of a kind."""
    sums: dict[int, list[float]] = {}
    for about in calibration.values():
        for count, predicted, observed in about["bins"]:
            total = sums.setdefault(min(int(predicted * 15), 14), [0.0, 0.0, 0.0])
            for place, value in enumerate((count, count * predicted, count * observed)):
                total[place] += value
    bins = (total for _, total in sorted(sums.items()))
    return [(predicted / count, observed / count) for count, predicted, observed in bins if count >= LEAST_FRAMES]
