"""One frame of a game as a picture in text: the stage, its platforms and blast zone, both fighters, and what flies about.

It is drawn in dots, eight to a character (braille), from the raw columns alone, so any world can be shown. A dot is as wide as it
is high, and the whole blast zone is always in sight. Fighters are about as large as in the game, but never too small to see.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, floor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from dataset.features.layout import RAW_ROW
from dataset.melee.ids import STAGES, Stage, action_state_name
from dataset.melee.stages import BLAST_ZONES, PLATFORMS, BlastZone
from dataset.schema import NUM_ITEM_SLOTS, SIDES

SIDE_STYLES = ("bold cyan", "bold yellow")
"""Of the fighter on the lower port, and of the other."""

_EMPTY, _ZONE, _STAGE, _ITEM, _SHIELD, _FIRST, _SECOND, _HURT = range(8)
_STYLES = ("", "bright_black", "white", "magenta", "green", *SIDE_STYLES, "bold red")
"""By what a dot is of; the later one covers the earlier one."""
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Of the dots of a character, which Unicode counts in this order from U+2800."""

_HEIGHT, _WIDTH, _ARM = 15.0, 8.0, 7.0
"""Of a fighter, in Melee units, and how far its arm reaches forward."""
_LEAST_HEIGHT, _LEAST_WIDTH = 7.0, 4.0
"""Of a fighter in dots."""
_DEPTH, _SLOPE = 20.0, 0.75
"""How far down the stage is drawn, and how wide it is there."""
_SHIELD_RADIUS = 13.0
"""Of a whole shield."""

Dots = NDArray[np.int8]
Labels = dict[tuple[int, int], tuple[str, str]]
"""Characters and their styles by row and column of characters."""


class Shown(NamedTuple):
    """One fighter, as raw columns have it."""

    x: float
    y: float
    facing: float
    percent: float
    stocks: int
    shield: float
    action_state: int
    is_vulnerable: bool

    @property
    def doing(self) -> str:
        """What it does, for people."""
        return action_state_name(self.action_state)

    @property
    def is_gone(self) -> bool:
        """Whether it is out of the game at the moment."""
        return self.doing in ("dead", "absent")


def fighter(raw: NDArray[np.float32], side: str) -> Shown:
    """The fighter of ``side`` in a row of raw columns."""

    def at(name: str) -> float:
        return float(raw[RAW_ROW[f"{side}_{name}"]])

    return Shown(
        x=at("x"),
        y=at("y"),
        facing=at("facing"),
        percent=at("percent"),
        stocks=int(at("stocks")),
        shield=at("shield"),
        action_state=int(at("action_state")),
        is_vulnerable=at("hurtbox") == 0,
    )


class _Canvas:
    """Dots, and where a place in Melee units lies among them."""

    def __init__(self, columns: int, rows: int, zone: BlastZone) -> None:
        self.dots: Dots = np.zeros((4 * rows, 2 * columns), np.int8)
        height, width = self.dots.shape
        self.per_unit = min((width - 1) / (zone.right - zone.left), (height - 1) / (zone.top - zone.bottom))
        self._left = (width - 1) / 2 - self.per_unit * (zone.left + zone.right) / 2
        self._top = (height - 1) / 2 + self.per_unit * (zone.top + zone.bottom) / 2

    def place(self, x: float, y: float) -> tuple[int, int]:
        """Row and column of the dot there, which may lie outside."""
        return round(self._top - self.per_unit * y), round(self._left + self.per_unit * x)

    def line(self, start: tuple[float, float], end: tuple[float, float], what: int, every: int = 1) -> None:
        """A line; ``every`` second or third dot of it only."""
        (row, column), (last_row, last_column) = self.place(*start), self.place(*end)
        steps = max(abs(last_row - row), abs(last_column - column), 1)
        for step in range(0, steps + 1, every):
            self.dot(
                row + round((last_row - row) * step / steps),
                column + round((last_column - column) * step / steps),
                what,
            )

    def dot(self, row: int, column: int, what: int) -> None:
        """One dot, where it is in sight and nothing covers it."""
        height, width = self.dots.shape
        if 0 <= row < height and 0 <= column < width:
            self.dots[row, column] = max(self.dots[row, column], what)

    def ellipse(
        self, row: float, column: float, half_height: float, half_width: float, what: int, *, rim: bool
    ) -> None:
        """A filled ellipse in dots, or only its rim."""
        for at_row in range(ceil(row - half_height), floor(row + half_height) + 1):
            for at_column in range(ceil(column - half_width), floor(column + half_width) + 1):
                far = ((at_row - row) / (half_height + 0.3)) ** 2 + ((at_column - column) / (half_width + 0.3)) ** 2
                if far <= 1 and (not rim or far > 0.6):
                    self.dot(at_row, at_column, what)


def picture(raw: NDArray[np.float32], columns: int, rows: int, *, has_platforms: bool) -> Text:
    """The game in a row of raw columns, in so many columns and rows of characters.

    Args:
        raw: [len(RAW_NAMES)].
        columns: at least 8.
        rows: at least 4.
        has_platforms: whether the world's stages have platforms.
    """
    stage = STAGES[int(raw[RAW_ROW["stage"]])]
    canvas = _Canvas(columns, rows, BLAST_ZONES[stage.name])
    canvas.dots = _stage_dots(columns, rows, stage, has_platforms).copy()
    _draw_items(canvas, raw)
    labels: Labels = {}
    for side, name in enumerate(SIDES):
        _draw_fighter(canvas, fighter(raw, name), side, labels)
    return _as_text(canvas.dots, labels)


@lru_cache(4)
def _stage_dots(columns: int, rows: int, stage: Stage, has_platforms: bool) -> Dots:
    """All that stays as it is."""
    zone = BLAST_ZONES[stage.name]
    canvas = _Canvas(columns, rows, zone)
    corners = [(zone.left, zone.top), (zone.right, zone.top), (zone.right, zone.bottom), (zone.left, zone.bottom)]
    for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        canvas.line(start, end, _ZONE, every=3)
    ledge, below = stage.ledge_x, _SLOPE * stage.ledge_x
    outline = [(-ledge, 0.0), (ledge, 0.0), (below, -_DEPTH), (-below, -_DEPTH)]
    for start, end in zip(outline, [*outline[1:], outline[0]], strict=True):
        canvas.line(start, end, _STAGE)
    for platform in PLATFORMS[stage.name] if has_platforms else ():
        canvas.line((platform.left, platform.height), (platform.right, platform.height), _STAGE)
    return canvas.dots


def _draw_items(canvas: _Canvas, raw: NDArray[np.float32]) -> None:
    for slot in range(NUM_ITEM_SLOTS):
        if raw[RAW_ROW[f"item{slot}_kind"]]:
            row, column = canvas.place(float(raw[RAW_ROW[f"item{slot}_x"]]), float(raw[RAW_ROW[f"item{slot}_y"]]))
            canvas.ellipse(row, column, 1, 1, _ITEM, rim=False)


def _draw_fighter(canvas: _Canvas, shown: Shown, side: int, labels: Labels) -> None:
    """Draw a fighter, and add a label that says who it is and points where it faces.

    A fighter that is gone is a cross where it went; one that is hurt is red.
    """
    height, width = canvas.dots.shape
    row, column = canvas.place(shown.x, shown.y)
    row, column = min(max(row, 3), height - 1), min(max(column, 2), width - 3)
    number, style = str(side + 1), SIDE_STYLES[side]
    if shown.is_gone:
        _add_label(canvas, row, column, f"{number}✗", style, labels)
        return
    is_hurt = shown.doing in ("hitstun", "knocked away")
    what = _HURT if is_hurt else _FIRST + side
    half_height = max(canvas.per_unit * _HEIGHT / 2, _LEAST_HEIGHT / 2)
    half_width = max(canvas.per_unit * _WIDTH / 2, _LEAST_WIDTH / 2)
    middle = row - half_height
    canvas.ellipse(middle, column, half_height, half_width, what, rim=not shown.is_vulnerable)
    reach = round(max(canvas.per_unit * _ARM, half_width + 2))
    for step in range(reach + 1):
        canvas.dot(round(middle), column + round(shown.facing) * step, what)
    if shown.doing.startswith("shield"):
        radius = max(canvas.per_unit * _SHIELD_RADIUS * shown.shield / 60, half_height + 1)
        canvas.ellipse(middle, column, radius, radius, _SHIELD, rim=True)
    label = f"{number}▶" if shown.facing > 0 else f"◀{number}"
    _add_label(canvas, round(row - 2 * half_height) - 4, column, label, "bold red" if is_hurt else style, labels)


def _add_label(canvas: _Canvas, row: int, column: int, text: str, style: str, labels: Labels) -> None:
    """Add characters around a dot, moved into sight and above those that are there."""
    height, width = canvas.dots.shape
    line, start = min(max(row // 4, 0), height // 4 - 1), min(max(column // 2, 0), width // 2 - len(text))
    while any((line, start + place) in labels for place in range(len(text))):
        line = line - 1 if line else height // 4 - 1
    labels |= {(line, start + place): (letter, style) for place, letter in enumerate(text)}


def _as_text(dots: Dots, labels: Labels) -> Text:
    """Characters in runs of one style, since each run costs time on the terminal."""
    cells = dots.reshape(dots.shape[0] // 4, 4, dots.shape[1] // 2, 2)
    codes = np.einsum("rycx,yx->rc", cells > 0, _BITS)
    styles = cells.max(axis=(1, 3))
    text = Text(no_wrap=True)
    for row in range(len(codes)):
        if row:
            text.append("\n")
        for letters, style in _runs(codes[row].tolist(), styles[row].tolist(), row, labels):
            text.append(letters, style or None)
    return text


def _runs(codes: Sequence[int], styles: Sequence[int], row: int, labels: Labels) -> list[tuple[str, str]]:
    runs: list[tuple[str, str]] = []
    for column, (code, what) in enumerate(zip(codes, styles, strict=True)):
        drawn = (chr(0x2800 + code) if code else " ", _STYLES[what])
        letter, style = labels.get((row, column), drawn)
        if runs and (runs[-1][1] == style or letter == " "):
            runs[-1] = (runs[-1][0] + letter, runs[-1][1])
        else:
            runs.append((letter, style))
    return runs
