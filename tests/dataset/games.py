"""Hand-made frame tables for techniques: games as spans of both players."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from dataset.melee.ids import stage_from_name
from dataset.schema import FIRST_FRAME, SIDES

FALCO, MEWTWO = 22, 16
STAGE = stage_from_name("final_destination").number

Span = tuple[Any, ...]
"""(action state, frames) and, where they matter, a dict of columns: ``l_cancel`` on the first frame; the others throughout, or
a list with one value a frame. ``action_frame`` counts up by itself."""


def game(a: Sequence[Span], b: Sequence[Span] = (), replay: str = "r1") -> pl.DataFrame:
    """The frames of one game; a side with no spans, or too few, stands still to the end (14)."""
    length = max(sum(span[1] for span in side) for side in (a, b))
    columns: dict[str, Any] = {"replay": [replay] * length, "frame": range(FIRST_FRAME, FIRST_FRAME + length)}
    columns["stage"] = [STAGE] * length
    for side, spans in zip(SIDES, (a, b), strict=True):
        rows = [row for span in spans for row in _rows(span)]
        rows += _rows((14, length - len(rows)))
        columns |= {f"{side}_{name}": [row[name] for row in rows] for name in _TYPES}
    types = {f"{side}_{name}": kind for side in SIDES for name, kind in _TYPES.items()}
    return pl.DataFrame(columns, schema_overrides={"frame": pl.Int32, "stage": pl.UInt8, **types})


_TYPES = {
    "character": pl.UInt8,
    "action_state": pl.UInt16,
    "action_frame": pl.Float32,
    "x": pl.Float32,
    "y": pl.Float32,
    "percent": pl.Float32,
    "stocks": pl.UInt8,
    "hitlag": pl.Float32,
    "last_hit_by": pl.UInt8,
    "l_cancel": pl.UInt8,
    "facing": pl.Int8,
    "on_ground": pl.Boolean,
    "speed_attack_x": pl.Float32,
    "speed_attack_y": pl.Float32,
    "last_attack_landed": pl.UInt8,
    **dict.fromkeys(("main_x", "main_y", "c_x", "c_y"), pl.Int8),
    **dict.fromkeys(("trigger", "trigger_l", "trigger_r"), pl.UInt8),
    "buttons": pl.UInt16,
}

_BASE = {
    "character": FALCO,
    "x": 0.0,
    "y": 0.0,
    "percent": 0.0,
    "stocks": 4,
    "hitlag": 0.0,
    "last_hit_by": 6,
    "l_cancel": 0,
    "facing": 1,
    "on_ground": True,
    **dict.fromkeys(("speed_attack_x", "speed_attack_y"), 0.0),
    **dict.fromkeys(("last_attack_landed", "buttons"), 0),
    **dict.fromkeys(("main_x", "main_y", "c_x", "c_y", "trigger", "trigger_l", "trigger_r"), 0),
}


def _rows(span: Span) -> list[dict[str, Any]]:
    state, frames, *rest = span
    given = rest[0] if rest else {}
    rows = []
    for number in range(frames):
        told = {name: value[number] if isinstance(value, list) else value for name, value in given.items()}
        if number:
            told.pop("l_cancel", None)
        rows.append(_BASE | {"action_state": state, "action_frame": float(number)} | told)
    return rows
