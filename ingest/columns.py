"""From peppi's Arrow frames to frame-table columns, vectorised over Arrow's buffers.

In: the StructArray of all recorded frames, rolled-back copies included. Out: ``Columns`` with one row a frame, strictly
increasing, and an audit of what did not fit. The surprise: a field's place in Arrow is the ``source`` its column states in
``dataset.schema``; only the few that change their nature on the way are named here.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dataset.errors import ReplayError
from dataset.items import assign_slots
from dataset.schema import (
    CONTROLLER_COLUMNS,
    FIRST_FRAME,
    ITEM_COLUMNS,
    NUM_ITEM_SLOTS,
    PHYSICAL_COLUMNS,
    RECORD_COLUMNS,
    SIDES,
    STATE_COLUMNS,
    Column,
)

Rollback = Literal["last", "first"]
Values = NDArray[Any]
Rows = NDArray[np.int64] | None
"""Rows to keep, ascending; ``None`` keeps all without a copy."""

STICK_UNITS = np.float32(80)
TRIGGER_UNITS = np.float32(140)
_STICKS = ("main_x", "main_y", "c_x", "c_y")
_TRIGGERS = ("trigger", "trigger_l", "trigger_r")


@dataclass(frozen=True)
class Extracted:
    """One replay's rows and what was noticed while taking them."""

    columns: dict[str, Values]
    frames_resimulated: int
    """Rows of which more than one copy was recorded."""
    frame_gaps: int
    """Frames between the first and the last that have no row."""
    non_finite: Counter[str] = field(default_factory=Counter)
    """NaN and infinite values by column; they are stored as they are."""
    off_lattice: int = 0
    """Stick and trigger values between lattice points (CPU players' sticks are): stored as the nearest point."""


@np.errstate(over="ignore", invalid="ignore")  # recorded NaN and infinity are data
def extract(frames: pa.StructArray, ports: tuple[int, int], stage: int, rollback: Rollback) -> Extracted:
    """Columns of the two players on ``ports``.

    Args:
        frames: peppi's frames.
        ports: physical ports of sides a and b, ascending, 1–4.
        stage: stage index, repeated in every row.
        rollback: which copy of a re-simulated frame is kept.

    Raises:
        ReplayError: no frame holds both players.
    """
    taker = _Taker(frames, ports, rollback)
    if not len(taker.resimulated):
        raise ReplayError("no_frames", "replay: a game has frames with both players in them, found none")
    columns = taker.columns
    columns["frame"] = taker.take(taker.ids)
    columns["resimulated"] = taker.resimulated
    columns["stage"] = np.full(len(columns["frame"]), stage, dtype=np.uint8)
    for side, port in zip(SIDES, ports, strict=True):
        taker.take_player(side, port)
    if _has(frames, "item"):
        taker.take_items(frames.field("item"), ports)
    num_rows = len(columns["frame"])
    expected = int(columns["frame"][-1]) - FIRST_FRAME + 1
    return Extracted(columns, int(taker.resimulated.sum()), expected - num_rows, taker.non_finite, taker.off_lattice)


def kept_rows(ids: NDArray[np.int32], rollback: Rollback) -> tuple[Rows, NDArray[np.bool_]]:
    """Rows holding the wanted copy of each frame id, in frame order, and which of them had further copies."""
    if np.all(ids[1:] > ids[:-1]):
        return None, np.zeros(len(ids), dtype=np.bool_)
    if rollback == "first":
        _, rows, copies = np.unique(ids, return_index=True, return_counts=True)
    else:
        _, rows, copies = np.unique(ids[::-1], return_index=True, return_counts=True)
        rows = len(ids) - 1 - rows
    return rows.astype(np.int64), copies > 1


def _few_slices(rows: Rows) -> list[slice] | None:
    """The rows as slices if they are few: a frame seldom simulated again leaves long runs, which copy fast."""
    if rows is None or not len(rows):
        return None
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    if len(breaks) >= _MAX_SLICES:
        return None
    begins, ends = [0, *breaks.tolist()], [*breaks.tolist(), len(rows)]
    return [slice(int(rows[begin]), int(rows[end - 1]) + 1) for begin, end in zip(begins, ends, strict=True)]


_MAX_SLICES = 16


class _Taker:
    """Takes columns at the kept rows, auditing as it goes."""

    def __init__(self, frames: pa.StructArray, ports: tuple[int, int], rollback: Rollback) -> None:
        self._frames = frames
        self.ids: NDArray[np.int32] = frames.field("id").to_numpy()
        self.columns: dict[str, Values] = {}
        self.non_finite: Counter[str] = Counter()
        self.off_lattice = 0
        self._slices: list[slice] | None = None
        self.rows, self.resimulated = kept_rows(self.ids, rollback)
        self._leave_out_rows_without_both(ports)
        self._slices = _few_slices(self.rows)

    def _leave_out_rows_without_both(self, ports: tuple[int, int]) -> None:
        """A frame in which a player's records are missing (the recording broke off) has no row."""
        for port in ports:
            leader = self._port(port).field("leader")
            for records in (leader, leader.field("pre"), leader.field("post")):
                if records.null_count:
                    is_there = self.take(_validity(records))
                    rows = np.arange(len(self.ids)) if self.rows is None else self.rows
                    self.rows, self.resimulated = rows[is_there], self.resimulated[is_there]

    def _port(self, port: int) -> pa.StructArray:
        return self._frames.field("ports").field(f"P{port}")

    def take(self, values: Values) -> Values:
        """Values at the kept rows."""
        if self.rows is None:
            return values
        if self._slices is not None:
            return np.concatenate([values[kept] for kept in self._slices])
        return values.take(self.rows)

    def take_player(self, side: str, port: int) -> None:
        """All columns of one player, Nana's too."""
        fighter = self._port(port)
        leader = fighter.field("leader")
        for column in _COLUMNS:
            values = _at(leader, column)
            if values is not None:
                self._add(f"{side}_{column.name}", column, self.take(values.to_numpy()))
        self.columns[f"{side}_nana_exists"] = np.zeros(len(self.resimulated), dtype=np.bool_)
        if _has(fighter, "follower"):
            self._take_nana(side, fighter.field("follower"))

    def _take_nana(self, side: str, follower: pa.StructArray) -> None:
        exists = self.take(_validity(follower) & _validity(follower.field("post")))
        if not exists.any():
            return
        self.columns[f"{side}_nana_exists"] = exists
        for column in STATE_COLUMNS[1:]:
            values = _at(follower, column)
            if values is not None:
                there = np.where(exists, self.take(_dense(values)), 0)
                self._add(f"{side}_nana_{column.name}", column, there, exists)

    def take_items(self, items: pa.ListArray, ports: tuple[int, int]) -> None:
        """All item columns, each item in the slot it keeps while it lives."""
        positions, offsets = _list_positions(items, self.rows)
        values = items.values
        slots = assign_slots(values.field("id").to_numpy()[positions], offsets)
        self.columns["num_items"] = np.minimum(np.diff(offsets), 255).astype(np.uint8)
        sources = [(column, _at(values, column)) for column in ITEM_COLUMNS]
        found = {c.name: (c.dtype, _item_values(c.name, source, ports)) for c, source in sources if source is not None}
        for slot in range(NUM_ITEM_SLOTS):
            rows = np.flatnonzero(slots[:, slot] >= 0)
            places = positions[slots[rows, slot]]
            for name, (dtype, of_items) in found.items():
                column = np.zeros(len(self.resimulated), dtype=dtype)
                if len(rows):
                    taken = of_items[places]
                    self._audit(f"item{slot}_{name}", taken)
                    column[rows] = taken
                self.columns[f"item{slot}_{name}"] = column

    def _add(self, name: str, column: Column, values: Values, exists: NDArray[np.bool_] | None = None) -> None:
        self._audit(name, values)
        if column.name in _STICKS:
            values = self._on_lattice(values, STICK_UNITS, -80, 80)
        elif column.name in _TRIGGERS:
            if column.name != "trigger" and not (values.min() >= 0 and values.max() * TRIGGER_UNITS < 255.5):
                return  # recorders up to 1.0 wrote no right trigger: what stands in its place is not one
            values = self._on_lattice(values, TRIGGER_UNITS, 0, 255)
        elif column.name in _CONVERSIONS:
            values = _CONVERSIONS[column.name](values)
            values = values if exists is None else values * exists
        self.columns[name] = values.astype(column.dtype, copy=False)

    def _on_lattice(self, values: Values, units: np.float32, lowest: int, highest: int) -> Values:
        whole: Values = np.rint(values * units)
        if not (whole.min() >= lowest and whole.max() <= highest):  # or not a number
            whole = np.clip(np.nan_to_num(whole), lowest, highest)
        self.off_lattice += int(np.count_nonzero(whole / units != values))
        return whole

    def _audit(self, name: str, values: Values) -> None:
        if values.dtype.kind == "f" and not np.isfinite(np.add.reduce(values)):
            count = int(np.count_nonzero(~np.isfinite(values)))
            if count:  # a sum overflows on large values too
                self.non_finite[name] += count


def _item_values(name: str, source: pa.Array, ports: tuple[int, int]) -> Values:
    """One column of all items."""
    if name == "misc":
        packed: Values = sum(source.field(i).to_numpy().astype(np.uint32) << np.uint32(8 * i) for i in range(4))
        return packed
    values: Values = source.to_numpy()
    if name == "kind":
        values = np.minimum(values.astype(np.int64) + 1, 255)
    elif name == "owner":
        values = (values == ports[0] - 1).astype(np.int8) - (values == ports[1] - 1).astype(np.int8)
    return values


def _facing(values: Values) -> Values:
    facing: Values = (values > 0).view(np.int8) * np.int8(2) - np.int8(1)
    return facing


def _on_ground(values: Values) -> Values:
    on_ground: Values = values == 0
    return on_ground


_CONVERSIONS: dict[str, Callable[[Values], Values]] = {"facing": _facing, "on_ground": _on_ground}


def _path(source: str) -> tuple[str, ...]:
    path = source.split()[0].split(".")
    return tuple(path if path[0] != "item" else path[1:])


_COLUMNS = (*STATE_COLUMNS, *RECORD_COLUMNS, *CONTROLLER_COLUMNS, *PHYSICAL_COLUMNS)
_PATHS = {column.source: _path(column.source) for column in (*_COLUMNS, *ITEM_COLUMNS)}


def _at(records: pa.StructArray, column: Column) -> pa.Array | None:
    """The field a column comes from, or ``None`` where the replay's version lacks it."""
    for part in _PATHS[column.source]:
        index = records.type.get_field_index(part)
        if index < 0:
            return None
        records = records.field(index)
    return records


def _has(records: pa.StructArray, name: str) -> bool:
    index: int = records.type.get_field_index(name)
    return index >= 0


def _validity(records: pa.Array) -> NDArray[np.bool_]:
    valid: NDArray[np.bool_] = records.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _dense(values: pa.Array) -> Values:
    """Values with zeros for nulls."""
    filled = values.fill_null(0) if values.null_count else values
    dense: Values = filled.to_numpy(zero_copy_only=False)
    return dense


def _list_positions(lists: pa.ListArray, rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the kept rows' list elements stand in ``lists.values``, and where each row's begin among them [N + 1]."""
    bounds = lists.offsets.to_numpy().astype(np.int64)
    starts, counts = bounds[:-1], np.diff(bounds)
    if rows is not None:
        starts, counts = starts[rows], counts[rows]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    positions = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)
    return positions, offsets
