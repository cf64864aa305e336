"""What must hold of the frames of every stored replay. Ingest refuses a replay that breaks a rule; ``exphil verify`` counts them.

Only humans' sticks must lie on the lattice. Computer players do not write theirs through the pad: in real replays they enter the
dead zone and leave the unit circle and even the 1/80 grid. No human's ever did. A healthy replay costs one look at every
column that a rule is about.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset.codecs.base import Codec
from dataset.features.encoder import controller_matrix
from dataset.melee.controller import (
    DIGITAL_SHOULDERS,
    STICK_DEAD_ZONE,
    STICK_RANGE,
    TRIGGER_DEAD_ZONE,
    TRIGGER_RANGE,
    Z,
)
from dataset.melee.ids import NUM_ACTION_STATES, NUM_CHARACTERS, NUM_STAGES, ZELDA_AND_SHEIK
from dataset.schema import COLUMNS, FIRST_FRAME, SIDES, Columns
from dataset.store.frame_table import missing_columns

LAST_FRAME = 2**24
"""77 hours: no game lasts as long, and from here on float32 does not tell one frame from the next."""

_LIMITS = {
    "action_state": (0, NUM_ACTION_STATES - 1),
    "character": (0, NUM_CHARACTERS - 1),
    "stage": (0, NUM_STAGES - 1),
    "facing": (-1, 1),
    "hurtbox": (0, 2),
    "owner": (-1, 1),
    "l_cancel": (0, 2),
}
"""Smallest and largest value of id columns, of every player, Nana and item."""

_LIMITED = [
    (column.name, *limits)
    for column in COLUMNS
    for suffix, limits in _LIMITS.items()
    if column.name == suffix or column.name.endswith(f"_{suffix}")
]


class Breach(NamedTuple):
    """One rule that a replay breaks."""

    rule: str
    """``order``, ``ids``, ``sticks``, ``triggers`` or ``codec``."""
    times: int
    """How many values break it."""
    where: str
    """The first of them, in words."""


def breaches(row: Mapping[str, Any], columns: Columns, codecs: Sequence[Codec]) -> Iterator[Breach]:
    """Every rule that a replay breaks.

    Args:
        row: its id, stage and kinds of players, as in the table of replays.
        columns: its frame-table columns.
        codecs: whose classes its controllers must keep when they are encoded twice.
    """
    yield from _order(row, columns)
    yield from _ids(row, columns)
    for side in SIDES:
        where = f"replay {row['id']}, side {side}"
        if row[f"type_{side}"] != "cpu":
            sticks = off_lattice(columns, side)
            if len(sticks):
                at = controller_matrix(columns, side)[sticks[0], :4].tolist()
                yield Breach("sticks", len(sticks), f"{where}: sticks {at}/80")
        trigger = columns[f"{side}_trigger"]
        triggers = np.flatnonzero(_IS_OFF_TRIGGER.take(trigger))
        if len(triggers):
            yield Breach("triggers", len(triggers), f"{where}: trigger {trigger[triggers[:1]].tolist()}/140")
        yield from _twice_encoded(where, columns, side, codecs)


def off_lattice(columns: Columns, side: str) -> NDArray[np.intp]:
    """Rows in which one of a side's sticks is where Melee never reads one: beyond the rim or inside the dead zone."""
    is_off = [_is_off_stick(columns[f"{side}_{stick}_x"], columns[f"{side}_{stick}_y"]) for stick in ("main", "c")]
    return np.flatnonzero(is_off[0] | is_off[1])


def _is_off_stick(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.bool_]:
    return _OFF_STICKS.take(x.view(np.uint8).astype(np.uint16) << 8 | y.view(np.uint8))


def wrong_characters(row: Mapping[str, Any], columns: Columns) -> list[str]:
    """Sides on which a character is played that nobody picked there, in words."""
    found = []
    for side in SIDES:
        picked, played = row[f"character_{side}"], columns[f"{side}_character"]
        if played.min() == played.max() == picked:
            continue
        seen = set(np.unique(played).tolist())
        if not seen <= ({picked} | (ZELDA_AND_SHEIK if picked in ZELDA_AND_SHEIK else set())):
            found.append(f"character_{side} is {picked}, its frames say {sorted(seen)}")
    return found


def wrong_version(row: Mapping[str, Any], columns: Columns) -> list[str]:
    """Columns that the replay's version does not record, or that it records and lacks, in words."""
    major, minor, patch = map(int, row["version"].split("."))
    version = (major, minor, patch)
    newer = [name for name, since in _SINCE if since > version and name in columns]
    lacking = missing_columns(columns, version)
    found = [f"version is {row['version']}, which has no {newer[0]}"] if newer else []
    return found + ([f"version is {row['version']}, which has {lacking[0]}"] if lacking else [])


_SINCE = [(column.name, column.since) for column in COLUMNS]


def _order(row: Mapping[str, Any], columns: Columns) -> Iterator[Breach]:
    frames: NDArray[Any] = columns["frame"]
    backward = np.flatnonzero(frames[1:] <= frames[:-1])
    if len(backward):
        step = frames[backward[0] : backward[0] + 2].tolist()
        yield Breach("order", len(backward), f"replay {row['id']}, frame {step[0]} is followed by {step[1]}")
    if frames[0] < FIRST_FRAME:
        yield Breach("order", 1, f"replay {row['id']} begins at frame {frames[0]}")
    if frames[-1] > LAST_FRAME:
        yield Breach("order", 1, f"replay {row['id']} ends at frame {frames[-1]}")


def _ids(row: Mapping[str, Any], columns: Columns) -> Iterator[Breach]:
    for name, smallest, largest in _LIMITED:
        values = columns.get(name)
        if values is not None and (values.min() < smallest or values.max() > largest):
            wide = values.astype(np.int64)
            yield _breach_of_ids(row, columns, name, (wide < smallest) | (wide > largest))
    elsewhere = columns["stage"] != row["stage"]
    if elsewhere.any():
        yield _breach_of_ids(row, columns, "stage", elsewhere)


def _breach_of_ids(row: Mapping[str, Any], columns: Columns, name: str, is_wrong: NDArray[np.bool_]) -> Breach:
    at = int(np.argmax(is_wrong))
    where = f"replay {row['id']}, frame {columns['frame'][at]}: {name} {columns[name][at]}"
    return Breach("ids", int(np.count_nonzero(is_wrong)), where)


def _twice_encoded(where: str, columns: Columns, side: str, codecs: Sequence[Codec]) -> Iterator[Breach]:
    """Controllers whose classes, decoded, encode to others.

    No other controllers are looked at than those with L or R clicked and a trigger that is not all the way down: a codec decodes
    each component by itself but for these, and ``codec_check`` tries every class of every component.
    """
    buttons: NDArray[Any] = columns[f"{side}_buttons"]
    trigger: NDArray[Any] = columns[f"{side}_trigger"]
    is_clicked = ((buttons & DIGITAL_SHOULDERS) != 0) & (trigger < TRIGGER_RANGE)
    rows = np.flatnonzero(is_clicked & ((buttons & Z) == 0)) if is_clicked.any() else ()
    if not len(rows):
        return
    clicked = controller_matrix(columns, side)[rows]
    clicked = clicked[(np.abs(clicked[:, :4]) <= STICK_RANGE).all(axis=-1)]
    for codec in codecs:
        classes = codec.encode(clicked)
        moved = np.flatnonzero((codec.encode(codec.decode(classes)) != classes).any(axis=-1))
        if len(moved):
            yield Breach("codec", len(moved), f"{where}: controller {clicked[moved[:1]].tolist()}")


def _off_sticks() -> NDArray[np.bool_]:
    """[65536] whether a stick is beyond the rim or inside the dead zone, by the bytes of x and y."""
    axis = np.arange(256).astype(np.uint8).view(np.int8).astype(np.int32)
    beyond = axis[:, None] ** 2 + axis**2 > STICK_RANGE**2
    is_inside = (axis != 0) & (np.abs(axis) < STICK_DEAD_ZONE)
    off: NDArray[np.bool_] = beyond | is_inside[:, None] | is_inside
    return off.ravel()


_OFF_STICKS = _off_sticks()
_TRIGGERS = np.arange(256)
_IS_OFF_TRIGGER = (_TRIGGERS != 0) & ((_TRIGGERS < TRIGGER_DEAD_ZONE) | (_TRIGGERS > TRIGGER_RANGE))
"""[256] whether Melee never reads a trigger of so many 140ths."""
