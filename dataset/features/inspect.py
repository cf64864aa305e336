"""State, previous controller and target of single frames side by side, and what every number of an encoded frame is.

Faults in alignment can be *seen* here: a jump must stand in the target one row above the first knee bend.
"""

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from dataset.codecs.base import Codec
from dataset.errors import ConfigError
from dataset.features.align import align
from dataset.features.encoder import controller_matrix
from dataset.features.layout import CLIP, FEATURES, INDICES, encoder_digest, zeroed
from dataset.melee.controller import BUTTONS, NUM_CONTROLLER_FLOATS, X, Y
from dataset.melee.ids import action_state_name, character_name, stage_name
from dataset.reporting.tables import table
from dataset.schema import SIDES, Columns

NEUTRAL_TEXT = "·"
DEFAULT_SPAN = 12
"""Frames shown if none are chosen."""

STATE_NAMES = (
    "action_state", "action_frame", "x", "y", "facing", "percent", "shield", "stocks", "jumps", "on_ground", "hitlag",
)  # fmt: skip
"""Columns of a player that are shown as they are."""

FrameRow = dict[str, Any]
"""One player in one frame, by column name."""


def parse_frames(text: str) -> tuple[int, int]:
    """``A:B`` as (A, B): Slippi frames from A up to, not including, B."""
    match = re.fullmatch(r"(-?\d+):(-?\d+)", text.strip())
    if match is None or int(match[1]) >= int(match[2]):
        raise ConfigError(f"--frames: must be A:B with A below B, as in 0:60 or -123:-100, found '{text}'")
    return int(match[1]), int(match[2])


def first_jump(columns: Columns) -> tuple[int, int]:
    """Frames around the first jump either player presses, or the first frames if nobody does."""
    frames = columns["frame"]
    pressed = [(columns[f"{side}_buttons"].astype(np.int64) & (X | Y)) != 0 for side in SIDES]
    onsets = np.flatnonzero(np.any([jump[1:] & ~jump[:-1] for jump in pressed], axis=0))
    first = int(frames[max(onsets[0] - DEFAULT_SPAN // 2, 0)]) if len(onsets) else int(frames[0])
    return first, first + DEFAULT_SPAN


def frame_rows(columns: Columns, codec: Codec, first: int, last: int) -> list[FrameRow]:
    """Both players in the frames from ``first`` up to, not including, ``last``, at delay 0.

    Raises:
        ConfigError: the replay has none of these frames.
    """
    frames = columns["frame"].astype(np.int64)
    chosen = np.flatnonzero((frames >= first) & (frames < last))
    if not len(chosen):
        raise ConfigError(
            f"--frames {first}:{last}: must overlap the replay's frames, found {frames[0]} to {frames[-1]}; choose among these"
        )
    return [row for side in SIDES for row in _side_rows(columns, codec, side, chosen)]


def _side_rows(columns: Columns, codec: Codec, side: str, chosen: NDArray[np.intp]) -> list[FrameRow]:
    controllers = controller_matrix(columns, side)
    aligned = align(codec.encode(controllers), columns["frame"].astype(np.int32), 0)
    previous, target = codec.decode(aligned.previous), codec.decode(aligned.target)
    return [
        {
            "frame": int(columns["frame"][t]),
            "side": side,
            "character": character_name(int(columns[f"{side}_character"][t])),
            "action": action_state_name(int(columns[f"{side}_action_state"][t])),
            **{name: _value(columns, f"{side}_{name}", t) for name in STATE_NAMES},
            "controller": controller_text(controllers[t]),
            "previous": controller_text(previous[t]),
            "target": controller_text(target[t]) if aligned.mask[t] else None,
        }
        for t in chosen.tolist()
    ]


def _value(columns: Columns, name: str, row: int) -> float | int | bool | None:
    """A cell as a plain number, ``None`` where it is not finite or the Slippi version lacks the column."""
    value: float | int | bool = columns[name][row].item() if name in columns else math.nan
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None
    return value


def controller_text(controller: NDArray[np.int32]) -> str:
    """A controller [6] in words: ``main -1.00 0  trigger 0.35  B Z``; controls at rest are left out."""
    main_x, main_y, c_x, c_y, trigger, buttons = controller.tolist()
    parts = [f"{stick} {_axis(x)} {_axis(y)}" for stick, x, y in (("main", main_x, main_y), ("c", c_x, c_y)) if x or y]
    parts += [f"trigger {trigger / 140:.2f}"] if trigger else []
    parts += [" ".join(name.upper().replace("_", "-") for name, bit in BUTTONS if buttons & bit)]
    return "  ".join(part for part in parts if part) or NEUTRAL_TEXT


def _axis(value: int) -> str:
    return f"{value / 80:+.2f}" if value else "0"


def frame_tables(rows: list[FrameRow], columns: Columns) -> list[Table]:
    """One table per player: state of frame t, controller t, and the p and target a policy meets at delay 0."""
    return [_side_table([row for row in rows if row["side"] == side], side, columns) for side in SIDES]


def _side_table(rows: list[FrameRow], side: str, columns: Columns) -> Table:
    title = f"side {side}: {rows[0]['character']} on {stage_name(int(columns['stage'][0]))}"
    shown = Table(title=title, title_justify="left", caption="* target differs from p", caption_justify="left")
    for name in ("frame", "action state", "at", "x", "y", "facing", "percent", "shield", "stocks", "ground"):
        shown.add_column(name, justify="left" if name == "action state" else "right", no_wrap=True)
    for name in ("controller t", "p", "target"):
        shown.add_column(name)
    for row in rows:
        is_change = row["target"] is not None and row["target"] != row["previous"]
        shown.add_row(
            str(row["frame"]),
            f"{row['action_state']} {row['action']}",
            _text(row["action_frame"], ".0f"),
            _text(row["x"], ".1f"),
            _text(row["y"], ".1f"),
            {1: "right", -1: "left"}.get(row["facing"], "0"),
            _text(row["percent"], ".1f"),
            _text(row["shield"], ".0f"),
            _text(row["stocks"], "d"),
            {True: "yes", False: "no"}.get(row["on_ground"], ""),
            row["controller"],
            row["previous"],
            "none" if row["target"] is None else ("* " if is_change else "") + row["target"],
        )
    return shown


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def layout(codec: Codec, features: str) -> dict[str, Any]:
    """What an encoded frame under a choice of feature groups consists of, as plain values."""
    zeros, index_zeros = map(frozenset, zeroed(features))
    return {
        "encoder_digest": encoder_digest(features),
        "choice": features,
        "codec": codec.name,
        "codec_digest": codec.digest,
        "features": [
            {"name": f.name, "scale": f.scale, "mirrored": f.is_mirrored, "held": row not in zeros}
            for row, f in enumerate(FEATURES)
        ],
        "indices": [
            {"name": name, "table_size": size, "held": row not in index_zeros}
            for row, (name, size) in enumerate(INDICES)
        ],
        "components": [{"name": name, "classes": size} for name, size in codec.components],
        "previous_controller": NUM_CONTROLLER_FLOATS,
    }


LEFT_OUT = "left out"


def layout_tables(codec: Codec, choice: str) -> list[Table]:
    """The continuous features with their scales, the indices with their tables, the codec with its classes.

    Features and indices that the choice of feature groups leaves out, which are 0, have ``left out`` for scale or table size.
    """
    zeros, index_zeros = zeroed(choice)
    one_hot = len(FEATURES) + NUM_CONTROLLER_FLOATS + sum(size for _, size in INDICES)
    scales = [LEFT_OUT if row in zeros else f"{feature.scale:.6g}" for row, feature in enumerate(FEATURES)]
    sizes = [LEFT_OUT if row in index_zeros else str(size) for row, (_, size) in enumerate(INDICES)]
    features = table(
        f"{len(FEATURES)} continuous features (scaled, clipped to ±{CLIP:g}, float16); choice {choice}",
        ("count", "scale", "mirrored"),
        [
            (name, str(len(rows)), scales[rows[0]], "negated" if FEATURES[rows[0]].is_mirrored else "")
            for name, rows in _grouped([feature.name for feature in FEATURES]).items()
        ],
    )
    features.caption_justify = "left"
    features.caption = (
        f"with {NUM_CONTROLLER_FLOATS} numbers of the previous controller and every index as one-hot: {one_hot}"
    )
    indices = table(
        f"{len(INDICES)} embedding indices (uint16)",
        ("count", "rows of its table"),
        [(name, str(len(rows)), sizes[rows[0]]) for name, rows in _grouped([name for name, _ in INDICES]).items()],
    )
    components = [(name, "1", str(size)) for name, size in codec.components]
    return [
        features,
        indices,
        table(f"codec {codec.name}, {len(components)} components", ("count", "classes"), components),
    ]


def _grouped(names: list[str]) -> dict[str, list[int]]:
    """Places of the names that differ only in the player or the item slot, under one: ``a|b_x``, ``item0…4_x``."""
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        group = re.sub(r"^item\d_", "item0…4_", re.sub(r"^[ab]_", "a|b_", name))
        groups.setdefault(group, []).append(place)
    return groups
