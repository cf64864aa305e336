"""What the table of replays says of a game, held against what the game's frames tell.

In: a replay's row and its columns. Out: in words, whatever differs. The surprise: characters are compared too, because nothing
else would notice if the players of a game had been exchanged before they were stored.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dataset.melee.ids import character_from_name
from dataset.schema import COLUMNS, FIRST_FRAME, SIDES, Columns
from dataset.store.frame_table import missing_columns
from dataset.store.quality import QUALITY_SCHEMA, damage_taken, quality_of

FRAMES_PER_SECOND = 60

_SHAPES = frozenset(character_from_name(name).internal for name in ("zelda", "sheik"))
"""Who picked one of these may play the other."""


def contradictions(row: Mapping[str, Any], columns: Columns) -> list[str]:
    """Every value of ``row`` that the frames tell otherwise; quality that was never written is none."""
    found = _strangers(row, columns) + _strange_columns(row, columns)
    for name, value in _told(row, columns).items():
        if row.get(name) is None and name in QUALITY_SCHEMA.names:
            continue
        is_same = row[name] == (float(np.float32(value)) if isinstance(value, float) else value)
        hint = "; 'exphil encode --quality' writes it again" if name in QUALITY_SCHEMA.names else ""
        found += [] if is_same else [f"{name} is {row[name]}, its frames tell {value}{hint}"]
    return found


def _strangers(row: Mapping[str, Any], columns: Columns) -> list[str]:
    """Sides on which somebody plays whom nobody picked there."""
    found = []
    for side in SIDES:
        picked, seen = row[f"character_{side}"], set(np.unique(columns[f"{side}_character"]).tolist())
        if not seen <= ({picked} | (_SHAPES if picked in _SHAPES else set())):
            found.append(f"character_{side} is {picked}, its frames tell {sorted(seen)}")
    return found


def _strange_columns(row: Mapping[str, Any], columns: Columns) -> list[str]:
    """Columns that the replay's version does not record, or that it records and lacks."""
    major, minor, patch = map(int, row["version"].split("."))
    version = (major, minor, patch)
    newer = [c.name for c in COLUMNS if c.since > version and c.name in columns]
    lacking = missing_columns(columns, version)
    found = [f"version is {row['version']}, which has no {newer[0]}"] if newer else []
    return found + ([f"version is {row['version']}, which has {lacking[0]}"] if lacking else [])


def _told(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    frames = len(columns["frame"])
    stocks = {side: int(columns[f"{side}_stocks"][-1]) for side in SIDES}
    told: dict[str, Any] = {
        "frames_resimulated": int(np.count_nonzero(columns["resimulated"])),
        "frame_gaps": int(columns["frame"][-1]) - FIRST_FRAME + 1 - frames,
        "seconds": frames / FRAMES_PER_SECOND,
        **{f"stocks_{side}": stocks[side] for side in SIDES},
        **{f"damage_{side}": damage_taken(columns, other) for side, other in (SIDES, SIDES[::-1])},
    }
    if min(stocks.values()) == 0 < max(stocks.values()):  # else others than the frames decide
        told["winner"] = max(SIDES, key=lambda side: stocks[side])
    return told | quality_of(columns, row)
