"""Breaches of the rules on frames, counted replay by replay in constant memory, and a replay's row compared with its frames."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dataset.codecs.base import Codec
from dataset.schema import COLUMNS, FIRST_FRAME, FRAMES_PER_SECOND, SIDES, Columns
from dataset.store.quality import QUALITY_SCHEMA, damage_taken, decided_winner, quality_of
from dataset.store.replay_table import ReplayRow, fitted
from dataset.verify.frame_rules import breaches, off_lattice, wrong_characters, wrong_version


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
        for rule, times, where in breaches(row, columns, (codec,)):
            getattr(self, rule).add(times, where)
        self.cpu_sticks += sum(len(off_lattice(columns, side)) for side in SIDES if row[f"type_{side}"] == "cpu")
        self._add_values(columns)

    @property
    def constant(self) -> list[str]:
        """Columns of the schema that hold one value in the whole store, or none at all."""
        return [c.name for c in COLUMNS if c.name not in self._seen or len(set(self._seen[c.name])) == 1]

    def _add_values(self, columns: Columns) -> None:
        for name, values in columns.items():
            if values.dtype.kind == "f":
                finite = np.isfinite(values)
                self.non_finite[name] += len(values) - int(finite.sum())
                values = values[finite]
            if len(values):
                low, high = self._seen.get(name, (np.inf, -np.inf))
                self._seen[name] = (min(low, float(values.min())), max(high, float(values.max())))


_WRITTEN_AGAIN = ("winner", *(f"damage_{side}" for side in SIDES), *QUALITY_SCHEMA.names)
"""What ``dataset.store.reencode.encode_quality`` writes."""


def contradictions(row: Mapping[str, Any], columns: Columns) -> list[str]:
    """Every value of a replay's ``row`` that its frames contradict, in words; quality that was never written is no fault.

    Characters are compared too: no other check would notice that the players of a game were exchanged before it was stored.
    """
    found = wrong_characters(row, columns) + wrong_version(row, columns)
    for name, value in fitted(_derived(row, columns)).items():
        if row.get(name) is None and name in QUALITY_SCHEMA.names:
            continue
        is_same = row[name] == (float(np.float32(value)) if isinstance(value, float) else value)
        if name == "frame_gaps" and row.get("repaired") is not None:  # those lost after the last frame leave no trace
            is_same = row[name] >= value
        hint = "; 'exphil encode --quality' writes it again" if name in _WRITTEN_AGAIN else ""
        found += [] if is_same else [f"{name} is {row[name]}, its frames say {value}{hint}"]
    return found


def _derived(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    frames = len(columns["frame"])
    derived: dict[str, Any] = {
        "frames_resimulated": int(np.count_nonzero(columns["resimulated"])),
        "frame_gaps": int(columns["frame"][-1]) - FIRST_FRAME + 1 - frames,
        "seconds": frames / FRAMES_PER_SECOND,
        **{f"stocks_{side}": int(columns[f"{side}_stocks"][-1]) for side in SIDES},
        **{f"damage_{side}": damage_taken(columns, other) for side, other in (SIDES, SIDES[::-1])},
    }
    return derived | decided_winner(columns, row["end_method"], row.get("quitter")) | quality_of(columns, row)
