"""Turns libmelee's game states into the raw columns that the encoder reads, equal to what ingest makes of the same frame.

libmelee adds one to ``action_frame`` in some action states of some characters (its ``zero_indices``) so that all count from
1. The column takes that back, because Slippi records the game's own count. Nana is not shifted.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataset.errors import DolphinError
from dataset.features.layout import RAW_NAMES, RAW_ROW
from dataset.melee.ids import NUM_ITEM_KINDS, stage_index_from_libmelee
from dataset.melee.item_slots import ItemSlots
from dataset.schema import NUM_ITEM_SLOTS, SIDES

if TYPE_CHECKING:
    from melee import GameState

Column = NDArray[np.float32]

_FIGHTER = (
    *("percent", "x", "y", "facing", "shield", "stocks", "jumps", "on_ground", "hurtbox", "action_frame", "misc"),
    *("hitlag", "speed_air_x", "speed_y", "speed_attack_x", "speed_attack_y", "speed_ground_x"),
    *("action_state", "character"),
)
_NANA = (
    *("nana_exists", "nana_percent", "nana_x", "nana_y", "nana_facing", "nana_on_ground", "nana_hurtbox"),
    *("nana_action_frame", "nana_misc", "nana_action_state"),
)
_ITEM = ("kind", "owner", "x", "y", "speed_x", "speed_y")
_NO_NANA = [0.0] * len(_NANA)
_UNKNOWN_CHARACTER = 0xFF

_ROWS = np.array(
    [RAW_ROW["frame"], RAW_ROW["stage"]]
    + [RAW_ROW[f"{side}_{name}"] for side in SIDES for name in (*_FIGHTER, *_NANA)]
    + [row for name, row in RAW_ROW.items() if name.startswith("has_")]
)
"""Rows filled on every frame, in the order in which their values are listed."""

_NUM_GROUPS = sum(name.startswith("has_") for name in RAW_NAMES)
_ITEM_ROWS = np.array([[RAW_ROW[f"item{slot}_{name}"] for name in _ITEM] for slot in range(NUM_ITEM_SLOTS)])


class LiveGame:
    """The frames of one game as raw columns. Items keep their slots through memory, so each game needs a new one.

    Args:
        zero_indices: libmelee's table of shifted action states by character, ``Console.zero_indices``.
    """

    def __init__(self, zero_indices: Mapping[int, Collection[int]]) -> None:
        self._shifted = frozenset((int(c), int(a)) for c, actions in zero_indices.items() for a in actions)
        self._slots = ItemSlots()

    def column(self, game: "GameState") -> Column:
        """The raw column of the next frame, side a being the lower port; float32 [len(RAW_NAMES)].

        Raises:
            DolphinError: the game is not between two players.
        """
        low, high = two_ports(game)
        values = [float(game.frame), float(stage_index_from_libmelee(game.stage.value))]
        for port in (low, high):
            player = game.players[port]
            values += self._fighter(player)
            values += _nana(player.nana)
        values += [1.0] * _NUM_GROUPS
        column = np.zeros(len(RAW_NAMES), dtype=np.float32)
        column[_ROWS] = values
        self._fill_items(column, game.projectiles, low, high)
        return column

    def _fighter(self, player: Any) -> list[float]:
        action, character = int(player.action.value), int(player.character.value)
        return [
            float(player.percent),
            float(player.position.x),
            float(player.position.y),
            1.0 if player.facing else -1.0,
            float(player.shield_strength),
            float(player.stock),
            float(player.jumps_left),
            float(player.on_ground),
            float(player.invulnerable),
            float(int(player.action_frame) - ((character, action) in self._shifted)),
            float(player.hitstun_frames_left),
            float(player.hitlag_left),
            float(player.speed_air_x_self),
            float(player.speed_y_self),
            float(player.speed_x_attack),
            float(player.speed_y_attack),
            float(player.speed_ground_x_self),
            float(action),
            float(character),
        ]

    def _fill_items(self, column: Column, items: list[Any], low: int, high: int) -> None:
        """Write the slots that hold an item; called on every frame, because slots also empty."""
        held = self._slots.assign([int(item.spawn_id) for item in items])
        for slot, position in enumerate(held):
            if position >= 0:
                column[_ITEM_ROWS[slot]] = _item(items[position], low, high)


def two_ports(game: "GameState") -> tuple[int, int]:
    """The two occupied ports, lower first.

    Raises:
        DolphinError: there are not exactly two.
    """
    ports = sorted(int(port) for port in game.players)
    if len(ports) != 2:
        found = ", ".join(str(port) for port in ports) or "none"
        raise DolphinError(f"game: exphil plays games of two players, found ports {found}; unplug or close the others")
    return ports[0], ports[1]


def _nana(nana: Any) -> list[float]:
    """Nana's block; libmelee makes her at the pre-frame, so without a post-frame she still has no character."""
    if nana is None or nana.character.value == _UNKNOWN_CHARACTER:
        return _NO_NANA
    return [
        1.0,
        float(nana.percent),
        float(nana.position.x),
        float(nana.position.y),
        1.0 if nana.facing else -1.0,
        float(nana.on_ground),
        float(nana.invulnerable),
        float(nana.action_frame),
        float(nana.hitstun_frames_left),
        float(nana.action.value),
    ]


def _item(item: Any, low: int, high: int) -> list[float]:
    owner = int(item.owner)
    return [
        float(min(int(item.type.value) + 1, NUM_ITEM_KINDS - 1)),
        1.0 if owner == low else -1.0 if owner == high else 0.0,
        float(item.position.x),
        float(item.position.y),
        float(item.speed.x),
        float(item.speed.y),
    ]
