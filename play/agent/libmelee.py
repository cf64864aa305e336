"""Between libmelee and arrays: game states become the raw columns that the encoder reads, controllers become presses on a pad.

A column equals what ingest makes of the same frame. libmelee adds one to ``action_frame`` in some action states of some
characters (its ``zero_indices``) so that all count from 1; the column takes that back, because Slippi records the game's own
count. Nana is not shifted.

A controller is int32 [6]: main x, main y, c x, c y (1/80), trigger (1/140), Slippi's physical button bits. A digital L or R
must be pressed *digitally*: its analog alone makes no air dodge.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset.errors import DolphinError
from dataset.features.layout import RAW_NAMES, RAW_ROW
from dataset.melee.controller import (
    BUTTONS,
    D_DOWN,
    D_LEFT,
    D_RIGHT,
    START,
    STICK_RANGE,
    TRIGGER_RANGE,
    Controllers,
)
from dataset.melee.ids import NUM_ITEM_KINDS, stage_index_from_libmelee
from dataset.melee.item_slots import ItemSlots
from dataset.schema import NUM_ITEM_SLOTS, SIDES

if TYPE_CHECKING:
    from melee import Controller, GameState

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
_STAGE_INDEX = [stage_index_from_libmelee(number) for number in range(256)]
"""By libmelee's number, a byte."""
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

DOLPHIN_BUTTONS: tuple[tuple[str, int], ...] = tuple((name.upper(), bit) for name, bit in BUTTONS)
"""Dolphin's name of every button a policy may press, with Slippi's bit."""

_BITS = dict(DOLPHIN_BUTTONS) | {"START": START, "D_LEFT": D_LEFT, "D_RIGHT": D_RIGHT, "D_DOWN": D_DOWN}
_REMEMBERED = 4096
"""Controllers whose commands are cached: players come back to most of them."""


class LiveGame:
    """The frames of one game as raw columns. Items keep their slots through memory, so each game needs a new one.

    Args:
        zero_indices: libmelee's table of shifted action states by character, ``Console.zero_indices``.
    """

    def __init__(self, zero_indices: Mapping[int, Collection[int]]) -> None:
        self._shifted = frozenset((int(c), int(a)) for c, actions in zero_indices.items() for a in actions)
        self._slots = ItemSlots()

    def column(self, game: "GameState") -> NDArray[np.float32]:
        """The raw column of the next frame, side a being the lower port; float32 [len(RAW_NAMES)].

        Raises:
            DolphinError: the game is not between two players.
        """
        low, high = two_ports(game)
        values = [float(game.frame), float(_STAGE_INDEX[game.stage.value])]
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

    def _fill_items(self, column: NDArray[np.float32], items: list[Any], low: int, high: int) -> None:
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


def controllers_read(game: "GameState") -> Controllers:
    """What the game read of both players' controllers in its frame, the lower port's first; int32 [2, 6]."""
    return np.array([_controller(game.players[port].controller_state) for port in two_ports(game)], dtype=np.int32)


def _controller(state: Any) -> list[int]:
    sticks = [round((float(axis) - 0.5) * 2 * STICK_RANGE) for axis in (*state.main_stick, *state.c_stick)]
    bits = sum(_BITS.get(button.value, 0) for button, is_pressed in state.button.items() if is_pressed)
    return [*sticks, round(float(state.l_shoulder) * TRIGGER_RANGE), bits]


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


class Command(NamedTuple):
    """One change of the pad."""

    method: str
    """Of ``melee.Controller``."""
    control: str
    """Dolphin's name of a stick, trigger or button."""
    values: tuple[float, ...] = ()
    """x and y of a stick (0…1, 0.5 is the centre), or the amount of a trigger (0…1)."""


@lru_cache(_REMEMBERED)
def _commands(main_x: int, main_y: int, c_x: int, c_y: int, trigger: int, bits: int) -> tuple[Command, ...]:
    """Everything that puts a pad from any position into this one, always in one order."""
    return (
        Command("tilt_analog", "MAIN", (_axis(main_x), _axis(main_y))),
        Command("tilt_analog", "C", (_axis(c_x), _axis(c_y))),
        Command("press_shoulder", "L", (trigger / TRIGGER_RANGE,)),
        Command("press_shoulder", "R", (0.0,)),
        *(Command("press_button" if bits & bit else "release_button", name) for name, bit in DOLPHIN_BUTTONS),
    )


def _axis(eightieths: int) -> float:
    return eightieths / (2 * STICK_RANGE) + 0.5


def press(pad: "Controller", button: Any, controller: Controllers, held: Controllers | None = None) -> None:
    """Put ``pad`` into the position of ``controller``; the pad's owner flushes.

    Args:
        pad: made with ``fix_analog_inputs=True``, which hits every raw value exactly.
        button: ``melee.Button``, called with Dolphin's name of a control.
        controller: int32 [6].
        held: where the pad is now, so that only changes are written; None writes all of it.
    """
    after = _commands(*controller.tolist())
    before: Sequence[Command | None] = [None] * len(after) if held is None else _commands(*held.tolist())
    for command, already in zip(after, before, strict=True):
        if command != already:
            getattr(pad, command.method)(button(command.control), *command.values)
