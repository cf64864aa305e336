"""The frame table, version 2: every column with dtype, unit, source and first Slippi version.

One row is one frame of one replay. Row t holds the post-frame state of frame t and the controller of frame t, which has
*already acted* on that state. Both players lie side by side under the prefixes ``a_`` (lower port) and ``b_`` (higher port);
who is imitated is decided on load. In memory (``Columns``) a column missing in the replay's Slippi version is an absent key,
never an invented value; its shard on disk has no such column.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION = 2

FRAMES_PER_SECOND = 60
"""Of Melee (NTSC), rounded up by a thousandth."""
FRAMES_PER_MINUTE = 60 * FRAMES_PER_SECOND

FIRST_FRAME = -123
"""Slippi's index of a game's first frame."""

FIRST_CONTROLLED_FRAME = -39
"""The first frame on which the game takes controllers into account; rates per minute are of the frames from here on."""

NUM_ITEM_SLOTS = 5

Columns = Mapping[str, NDArray[np.generic]]
"""Frame-table columns by name, each of shape [N]; a column its Slippi version lacks is absent."""

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Column:
    """One column of the frame table."""

    name: str
    dtype: str
    """numpy dtype name."""
    unit: str
    source: str
    """Where in Slippi's event stream the value comes from."""
    since: Version = (0, 1, 0)
    """First Slippi version that records it; null before."""


FRAME_COLUMNS: tuple[Column, ...] = (
    Column("frame", "int32", "1/60 s, first is -123", "frame id"),
    Column("resimulated", "bool", "", "more than one copy of the frame was recorded (rollback)"),
    Column("stage", "uint8", "stage index", "start.stage through dataset.melee.ids"),
    Column("num_items", "uint8", "items alive", "item events", (3, 0, 0)),
)

STATE_COLUMNS: tuple[Column, ...] = (
    Column("character", "uint8", "internal id", "post.character"),
    Column("action_state", "uint16", "Melee id", "post.state"),
    Column("x", "float32", "Melee units", "post.position.x"),
    Column("y", "float32", "Melee units", "post.position.y"),
    Column("facing", "int8", "1 right, -1 left", "post.direction"),
    Column("percent", "float32", "percent", "post.percent"),
    Column("shield", "float32", "0-60", "post.shield"),
    Column("stocks", "uint8", "stocks left", "post.stocks"),
    Column("action_frame", "float32", "frames in the action state", "post.state_age", (0, 2, 0)),
    Column("misc", "float32", "frames of hitstun in hitstun states, else various", "post.misc_as", (2, 0, 0)),
    Column("on_ground", "bool", "", "post.airborne == 0", (2, 0, 0)),
    Column("jumps", "uint8", "jumps left", "post.jumps", (2, 0, 0)),
    Column("hurtbox", "uint8", "0 vulnerable, 1 invulnerable, 2 intangible", "post.hurtbox_state", (2, 1, 0)),
    Column("speed_air_x", "float32", "units/frame", "post.velocities.self_x_air", (3, 5, 0)),
    Column("speed_y", "float32", "units/frame", "post.velocities.self_y", (3, 5, 0)),
    Column("speed_attack_x", "float32", "units/frame", "post.velocities.knockback_x", (3, 5, 0)),
    Column("speed_attack_y", "float32", "units/frame", "post.velocities.knockback_y", (3, 5, 0)),
    Column("speed_ground_x", "float32", "units/frame", "post.velocities.self_x_ground", (3, 5, 0)),
    Column("hitlag", "float32", "frames left", "post.hitlag", (3, 8, 0)),
)
"""State that live play sees too, of a fighter or of Nana."""

RECORD_COLUMNS: tuple[Column, ...] = (
    Column("last_attack_landed", "uint8", "attack id", "post.last_attack_landed"),
    Column("combo_count", "uint8", "hits", "post.combo_count"),
    Column("last_hit_by", "uint8", "slot, 6 none", "post.last_hit_by"),
    Column("state_flags_0", "uint8", "bits", "post.state_flags.0", (2, 0, 0)),
    Column("state_flags_1", "uint8", "bits", "post.state_flags.1", (2, 0, 0)),
    Column("state_flags_2", "uint8", "bits", "post.state_flags.2", (2, 0, 0)),
    Column("state_flags_3", "uint8", "bits", "post.state_flags.3", (2, 0, 0)),
    Column("state_flags_4", "uint8", "bits", "post.state_flags.4", (2, 0, 0)),
    Column("ground", "uint16", "surface id", "post.ground", (2, 0, 0)),
    Column("l_cancel", "uint8", "0 none, 1 hit, 2 missed", "post.l_cancel", (2, 0, 0)),
    Column("animation", "uint32", "animation index", "post.animation_index", (3, 11, 0)),
    Column("last_hit_by_instance", "uint16", "instance id", "post.last_hit_by_instance", (3, 16, 0)),
    Column("instance", "uint16", "instance id", "post.instance_id", (3, 16, 0)),
)
"""State only replays record: for statistics, never for features."""

CONTROLLER_COLUMNS: tuple[Column, ...] = (
    Column("main_x", "int8", "1/80, right positive", "pre.joystick.x"),
    Column("main_y", "int8", "1/80, up positive", "pre.joystick.y"),
    Column("c_x", "int8", "1/80, right positive", "pre.cstick.x"),
    Column("c_y", "int8", "1/80, up positive", "pre.cstick.y"),
    Column("trigger", "uint8", "1/140, both sides fused", "pre.triggers"),
    Column("buttons", "uint16", "Slippi's physical button bits", "pre.buttons_physical"),
)
"""The controller as the game used it: what codecs encode. Sticks and trigger are the processed values."""

PHYSICAL_COLUMNS: tuple[Column, ...] = (
    Column("buttons_processed", "uint32", "Slippi's processed button bits", "pre.buttons"),
    Column("trigger_l", "uint8", "1/140", "pre.triggers_physical.l"),
    Column("trigger_r", "uint8", "1/140", "pre.triggers_physical.r", (1, 2, 0)),
    Column("raw_x", "int8", "pad units", "pre.raw_analog_x", (1, 2, 0)),
    Column("raw_y", "int8", "pad units", "pre.raw_analog_y", (3, 15, 0)),
    Column("raw_c_x", "int8", "pad units", "pre.raw_analog_cstick_x", (3, 17, 0)),
    Column("raw_c_y", "int8", "pad units", "pre.raw_analog_cstick_y", (3, 17, 0)),
)

ITEM_COLUMNS: tuple[Column, ...] = (
    Column("kind", "uint8", "item kind, 0 empty, else item type + 1", "item.type", (3, 0, 0)),
    Column("state", "uint8", "item state", "item.state", (3, 0, 0)),
    Column("owner", "int8", "1 is a, -1 is b, 0 neither", "item.owner", (3, 6, 0)),
    Column("x", "float32", "Melee units", "item.position.x", (3, 0, 0)),
    Column("y", "float32", "Melee units", "item.position.y", (3, 0, 0)),
    Column("speed_x", "float32", "units/frame", "item.velocity.x", (3, 0, 0)),
    Column("speed_y", "float32", "units/frame", "item.velocity.y", (3, 0, 0)),
    Column("timer", "float32", "frames", "item.timer", (3, 0, 0)),
    Column("spawn_id", "uint32", "", "item.id", (3, 0, 0)),
    Column("damage", "uint16", "", "item.damage", (3, 0, 0)),
    Column("misc", "uint32", "four bytes, first lowest", "item.misc", (3, 2, 0)),
)
"""One item slot; an item keeps its slot while it lives (dataset.melee.item_slots). 0 throughout where the slot is empty."""

SIDES = ("a", "b")
"""Column prefixes: ``a`` is the player on the lower port, ``b`` the one on the higher."""


def _prefixed(prefix: str, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    return tuple(replace(column, name=f"{prefix}_{column.name}") for column in columns)


def side_columns(side: str) -> tuple[Column, ...]:
    """All columns of one player, Nana's included (null unless she is there)."""
    nana = (Column("nana_exists", "bool", "", "a follower post-frame exists"),)
    own = STATE_COLUMNS + RECORD_COLUMNS + CONTROLLER_COLUMNS + PHYSICAL_COLUMNS + nana
    return _prefixed(side, own) + _prefixed(f"{side}_nana", STATE_COLUMNS[1:])


def item_columns() -> tuple[Column, ...]:
    """All columns of the item slots, ``item0_kind`` … ``item4_misc``."""
    return tuple(c for slot in range(NUM_ITEM_SLOTS) for c in _prefixed(f"item{slot}", ITEM_COLUMNS))


COLUMNS: tuple[Column, ...] = FRAME_COLUMNS + side_columns("a") + side_columns("b") + item_columns()
"""Every column of the frame table in order, less ``replay`` (the id), which only the stored table has."""

CONTROLLER_NAMES = tuple(column.name for column in CONTROLLER_COLUMNS)
