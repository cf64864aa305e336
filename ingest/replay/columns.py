"""Turns peppi's Arrow frames into frame-table columns with one row a frame, and audits the values on the way.

A column's place in Arrow is the ``source`` that ``dataset.schema`` states. Only the few that are converted are named here.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dataset.errors import ReplayError
from dataset.melee.item_slots import assign_slots
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
from ingest.options import Rollback

Values = NDArray[Any]
Rows = NDArray[np.int64] | None
"""Rows to keep, ascending; ``None`` keeps all without a copy."""

_Places = dict[str, tuple[int, np.dtype[Any]]]

STICK_UNITS = np.float32(80)
TRIGGER_UNITS = np.float32(140)
_STICKS = ("main_x", "main_y", "c_x", "c_y")
_TRIGGERS = ("trigger", "trigger_l", "trigger_r")


@dataclass(frozen=True)
class Extracted:
    """One replay's rows and what was noticed while extracting them."""

    columns: dict[str, Values]
    frames_resimulated: int
    """Rows of which more than one copy was recorded."""
    frame_gaps: int
    """Frames between the first and the last that have no row."""
    non_finite: Counter[str] = field(default_factory=Counter)
    """NaN and infinite values by column; they are stored as they are."""
    off_lattice: int = 0
    """Stick and trigger values between lattice points (CPU players' sticks are): stored as the nearest point."""
    is_shifted: bool = False
    """Whether a player's records do not join: peppi may have put a run of pre or post frames into the wrong rows."""


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
    extraction = _Extraction(frames, ports, rollback)
    if not len(extraction.resimulated):
        raise ReplayError("no_frames", "replay: a game has frames with both players in them, found none")
    columns = extraction.columns
    columns["frame"] = extraction.take(extraction.ids)
    columns["resimulated"] = extraction.resimulated
    columns["stage"] = np.full(len(columns["frame"]), stage, dtype=np.uint8)
    for side, port in zip(SIDES, ports, strict=True):
        extraction.take_player(side, port)
    extraction.take_items(ports)
    num_rows = len(columns["frame"])
    expected = int(columns["frame"][-1]) - FIRST_FRAME + 1
    num_resimulated = int(extraction.resimulated.sum())
    return Extracted(
        columns,
        num_resimulated,
        expected - num_rows,
        extraction.non_finite,
        extraction.off_lattice,
        any(extraction.is_shifted(port) for port in ports),
    )


def kept_rows(ids: NDArray[np.int32], rollback: Rollback) -> tuple[Rows, NDArray[np.bool_]]:
    """Rows holding the wanted copy of each frame id, in frame order, and which of them had further copies."""
    if np.all(ids[1:] > ids[:-1]):
        return None, np.zeros(len(ids), dtype=np.bool_)
    order = np.argsort(ids, kind="stable")  # quick, since the ids are almost sorted
    is_next = np.diff(ids[order]) != 0
    first, last = order[np.append(True, is_next)], order[np.append(is_next, True)]
    return (first if rollback == "first" else last), first != last


def _few_slices(rows: Rows) -> list[slice] | None:
    """The rows as slices if they are few: where frames are seldom simulated again, long runs can be copied at once."""
    if rows is None or not len(rows):
        return None
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    if len(breaks) >= _MAX_SLICES:
        return None
    begins, ends = [0, *breaks.tolist()], [*breaks.tolist(), len(rows)]
    return [slice(int(rows[begin]), int(rows[end - 1]) + 1) for begin, end in zip(begins, ends, strict=True)]


_MAX_SLICES = 16


class _Extraction:
    """Takes columns at the kept rows and audits them."""

    def __init__(self, frames: pa.StructArray, ports: tuple[int, int], rollback: Rollback) -> None:
        self._buffers = FrameBuffers(frames)
        self.ids: NDArray[np.int32] = self._buffers.values("id")
        self.columns: dict[str, Values] = {}
        self.non_finite: Counter[str] = Counter()
        self.off_lattice = 0
        self._slices: list[slice] | None = None
        self.rows, self.resimulated = kept_rows(self.ids, rollback)
        self._leave_out_rows_without_both(ports)
        self._slices = _few_slices(self.rows)

    def _leave_out_rows_without_both(self, ports: tuple[int, int]) -> None:
        """A frame in which a player's records are missing (the recording broke off) has no row."""
        for path in (f"ports.P{port}.leader{records}" for port in ports for records in ("", ".pre", ".post")):
            present = self._buffers.is_present(path)
            present = None if present is None else self.take(present)
            if present is not None and not present.all():
                rows = np.arange(len(self.ids)) if self.rows is None else self.rows
                self.rows, self.resimulated = rows[present], self.resimulated[present]

    def is_shifted(self, port: int) -> bool:
        """Whether for some frames a player's pre frames begin where the post frame beside the last one ended.

        That happens where a record is missing and another doubled, because peppi lists records one after the other. In sound
        replays something else moves a player for one frame at most; up to Slippi 2.2 hitlag did for longer.
        """
        leader = f"ports.P{port}.leader"
        if f"{leader}.pre.position.x" not in self._buffers:
            return False
        pre, post = (
            [self._buffers.values(f"{leader}.{record}.position.{axis}") for axis in "xy"] for record in ("pre", "post")
        )

        def is_apart(frames: int) -> NDArray[np.bool_]:
            x, y = (a[1 + frames :] != b[: len(b) - 1 - frames] for a, b in zip(pre, post, strict=True))
            apart: NDArray[np.bool_] = x | y
            return apart

        is_break = is_apart(0) & (self.ids[1:] - self.ids[:-1] == 1)
        if not _has_run(is_break, 2):
            return False
        too_early, too_late = is_break[:-1] & ~is_apart(1), is_break & ~is_apart(-1)[:-1]
        return _has_run(too_early, 2) or _has_run(too_late, 2 if "end" in self._buffers else 16)

    def take(self, values: Values) -> Values:
        """Values at the kept rows."""
        if self.rows is None:
            return values
        if self._slices is not None:
            return np.concatenate([values[kept] for kept in self._slices])
        return values.take(self.rows, mode="wrap")  # no row is out of bounds, and checking takes half as long again

    def take_player(self, side: str, port: int) -> None:
        """All columns of one player, Nana's too."""
        fighter = f"ports.P{port}"
        for column, source in _COLUMNS:
            path = f"{fighter}.leader.{source}"
            if path in self._buffers:
                self._add(f"{side}_{column.name}", column, self.take(self._buffers.values(path)))
        self.columns[f"{side}_nana_exists"] = np.zeros(len(self.resimulated), dtype=np.bool_)
        if f"{fighter}.follower" in self._buffers:
            self._take_nana(side, f"{fighter}.follower")

    def _take_nana(self, side: str, follower: str) -> None:
        exists = np.ones(len(self.resimulated), dtype=np.bool_)
        for path in (follower, f"{follower}.post"):
            present = self._buffers.is_present(path)
            if present is not None:
                exists &= self.take(present)
        if not exists.any():
            return
        self.columns[f"{side}_nana_exists"] = exists
        for column, path in _NANA_COLUMNS:
            if f"{follower}.{path}" in self._buffers:
                values = np.where(exists, self.take(self._buffers.values(f"{follower}.{path}")), 0)
                self._add(f"{side}_nana_{column.name}", column, values, exists)

    def take_items(self, ports: tuple[int, int]) -> None:
        """All item columns, each item in the slot it keeps while it lives."""
        if "item.id" not in self._buffers:
            return
        bounds = self._buffers.values("item.offsets", len(self.ids) + 1).astype(np.int64)
        positions, offsets = _list_positions(bounds, self.rows)
        held = assign_slots(self._buffers.values("item.id", int(bounds[-1])).take(positions), offsets)
        items = positions.take(held.positions)
        self.columns["num_items"] = np.minimum(np.diff(offsets), 255).astype(np.uint8)
        num_rows, num_used = len(self.resimulated), int(held.slots.max(initial=-1)) + 1
        cells = held.slots * num_rows + held.rows
        empty = np.zeros(num_rows, dtype=np.uint32)
        empty.flags.writeable = False  # many columns share it
        for column, path in _ITEM_COLUMNS:
            values = self._item_values(column.name, path, int(bounds[-1]), items, ports)
            if values is None:
                continue
            slots = np.zeros((num_used, num_rows), dtype=column.dtype)
            slots.reshape(-1)[cells] = values
            is_finite = _is_surely_finite(values)
            for slot in range(NUM_ITEM_SLOTS):
                name = f"item{slot}_{column.name}"
                self.columns[name] = slots[slot] if slot < num_used else empty.view(column.dtype)[:num_rows]
                if not is_finite:
                    self._audit(name, self.columns[name])

    def _item_values(
        self, name: str, path: str, count: int, items: NDArray[np.int64], ports: tuple[int, int]
    ) -> Values | None:
        """One column of some of all ``count`` items, or ``None`` where the version lacks it."""
        if path not in self._buffers:
            return None
        if name == "misc":
            parts = [self._buffers.values(f"{path}.{i}", count).take(items).astype(np.uint32) for i in range(4)]
            misc: Values = parts[0] | parts[1] << np.uint32(8) | parts[2] << np.uint32(16) | parts[3] << np.uint32(24)
            return misc
        values = self._buffers.values(path, count).take(items)
        if name == "kind":
            values = np.minimum(values, 254) + 1
        elif name == "owner":
            values = (values == ports[0] - 1).astype(np.int8) - (values == ports[1] - 1).astype(np.int8)
        return values

    def _add(self, name: str, column: Column, values: Values, exists: NDArray[np.bool_] | None = None) -> None:
        self._audit(name, values)
        if column.name in _STICKS:
            values = self._on_lattice(values, STICK_UNITS, -80, 80)
        elif column.name in _TRIGGERS:
            if column.name != "trigger" and not (values.min() >= 0 and values.max() * TRIGGER_UNITS < 255.5):
                return  # recorders up to 1.0 wrote no right trigger, but whatever stood in memory
            values = self._on_lattice(values, TRIGGER_UNITS, 0, 140 if column.name == "trigger" else 255)
        elif column.name in _CONVERSIONS:
            values = _CONVERSIONS[column.name](values)
            values = values if exists is None else values * exists
        self.columns[name] = values.astype(column.dtype, copy=False)

    def _on_lattice(self, values: Values, units: np.float32, lowest: int, highest: int) -> Values:
        whole: Values = values * units
        np.rint(whole, out=whole)
        if not (whole.min() >= lowest and whole.max() <= highest):  # or not a number
            whole = np.clip(np.nan_to_num(whole), lowest, highest)
        self.off_lattice += int(np.count_nonzero(whole / units != values))
        return whole

    def _audit(self, name: str, values: Values) -> None:
        if not _is_surely_finite(values):
            count = int(np.count_nonzero(~np.isfinite(values)))
            if count:
                self.non_finite[name] += count


def _has_run(is_so: NDArray[np.bool_], length: int) -> bool:
    """Whether so many in a row are true."""
    others = np.flatnonzero(np.concatenate([[True], ~is_so, [True]]))
    return bool(np.diff(others).max() > length)


def _is_surely_finite(values: Values) -> bool:
    """Judged by their sum, in a third of the time of a look at each; False may be wrong, because large values overflow it."""
    return values.dtype.kind != "f" or isfinite(np.add.reduce(values))


def _facing(values: Values) -> Values:
    facing: Values = (values > 0).view(np.int8) * np.int8(2) - np.int8(1)
    return facing


def _on_ground(values: Values) -> Values:
    on_ground: Values = values == 0
    return on_ground


_CONVERSIONS: dict[str, Callable[[Values], Values]] = {"facing": _facing, "on_ground": _on_ground}


def _with_paths(columns: tuple[Column, ...]) -> list[tuple[Column, str]]:
    return [(column, column.source.split()[0]) for column in columns]


_COLUMNS = _with_paths((*STATE_COLUMNS, *RECORD_COLUMNS, *CONTROLLER_COLUMNS, *PHYSICAL_COLUMNS))
_NANA_COLUMNS = _with_paths(STATE_COLUMNS[1:])
_ITEM_COLUMNS = _with_paths(ITEM_COLUMNS)


def _list_positions(bounds: NDArray[np.int64], rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the kept rows' list elements among all, and where each row's elements begin among those [N + 1].

    ``bounds`` [all rows + 1] holds where each row's list begins, and the end of the last.
    """
    if rows is None:
        return np.arange(bounds[-1]), bounds
    starts, counts = bounds[rows], np.diff(bounds)[rows]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    positions = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)
    return positions, offsets


class FrameBuffers:
    """The numbers of a nested Arrow array as numpy views of its buffers, by dotted paths (``ports.P1.leader.post.stocks``).

    A list's elements go by the list's own path, its offsets by that and ``.offsets``. All buffers are fetched at once: walking
    down with ``field`` makes Python objects at every step, which takes longer than all work on the numbers.
    """

    def __init__(self, array: pa.StructArray) -> None:
        assert array.offset == 0, "peppi cuts nothing off"
        self._length = len(array)
        self._buffers = array.buffers()
        self._places = _places(array.type)

    def __contains__(self, path: str) -> bool:
        return path in self._places

    def values(self, path: str, count: int | None = None) -> Values:
        """The numbers at ``path``, as many as the array has records unless ``count`` says otherwise."""
        index, dtype = self._places[path]
        count = self._length if count is None else count
        return np.frombuffer(self._buffers[index], dtype, count) if count else np.empty(0, dtype)

    def is_present(self, path: str) -> NDArray[np.bool_] | None:
        """[N] which of the records at ``path`` are not null; ``None`` where all are."""
        bits = self._buffers[self._places[path][0]]
        if bits is None:
            return None
        return np.unpackbits(np.frombuffer(bits, np.uint8), count=self._length, bitorder="little").view(np.bool_)


_KNOWN: dict[str, _Places] = {}
"""By the type as text, which is quicker than comparing types; peppi makes one for each Slippi version and set of ports."""


def _places(kind: pa.StructType) -> _Places:
    """Where the numbers and the records' validity bits stand among the buffers."""
    words = str(kind)
    if words not in _KNOWN:
        places: _Places = {}
        _walk(kind, "", 0, places)
        _KNOWN[words] = places
    return _KNOWN[words]


def _walk(kind: pa.DataType, path: str, index: int, places: _Places) -> int:
    """Add everything below ``path``, whose first buffer is number ``index``; returns the number of the buffer after it."""
    after: int = index + kind.num_buffers
    if pa.types.is_struct(kind):
        places[path] = index, np.dtype(np.bool_)
        for child in kind:
            after = _walk(child.type, f"{path}.{child.name}" if path else child.name, after, places)
    elif pa.types.is_list(kind):
        places[f"{path}.offsets"] = index + 1, np.dtype(np.int32)
        after = _walk(kind.value_type, path, after, places)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        places[path] = index + 1, _dtype(kind)
    return after


def _dtype(kind: pa.DataType) -> np.dtype[np.generic]:
    """The numpy dtype of a number; Arrow's own answer would import pandas."""
    letter = "f" if pa.types.is_floating(kind) else "i" if pa.types.is_signed_integer(kind) else "u"
    return np.dtype(f"{letter}{kind.bit_width // 8}")
