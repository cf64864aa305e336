"""From a decoded controller to the pad: what to press, and what the game will read of it.

A controller is int32 [6]: main x, main y, c x, c y (1/80), trigger (1/140), Slippi's physical button bits. The surprise: a
digital L or R must be pressed *digitally* (its analog alone makes no air dodge), and what the game reads may differ from
what was meant: sticks are drawn into the circle, and Z pulls the trigger to 49/140.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from dataset.melee.controller import BUTTONS, STICK_RANGE, TRIGGER_RANGE, Controllers, game_stick, game_trigger

DOLPHIN_BUTTONS: tuple[tuple[str, int], ...] = tuple((name.upper(), bit) for name, bit in BUTTONS)
"""Dolphin's name of every button a policy may press, with Slippi's bit."""

Amount = float | bool

_REMEMBERED = 4096
"""Controllers whose commands are remembered: players come back to most of them."""


class Command(NamedTuple):
    """One change of the pad: a stick (``MAIN``, ``C``) to x, y; a trigger (``L``, ``R``) to an amount; or a button."""

    kind: str
    """``stick``, ``trigger`` or ``button``."""
    name: str
    """Dolphin's name of the control."""
    values: tuple[Amount, ...]
    """x, y of a stick (0…1, 0.5 is the centre), amount of a trigger (0…1), whether a button is down."""


class Pad(Protocol):
    """The part of ``melee.Controller`` that is used here."""

    def press_button(self, button: Any) -> None:
        """Hold a button down."""

    def release_button(self, button: Any) -> None:
        """Let a button go."""

    def press_shoulder(self, button: Any, amount: float) -> None:
        """Press a trigger to 0…1."""

    def tilt_analog(self, button: Any, x: float, y: float) -> None:
        """Tilt a stick to 0…1, 0…1."""


@lru_cache(_REMEMBERED)
def _commands(main_x: int, main_y: int, c_x: int, c_y: int, trigger: int, bits: int) -> tuple[Command, ...]:
    """Everything that puts a pad from any position into this one, always in one order."""
    return (
        Command("stick", "MAIN", (_axis(main_x), _axis(main_y))),
        Command("stick", "C", (_axis(c_x), _axis(c_y))),
        Command("trigger", "L", (trigger / TRIGGER_RANGE,)),
        Command("trigger", "R", (0.0,)),
        *(Command("button", name, (bool(bits & bit),)) for name, bit in DOLPHIN_BUTTONS),
    )


def _axis(eightieths: int) -> float:
    return eightieths / (2 * STICK_RANGE) + 0.5


def press(pad: Pad, button: Any, controller: Controllers, held: Controllers | None = None) -> None:
    """Put ``pad`` into the position of ``controller``; the pad's owner flushes.

    Args:
        pad: a ``melee.Controller`` made with ``fix_analog_inputs=True``, which hits every raw value exactly.
        button: ``melee.Button``, called with Dolphin's name of a control.
        controller: int32 [6].
        held: where the pad is now, so that only changes are written; None writes all of it.
    """
    after = _commands(*controller.tolist())
    before: Sequence[Command | None] = [None] * len(after) if held is None else _commands(*held.tolist())
    for command, already in zip(after, before, strict=True):
        if command == already:
            continue
        control = button(command.name)
        if command.kind == "stick":
            pad.tilt_analog(control, *command.values)
        elif command.kind == "trigger":
            pad.press_shoulder(control, *command.values)
        elif command.values[0]:
            pad.press_button(control)
        else:
            pad.release_button(control)


def as_read(controller: Controllers) -> Controllers:
    """The controller the game will read, and Slippi record, after ``controller`` was pressed."""
    main_x, main_y, c_x, c_y, trigger, bits = (int(value) for value in controller)
    read = (*game_stick(main_x, main_y), *game_stick(c_x, c_y), game_trigger(trigger, 0, bits), bits)
    return np.array(read, dtype=np.int32)
