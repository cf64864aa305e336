"""Between simulators and arrays: frames of many games, as numpy records, become the raw columns that the encoder reads.

Two interfaces carry Slippi's fields in records: the Computer Melee Championship's (UMI, the package ``umi-melee``) and
melee-sim-light's. They name them differently and are otherwise alike, so one reader serves both.

A column equals what ingest makes of the same frame, except where the encoder makes no difference: the age of an action state
is a whole number, ``misc`` counts hitstun and nothing else, and UMI's percent is a whole number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.features.layout import RAW_NAMES, RAW_ROW
from dataset.melee.ids import NUM_ITEM_KINDS, stage_index_from_libmelee, stage_index_from_slippi
from dataset.melee.item_slots import EMPTY, SpawnIds, assign_games
from dataset.schema import NUM_ITEM_SLOTS, SIDES

Records = NDArray[Any]
"""A structured array, a record for each game."""


@dataclass(frozen=True, kw_only=True)
class FrameFormat:
    """What an interface calls the fields of a frame."""

    frame: str
    """Slippi's frame index."""
    stage: str
    stage_index: NDArray[np.int64]
    """Our index by the interface's number."""
    players: str
    """Fighters, side a's first, then side b's."""
    followers: str
    """Nana of each player, in the same order."""
    exists: str
    """Of a fighter: whether it is there."""
    fighter: Mapping[str, str]
    """Columns of a fighter that hold what a field of it holds."""
    facing: str = "facing"
    """Of a fighter: 1 right, 0 left."""
    items: str = "items"
    """Whose ``owner`` is 0 for side a, 1 for side b, -1 for nobody, and whose ``type`` and ``spawn_id`` are Slippi's."""
    item: Mapping[str, str]
    """Columns of an item that hold what a field of it holds."""

    def fields(self) -> dict[str, set[str]]:
        """Fields that are read of a frame (under ""), of its fighters and of its items."""
        return {
            "": {self.frame, self.stage, self.players, self.items},
            self.players: {self.exists, self.facing, *self.fighter.values()},
            self.items: {"exists", "type", "owner", "spawn_id", *self.item.values()},
        }


_SPEEDS = {
    "speed_air_x": "speed_air_x_self",
    "speed_y": "speed_y_self",
    "speed_attack_x": "speed_x_attack",
    "speed_attack_y": "speed_y_attack",
    "speed_ground_x": "speed_ground_x_self",
}
_ALIKE = {
    "percent": "percent",
    "stocks": "stocks",
    "jumps": "jumps_left",
    "on_ground": "on_ground",
    "hurtbox": "hurtbox_state",
    "action_frame": "action_frame",
    **_SPEEDS,
}

UMI = FrameFormat(
    frame="frame",
    stage="stage",
    stage_index=np.array([stage_index_from_libmelee(number) for number in range(256)]),
    players="players",
    followers="nana",
    exists="exists",
    fighter=_ALIKE
    | {"x": "x", "y": "y", "shield": "shield_strength", "misc": "hitstun_left", "hitlag": "hitlag_left"}
    | {"action_state": "action", "character": "character"},
    item={"x": "x", "y": "y", "speed_x": "vx", "speed_y": "vy"},
)
"""``umi.frame.FRAME`` of umi-melee 0.1.0. Side a is the bot's own."""

MELEE_SIM = FrameFormat(
    frame="frame_id",
    stage="stage_id",
    stage_index=np.array([stage_index_from_slippi(number) for number in range(256)]),
    players="slots",
    followers="followers",
    exists="present",
    fighter=_ALIKE
    | {"x": "pos_x", "y": "pos_y", "shield": "shield_hp", "misc": "hitstun", "hitlag": "hitlag"}
    | {"action_state": "action_id", "character": "char_id"},
    item={"x": "pos_x", "y": "pos_y", "speed_x": "vel_x", "speed_y": "vel_y"},
)
"""``EnvBatch.current_frame`` of melee-sim-light seen by player 0, who is side a. Older versions of it show no followers."""

_NANA = [name.removeprefix("a_nana_") for name in RAW_NAMES if name.startswith("a_nana_")]
_GROUP_ROWS = [row for name, row in RAW_ROW.items() if name.startswith("has_")]
_ITEM_ROWS = {
    name: np.array([RAW_ROW[f"item{slot}_{name}"] for slot in range(NUM_ITEM_SLOTS)])
    for name in ("kind", "owner", "x", "y", "speed_x", "speed_y")
}


def _side_rows(name: str) -> NDArray[np.intp]:
    return np.array([RAW_ROW[f"{side}_{name}"] for side in SIDES])


_ROWS = {name: _side_rows(name) for name in ("facing", *MELEE_SIM.fighter)}
_NANA_ROWS = {name: _side_rows(f"nana_{name}") for name in _NANA}


def no_items(num_games: int) -> SpawnIds:
    """What item slots hold before the first frame of a game."""
    return np.full((num_games, NUM_ITEM_SLOTS), EMPTY, np.int64)


def raw_columns(
    frames: Records, layout: FrameFormat, held: SpawnIds, *, has_followers: bool = True
) -> tuple[NDArray[np.float32], SpawnIds]:
    """The raw columns of one frame of each of N games.

    Args:
        frames: [N] records.
        layout: what their fields are called.
        held: what the item slots held in the frame before, see ``no_items``; a row for each game.
        has_followers: whether the records show Nana.

    Returns:
        float32 [N, len(RAW_NAMES)], and ``held`` for the next frame.
    """
    raw = np.zeros((len(frames), len(RAW_NAMES)), np.float32)
    raw[:, _GROUP_ROWS] = 1.0
    raw[:, RAW_ROW["frame"]] = frames[layout.frame]
    raw[:, RAW_ROW["stage"]] = layout.stage_index.take(frames[layout.stage], mode="clip")
    players = frames[layout.players][:, :2]
    raw[:, _ROWS["facing"]] = _facing(players[layout.facing])
    for name, field in layout.fighter.items():
        raw[:, _ROWS[name]] = _numbers(players[field])
    if has_followers:
        _fill_nana(raw, frames[layout.followers][:, :2], layout)
    return raw, _fill_items(raw, frames[layout.items], layout, held)


def _numbers(field: Records) -> Records:
    """Two-byte fields count as signed: Melee's hitstun falls below 0 for a few frames, and no field of this size is large."""
    return field.astype(np.int16) if field.dtype == np.uint16 else field


def _facing(is_right: Records) -> Records:
    return np.where(is_right != 0, 1.0, -1.0)


def _fill_nana(raw: NDArray[np.float32], nana: Records, layout: FrameFormat) -> None:
    exists = nana[layout.exists] != 0
    if not exists.any():
        return
    raw[:, _NANA_ROWS["exists"]] = exists
    raw[:, _NANA_ROWS["facing"]] = _facing(nana[layout.facing]) * exists
    for name in _NANA:
        if name in layout.fighter:
            raw[:, _NANA_ROWS[name]] = np.where(exists, _numbers(nana[layout.fighter[name]]), 0)


def _fill_items(raw: NDArray[np.float32], items: Records, layout: FrameFormat, held: SpawnIds) -> SpawnIds:
    exists = items["exists"] != 0
    if not exists.any():
        return no_items(len(raw))
    positions, held = assign_games(np.where(exists, items["spawn_id"].astype(np.int64), EMPTY), held)
    games, slots = np.nonzero(positions >= 0)
    there = items[games, positions[games, slots]]
    raw[games, _ITEM_ROWS["kind"][slots]] = np.minimum(there["type"].astype(np.int64) + 1, NUM_ITEM_KINDS - 1)
    raw[games, _ITEM_ROWS["owner"][slots]] = (there["owner"] == 0) * 1.0 - (there["owner"] == 1)
    for name, field in layout.item.items():
        raw[games, _ITEM_ROWS[name][slots]] = there[field]
    return held
