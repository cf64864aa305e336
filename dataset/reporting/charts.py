"""Charts as HTML and SVG text for the pages that exphil writes: bars, columns, heat maps, lines, scatters, dots with intervals.

They need no script and no network, and take their colours from the page's style sheet (``dataset.reporting.page``). Bars and
legends are HTML, so that they wrap on a phone; everything else is SVG that scales with the page. A plot is 420 units wide
whatever the screen, which keeps its text readable.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

CHART_WIDTH, CHART_HEIGHT = 360, 96
"""Of a chart of columns, in its own units."""

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 8, 34

_LETTER, _MOST_LETTERS = 7.3, 24
"""Width of a letter of a name, and how many of a name are shown beside a row."""

FEW_POINTS = 12
"""Lines of at most so many points have them drawn."""

Point = tuple[float, float]


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


@dataclass(frozen=True, kw_only=True)
class Heap:
    """Values that a histogram is of, with a figure of them that is marked below it."""

    name: str
    colour: int
    values: Sequence[float]
    figure: float | None = None
    interval: tuple[float, float] | None = None


def histograms(heaps: Sequence[Heap], what: str, *, num_bins: int = 18) -> str:
    """Histograms on top of each other, each of shares of its own values, above their figures with intervals.

    The scale leaves out the outermost 1 % of values on each side; they count in the first and last columns.
    """
    parts = [_middle(heap.values) for heap in heaps if len(heap.values)]
    marked = [v for heap in heaps for v in (heap.figure, *(heap.interval or ())) if v is not None]
    ends = [end for part in parts for end in part] + marked
    if not ends:
        return '<p class="none">none</p>'
    height = CHART_HEIGHT + 12 * len(heaps) + 18
    across = Axis.over(ends, 4, CHART_WIDTH - 4, room=0.02)
    step = (across.high - across.low) / num_bins
    drawn, lines = [], []
    for heap in heaps:
        places = [min(max(int((value - across.low) / step), 0), num_bins - 1) for value in heap.values]
        drawn.append([places.count(number) / max(1, len(places)) for number in range(num_bins)])
    top = max(max(shares) for shares in drawn) or 1.0
    for number, (heap, shares) in enumerate(zip(heaps, drawn, strict=True)):
        lines.append(_steps(shares, top, heap))
        y = CHART_HEIGHT + 8 + 12 * number
        if heap.interval is not None:
            low, high = (across.place(end) for end in heap.interval)
            stroke = f'stroke="var(--c{heap.colour})" stroke-width="4" opacity=".5"'
            lines.append(f'<path d="M{low:.1f} {y}H{max(high, low + 1):.1f}" {stroke}/>')
        if heap.figure is not None:
            lines.append(f'<circle cx="{across.place(heap.figure):.1f}" cy="{y}" r="4" fill="var(--c{heap.colour})"/>')
    lines.append(f'<line x1="0" x2="{CHART_WIDTH}" y1="{CHART_HEIGHT}" y2="{CHART_HEIGHT}"/>')
    lines += [
        f'<text x="{across.place(tick):.1f}" y="{height - 3}" text-anchor="middle">{_tick(tick)}</text>'
        for tick in across.ticks()[:: 2 if len(across.ticks()) > 5 else 1]
        if 14 < across.place(tick) < CHART_WIDTH - 14
    ]
    label = f'role="img" aria-label="{escape(what)}"'
    return f'<svg viewBox="0 0 {CHART_WIDTH} {height}" {label}>{"".join(lines)}</svg>'


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """The ends of values without the outermost 1 % on each side."""
    ordered = sorted(values)
    cut = len(ordered) // 100
    return ordered[cut], ordered[-1 - cut]


def _steps(shares: Sequence[float], top: float, heap: Heap) -> str:
    """The outline of a histogram, filled."""
    width = (CHART_WIDTH - 8) / len(shares)
    path = [f"M4 {CHART_HEIGHT}"]
    for number, share in enumerate(shares):
        path.append(f"V{CHART_HEIGHT * (1 - share / top):.1f}H{4 + (number + 1) * width:.1f}")
    colour = f"var(--c{heap.colour})"
    return (
        f'<path d="{"".join(path)}V{CHART_HEIGHT}Z" fill="{colour}" fill-opacity=".35" stroke="{colour}">'
        f"<title>{escape(heap.name)}</title></path>"
    )


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


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line."""

    name: str
    colour: int
    points: Sequence[Point]
    band: Sequence[tuple[float, float]] = ()
    """Lowest and highest y at each point; empty draws none."""
    is_dashed: bool = False
    is_dotted: bool = False
    """Whether the points stand alone."""


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A value with its interval, or a place in a scatter."""

    name: str
    colour: int
    value: float
    interval: tuple[float, float] | None = None
    x: float = 0.0
    """Of a scatter."""
    radius: float = 5.0


@dataclass(frozen=True)
class Axis:
    """A range of values laid onto units of the plot, linearly or by the logarithm."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False
    is_whole: bool = False
    """Whether it counts things, so that ticks are whole numbers."""

    @classmethod
    def over(
        cls,
        values: Sequence[float],
        start: float,
        end: float,
        *,
        is_log: bool = False,
        is_whole: bool = False,
        room: float = 0.05,
    ) -> "Axis":
        """An axis with some room around ``values``."""
        low, high = min(values), max(values)
        if is_log:
            return cls(low / 1.3, high * 1.3, start, end, True)
        margin = room * ((high - low) or abs(high) or 1.0)
        return cls(low - margin, high + margin, start, end, is_whole=is_whole)

    def place(self, value: float) -> float:
        """Where a value lies."""
        low, high, at = (
            (math.log(v) for v in (self.low, self.high, value)) if self.is_log else (self.low, self.high, value)
        )
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def ticks(self) -> list[float]:
        """Three to seven round values within the range; fewer where only whole ones count."""
        if self.is_log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
                found = [step * 10.0**power for power in powers for step in steps]
                within = [value for value in found if self.low <= value <= self.high]
                if len(within) >= 3:
                    break
            return within
        span = self.high - self.low
        step = 10.0 ** math.floor(math.log10(span / 4))
        step *= next(factor for factor in (1, 2, 2.5, 5, 10) if span / (step * factor) <= 6)
        if self.is_whole:
            step = max(1.0, math.ceil(step))
        first = math.ceil(self.low / step)
        return [step * n for n in range(first, math.floor(self.high / step) + 1)]


def legend(entries: Sequence[tuple[str, int]]) -> str:
    """Names with their colours."""
    marks = "".join(f'<span><i style="background:var(--c{c})"></i>{escape(name)}</span>' for name, c in entries)
    return f'<div class="legend">{marks}</div>'


def lines(
    series: Sequence[Series], x_label: str, y_label: str, *, is_log_x: bool = False, is_whole_x: bool = False
) -> str:
    """Lines over a common x, with bands where there are some."""
    xs = [x for one in series for x, _ in one.points]
    ys = [y for one in series for _, y in one.points] + [y for one in series for pair in one.band for y in pair]
    across = Axis.over(xs, LEFT, WIDTH - RIGHT, is_log=is_log_x, is_whole=is_whole_x, room=0.02)
    up = Axis.over(ys, HEIGHT - BOTTOM, TOP)
    return _svg(
        f"{y_label} over {x_label}",
        _grid(across, up, x_label, y_label) + "".join(_line(one, across, up) for one in series),
    )


def scatter(dots: Sequence[Dot], x_label: str, y_label: str, *, is_log_x: bool = False) -> str:
    """Named dots, with their intervals upright."""
    across = Axis.over([dot.x for dot in dots], LEFT, WIDTH - RIGHT - 60, is_log=is_log_x, room=0.08)
    up = Axis.over([y for dot in dots for y in (dot.value, *(dot.interval or ()))], HEIGHT - BOTTOM, TOP)
    parts = []
    for dot, label_y in zip(dots, _apart([up.place(dot.value) for dot in dots]), strict=True):
        x, y = across.place(dot.x), up.place(dot.value)
        if dot.interval is not None:
            ends = [up.place(end) for end in dot.interval]
            parts.append(f'<path d="M{x:.1f} {ends[0]:.1f}V{ends[1]:.1f}" stroke="var(--c{dot.colour})"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{dot.radius:.1f}" fill="var(--c{dot.colour})"/>')
        parts.append(f'<text x="{x + dot.radius + 4:.1f}" y="{label_y + 4:.1f}">{escape(dot.name)}</text>')
    return _svg(f"{y_label} over {x_label}", _grid(across, up, x_label, y_label) + "".join(parts))


def intervals(dots: Sequence[Dot], x_label: str, *, form: str = ".3f", origin: float | None = None) -> str:
    """A row a dot, its interval as a line, its value written out.

    Args:
        dots: from top to bottom.
        x_label: what the values are.
        form: of the values written out.
        origin: a value that is on the scale and marked, such as 0 for what may be above or below it.
    """
    row, right = 26, 52
    left = min(max(104, 14 + _LETTER * max(len(dot.name) for dot in dots)), 14 + _LETTER * _MOST_LETTERS)
    height = row * len(dots) + BOTTOM
    values = [v for dot in dots for v in (dot.value, *(dot.interval or ()))] + ([] if origin is None else [origin])
    across = Axis.over(values, left, WIDTH - right)
    parts = []
    for tick in across.ticks():
        x = across.place(tick)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - 18}" text-anchor="middle">{_tick(tick)}</text>')
    if origin is not None:
        x = across.place(origin)
        parts.append(f'<path d="M{x:.1f} 0V{height - BOTTOM}" stroke="var(--soft)"/>')
    for place, dot in enumerate(dots):
        y = row * place + row / 2
        name = dot.name if len(dot.name) <= _MOST_LETTERS else f"{dot.name[: _MOST_LETTERS - 1]}…"
        parts.append(
            f'<text x="{left - 10}" y="{y + 4}" text-anchor="end" class="name">{escape(name)}'
            f"<title>{escape(dot.name)}</title></text>"
        )
        if dot.interval is not None:
            low, high = (across.place(end) for end in dot.interval)
            parts.append(
                f'<path d="M{low:.1f} {y}H{high:.1f}" stroke="var(--c{dot.colour})" stroke-width="3" opacity=".5"/>'
            )
        parts.append(f'<circle cx="{across.place(dot.value):.1f}" cy="{y}" r="4.5" fill="var(--c{dot.colour})"/>')
        parts.append(f'<text x="{WIDTH - 2}" y="{y + 4}" text-anchor="end" class="name">{dot.value:{form}}</text>')
    parts.append(
        f'<text x="{(left + WIDTH - right) / 2}" y="{height - 3}" text-anchor="middle">{escape(x_label)}</text>'
    )
    return _svg(x_label, "".join(parts), height=height)


def rows_of_dots(rows: Sequence[tuple[str, Sequence[Dot]]], x_label: str, *, is_log: bool = False) -> str:
    """A row a name, all its dots on one line; the scale is shared."""
    row, left = 24, 124
    height = row * len(rows) + BOTTOM
    values = [dot.value for _, dots in rows for dot in dots]
    across = Axis.over(values if is_log else [0.0, *values], left, WIDTH - RIGHT, is_log=is_log, room=0.03)
    parts = []
    for tick in across.ticks():
        x = across.place(tick)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - 18}" text-anchor="middle">{_tick(tick)}</text>')
    for place, (name, dots) in enumerate(rows):
        y = row * place + row / 2
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end" class="name">{escape(name)}</text>')
        parts.append(f'<line x1="{left}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts += [
            f'<circle cx="{across.place(dot.value):.1f}" cy="{y}" r="4" fill="var(--c{dot.colour})" fill-opacity=".85">'
            f"<title>{escape(dot.name)} {dot.value:.4g}</title></circle>"
            for dot in dots
        ]
    parts.append(f'<text x="{(left + WIDTH) / 2}" y="{height - 3}" text-anchor="middle">{escape(x_label)}</text>')
    return _svg(x_label, "".join(parts), height=height)


def _line(one: Series, across: Axis, up: Axis) -> str:
    def path(points: Sequence[Point]) -> str:
        return " ".join(f"{across.place(x):.1f},{up.place(y):.1f}" for x, y in points)

    dash = ' stroke-dasharray="4 3"' if one.is_dashed else ""
    stroke = f'stroke="var(--c{one.colour})"{dash}'
    drawn = f'<polyline points="{path(one.points)}" {stroke}><title>{escape(one.name)}</title></polyline>'
    if one.band:
        xs = [x for x, _ in one.points]
        edge = [*zip(xs, (low for low, _ in one.band), strict=True)]
        edge += reversed([*zip(xs, (high for _, high in one.band), strict=True)])
        drawn = f'<polygon points="{path(edge)}" fill="var(--c{one.colour})" opacity=".18"/>{drawn}'
    if not one.is_dotted and len(one.points) > FEW_POINTS:
        return drawn
    radius = 4.5 if one.is_dotted else 2.4
    dots = "".join(
        f'<circle cx="{across.place(x):.1f}" cy="{up.place(y):.1f}" r="{radius}" fill="var(--c{one.colour})"/>'
        for x, y in one.points
    )
    return dots if one.is_dotted else drawn + dots


def _grid(across: Axis, up: Axis, x_label: str, y_label: str) -> str:
    parts = []
    for tick in up.ticks():
        y = up.place(tick)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_tick(tick)}</text>')
    for tick in across.ticks():
        x = across.place(tick)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{_tick(tick)}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text x="10" y="{middle}" text-anchor="middle" transform="rotate(-90 10 {middle})">{escape(y_label)}</text>'
    )
    return "".join(parts)


def _svg(what: str, body: str, height: float = HEIGHT) -> str:
    return f'<svg class="plot" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(what)}">{body}</svg>'


def _apart(places: Sequence[float], least: float = 13) -> list[float]:
    """The same places moved so far apart that labels do not cover each other."""
    order = sorted(range(len(places)), key=lambda n: places[n])
    moved = list(places)
    for before, after in zip(order, order[1:], strict=False):  # noqa: RUF007
        moved[after] = max(moved[after], moved[before] + least)
    return moved


def _tick(value: float) -> str:
    """A tick's number, in thousands or millions where that is shorter."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:.4g}"
