"""Small charts as HTML and SVG text: bars, columns, a heat map, tiles. No script, no network, colours from the page's style.

Bars are HTML, so labels stay readable on a phone; columns and heat maps are SVG that scales with the page.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

CHART_WIDTH, CHART_HEIGHT = 360, 96
"""Of a chart of columns, in its own units."""


def tiles(facts: Sequence[tuple[str, str]]) -> str:
    """Large numbers with what they are of: (number, word)."""
    cells = (f"<div><b>{escape(number)}</b><span>{escape(word)}</span></div>" for number, word in facts)
    return f'<div class="tiles">{"".join(cells)}</div>'


def bars(rows: Sequence[tuple[str, float]], unit: str = "", decimals: int = 0, kind: str = "") -> str:
    """One bar a row, as long as its share of the largest; ``kind`` is a class of the page's style."""
    if not rows:
        return '<p class="none">none</p>'
    largest = max(value for _, value in rows) or 1.0
    lines = (
        f"<dt>{escape(label)}</dt>"
        f'<dd><i style="width:{100 * value / largest:.1f}%"></i><span>{value:,.{decimals}f}{escape(unit)}</span></dd>'
        for label, value in rows
    )
    return f'<dl class="bars {kind}">{"".join(lines)}</dl>'


def columns(counts: Sequence[int], labels: Mapping[int, str], what: str) -> str:
    """A column a count, labelled below where ``labels`` (by number of the column) says so; ``what`` is for screen readers."""
    width, top = CHART_WIDTH / len(counts), max([*counts, 1])
    parts = [
        f'<svg class="columns" viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT + 16}" role="img" aria-label="{escape(what)}">'
    ]
    for place, count in enumerate(counts):
        height = max(CHART_HEIGHT * count / top, 1.0 if count else 0.0)
        parts.append(
            f'<rect x="{place * width + 0.5:.2f}" y="{CHART_HEIGHT - height:.1f}" width="{width - 1:.2f}" '
            f'height="{height:.1f}" rx="1.5"><title>{count:,}</title></rect>'
        )
    parts.append(f'<line x1="0" x2="{CHART_WIDTH}" y1="{CHART_HEIGHT}" y2="{CHART_HEIGHT}"/>')
    for place, label in labels.items():
        x = round(place * width, 2)
        anchor = "start" if place == 0 else "end" if place == len(counts) else "middle"
        parts.append(f'<text x="{x}" y="{CHART_HEIGHT + 12}" text-anchor="{anchor}">{escape(label)}</text>')
    return "".join([*parts, "</svg>"])


def heat_map(counts: Mapping[tuple[int, int], int], radius: int, what: str) -> str:
    """Counts by cell (x to the right, y upwards, both ``-radius`` to ``radius``), shaded by the logarithm."""
    side = 2 * radius + 1
    largest = math.log1p(max([*counts.values(), 1]))
    cells = (
        f'<rect x="{x + radius}" y="{radius - y}" width="1" height="1" '
        f'fill-opacity="{math.log1p(count) / largest:.2f}"/>'
        for (x, y), count in sorted(counts.items())
        if count
    )
    middle = side / 2
    frame = f'<circle cx="{middle}" cy="{middle}" r="{middle}"/>'
    return (
        f'<svg class="heat" viewBox="-1 -1 {side + 2} {side + 2}" role="img" aria-label="{escape(what)}">'
        f"{frame}{''.join(cells)}</svg>"
    )
