"""What must hold of every stored frame, counted replay by replay in constant memory, and of a replay's row beside its frames.

Only humans' sticks must lie on the lattice. Computer players do not write theirs through the pad: in real replays they enter the
dead zone and leave the unit circle and even the 1/80 grid. No human's ever did.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.codecs.base import Codec
from dataset.features.encoder import controller_matrix
from dataset.melee.controller import STICK_DEAD_ZONE, TRIGGER_DEAD_ZONE
from dataset.melee.ids import NUM_ACTION_STATES, NUM_CHARACTERS, NUM_STAGES, character_from_name
from dataset.schema import COLUMNS, FIRST_FRAME, SIDES, Columns
from dataset.store.frame_table import missing_columns
from dataset.store.quality import QUALITY_SCHEMA, damage_taken, quality_of
from dataset.store.replay_table import ReplayRow

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

_FRAMES_PER_SECOND = 60

_SHAPES = frozenset(character_from_name(name).internal for name in ("zelda", "sheik"))
"""Whoever picked one of these may play the other."""


@dataclass
class Faults:
    """Values that break one rule."""

    count: int = 0
    first: str = ""
    """The first of them, in words."""

    def add(self, count: int, where: str) -> None:
        """Count ``count`` more, found at ``where``."""
        if count and not self.count:
            self.first = where
        self.count += count


@dataclass
class FrameAudit:
    """Rules on the frame table; ``add`` every replay, then read the counts."""

    order: Faults = field(default_factory=Faults)
    ids: Faults = field(default_factory=Faults)
    sticks: Faults = field(default_factory=Faults)
    triggers: Faults = field(default_factory=Faults)
    codec: Faults = field(default_factory=Faults)
    cpu_sticks: int = 0
    """Frames in which a computer player's stick is off the lattice: reported, not a fault."""
    non_finite: Counter[str] = field(default_factory=Counter)
    """Non-finite values by column."""
    num_frames: int = 0
    _seen: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, row: ReplayRow, columns: Columns, codec: Codec) -> None:
        """Audit one replay."""
        self.num_frames += len(columns["frame"])
        self._add_order(row, columns)
        self._add_ids(row, columns)
        self._add_values(columns)
        for side in SIDES:
            self._add_controllers(row, side, controller_matrix(columns, side), codec)

    @property
    def constant(self) -> list[str]:
        """Columns of the schema that hold one value in the whole store, or none at all."""
        return [c.name for c in COLUMNS if c.name not in self._seen or len(set(self._seen[c.name])) == 1]

    def _add_order(self, row: ReplayRow, columns: Columns) -> None:
        frames = columns["frame"]
        backward = np.flatnonzero(np.diff(frames) <= 0)
        where = (
            f"replay {row['id']}, frame {frames[backward[0]]} is followed by {frames[backward[0] + 1]}"
            if len(backward)
            else ""
        )
        self.order.add(len(backward), where)
        self.order.add(int(frames[0] < FIRST_FRAME), f"replay {row['id']} begins at frame {frames[0]}")

    def _add_ids(self, row: ReplayRow, columns: Columns) -> None:
        for name, smallest, largest in _limited(columns):
            values = columns[name].astype(np.int64)
            outside = np.flatnonzero((values < smallest) | (values > largest))
            self.ids.add(len(outside), _at(row, columns, name, outside))
        elsewhere = np.flatnonzero(columns["stage"] != row["stage"])
        self.ids.add(len(elsewhere), _at(row, columns, "stage", elsewhere))

    def _add_values(self, columns: Columns) -> None:
        for name, values in columns.items():
            if values.dtype.kind == "f":
                finite = np.isfinite(values)
                self.non_finite[name] += len(values) - int(finite.sum())
                values = values[finite]
            if len(values):
                low, high = self._seen.get(name, (np.inf, -np.inf))
                self._seen[name] = (min(low, float(values.min())), max(high, float(values.max())))

    def _add_controllers(self, row: ReplayRow, side: str, controllers: NDArray[np.int32], codec: Codec) -> None:
        where = f"replay {row['id']}, side {side}"
        sticks = np.flatnonzero(_is_off_lattice(controllers[:, :2]) | _is_off_lattice(controllers[:, 2:4]))
        if row[f"type_{side}"] == "cpu":
            self.cpu_sticks += len(sticks)
        else:
            self.sticks.add(len(sticks), _sticks_at(where, controllers, sticks))
        trigger = controllers[:, 4]
        triggers = np.flatnonzero((trigger != 0) & ((trigger < TRIGGER_DEAD_ZONE) | (trigger > 140)))
        self.triggers.add(len(triggers), f"{where}: trigger {trigger[triggers[:1]].tolist()}/140")
        possible = controllers[(np.abs(controllers[:, :4]) <= 80).all(axis=-1) & (trigger <= 140)]
        classes = codec.encode(possible)
        moved = np.flatnonzero((codec.encode(codec.decode(classes)) != classes).any(axis=-1))
        self.codec.add(len(moved), f"{where}: controller {possible[moved[:1]].tolist()}")


def contradictions(row: Mapping[str, Any], columns: Columns) -> list[str]:
    """Every value of a replay's ``row`` that its frames contradict, in words; quality that was never written is no fault.

    Characters are compared too: no other check would notice that the players of a game were exchanged before it was stored.
    """
    found = _wrong_characters(row, columns) + _wrong_version(row, columns)
    for name, value in _derived(row, columns).items():
        if row.get(name) is None and name in QUALITY_SCHEMA.names:
            continue
        is_same = row[name] == (float(np.float32(value)) if isinstance(value, float) else value)
        hint = "; 'exphil encode --quality' writes it again" if name in QUALITY_SCHEMA.names else ""
        found += [] if is_same else [f"{name} is {row[name]}, its frames say {value}{hint}"]
    return found


def _wrong_characters(row: Mapping[str, Any], columns: Columns) -> list[str]:
    """Sides on which a character is played that nobody picked there."""
    found = []
    for side in SIDES:
        picked, seen = row[f"character_{side}"], set(np.unique(columns[f"{side}_character"]).tolist())
        if not seen <= ({picked} | (_SHAPES if picked in _SHAPES else set())):
            found.append(f"character_{side} is {picked}, its frames say {sorted(seen)}")
    return found


def _wrong_version(row: Mapping[str, Any], columns: Columns) -> list[str]:
    """Columns that the replay's version does not record, or that it records and lacks."""
    major, minor, patch = map(int, row["version"].split("."))
    version = (major, minor, patch)
    newer = [c.name for c in COLUMNS if c.since > version and c.name in columns]
    lacking = missing_columns(columns, version)
    found = [f"version is {row['version']}, which has no {newer[0]}"] if newer else []
    return found + ([f"version is {row['version']}, which has {lacking[0]}"] if lacking else [])


def _derived(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    frames = len(columns["frame"])
    stocks = {side: int(columns[f"{side}_stocks"][-1]) for side in SIDES}
    derived: dict[str, Any] = {
        "frames_resimulated": int(np.count_nonzero(columns["resimulated"])),
        "frame_gaps": int(columns["frame"][-1]) - FIRST_FRAME + 1 - frames,
        "seconds": frames / _FRAMES_PER_SECOND,
        **{f"stocks_{side}": stocks[side] for side in SIDES},
        **{f"damage_{side}": damage_taken(columns, other) for side, other in (SIDES, SIDES[::-1])},
    }
    if min(stocks.values()) == 0 < max(stocks.values()):  # else the frames alone do not decide
        derived["winner"] = max(SIDES, key=lambda side: stocks[side])
    return derived | quality_of(columns, row)


def _limited(columns: Columns) -> Iterator[tuple[str, int, int]]:
    for name in columns:
        for suffix, (smallest, largest) in _LIMITS.items():
            if name == suffix or name.endswith(f"_{suffix}"):
                yield name, smallest, largest


def _at(row: ReplayRow, columns: Columns, name: str, rows: NDArray[np.intp]) -> str:
    if not len(rows):
        return ""
    return f"replay {row['id']}, frame {columns['frame'][rows[0]]}: {name} {columns[name][rows[0]]}"


def _is_off_lattice(stick: NDArray[np.int32]) -> NDArray[np.bool_]:
    """[N] whether a stick [N, 2] is where Melee never reads it: beyond the rim or inside the dead zone."""
    beyond = (stick * stick).sum(axis=-1) > 80 * 80
    inside = ((stick != 0) & (np.abs(stick) < STICK_DEAD_ZONE)).any(axis=-1)
    off: NDArray[np.bool_] = beyond | inside
    return off


def _sticks_at(where: str, controllers: NDArray[np.int32], rows: NDArray[np.intp]) -> str:
    return f"{where}: sticks {controllers[rows[0], :4].tolist()}/80" if len(rows) else ""
