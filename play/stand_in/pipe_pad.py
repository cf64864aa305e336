"""A pad as Dolphin's pipe input keeps it: lines such as ``PRESS A``, ``SET MAIN 0.5 0.5`` and ``FLUSH`` become its state.

Values are quantised exactly as Dolphin and Melee do it; ``tests/play/dolphin/test_pad_probe.py`` compares with a real Dolphin.
A FLUSH resets nothing: what is pressed remains pressed until it is released.
"""

import math
from typing import NamedTuple

from dataset.melee import controller

BUTTONS: dict[str, int] = {
    name: getattr(controller, name)
    for name in ("A", "B", "X", "Y", "Z", "L", "R", "START", "D_UP", "D_DOWN", "D_LEFT", "D_RIGHT")
}
"""Slippi's bit of every button, by Dolphin's name."""


class PadState(NamedTuple):
    """What the game sees of a pad: sticks in 1/80, triggers in 1/140, Slippi's physical button bits."""

    main_x: int
    main_y: int
    c_x: int
    c_y: int
    trigger: int
    """Both triggers, clicks and Z as one."""
    l_analog: int
    r_analog: int
    buttons: int


def pad_axis(value: float, *, is_mainline: bool = True) -> int:
    """The stick byte, −127…127, that Dolphin makes of 0…1 on a pipe: mainline rounds, Ishiiruka rounds down."""
    exact = (min(max(value, 0.0), 1.0) - 0.5) * 254
    return int(exact + math.copysign(0.5, exact)) if is_mainline else math.floor(exact)


def pad_trigger(value: float, *, is_mainline: bool = True) -> int:
    """The trigger byte, 0…255, that Dolphin makes of 0…1 on a pipe: mainline rounds, Ishiiruka rounds down."""
    exact = min(max(value, 0.0), 1.0) * 255
    return int(exact + 0.5) if is_mainline else int(exact)


class PipePad:
    """One pad; bytes are fed in as they arrive, cut anywhere.

    Args:
        is_mainline: stand for Slippi's mainline build, which people use, or else for Ishiiruka.
    """

    def __init__(self, *, is_mainline: bool = True) -> None:
        self._is_mainline = is_mainline
        self.num_bad_lines = 0
        """Lines that Dolphin would log and otherwise ignore."""
        self._rest = b""
        self._buttons = 0
        self._axes = {"MAIN": (0, 0), "C": (0, 0), "L": (0,), "R": (0,)}

    def feed(self, data: bytes) -> bool:
        """Take in bytes up to the next FLUSH; whether there was one. If so, call again with no bytes for the next."""
        self._rest += data
        while b"\n" in self._rest:
            line, self._rest = self._rest.split(b"\n", 1)
            if line == b"FLUSH":
                return True
            if not self._obey(line.decode("ascii", "replace").split()):
                self.num_bad_lines += 1
        return False

    def _obey(self, words: list[str]) -> bool:
        match words:
            case ["PRESS", name] if name in BUTTONS:
                self._buttons |= BUTTONS[name]
            case ["RELEASE", name] if name in BUTTONS:
                self._buttons &= ~BUTTONS[name]
            case ["SET", ("MAIN" | "C") as name, x, y] if _is_number(x) and _is_number(y):
                self._axes[name] = (self._axis(x), self._axis(y))
            case ["SET", ("L" | "R") as name, value] if _is_number(value):
                self._axes[name] = (pad_trigger(float(value), is_mainline=self._is_mainline),)
            case _:
                return False
        return True

    def state(self) -> PadState:
        """What the game would see now; a shoulder that is clicked is pulled all the way, as its settings in Dolphin ask for."""
        left, right = (
            255 if self._buttons & bit else self._axes[name][0]
            for name, bit in (("L", controller.L), ("R", controller.R))
        )
        return PadState(
            *controller.game_stick(*self._axes["MAIN"]),
            *controller.game_stick(*self._axes["C"]),
            controller.game_trigger(left, right, self._buttons),
            min(left, controller.TRIGGER_RANGE),
            min(right, controller.TRIGGER_RANGE),
            self._buttons,
        )

    def _axis(self, word: str) -> int:
        return pad_axis(float(word), is_mainline=self._is_mainline)


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
