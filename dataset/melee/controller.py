"""What a controller is, what Melee makes of a pad's raw values, and the rules that every codec obeys.

A controller is int32 [..., 6]: main x, main y, c x, c y (1/80), trigger (1/140), Slippi's physical button bits. These are the
values Melee plays with, in exact integers; ``game_stick`` and ``game_trigger`` make them from raw stick bytes (−128…127) and
trigger bytes (0…255). Dead zone and circle leave 117 values an axis and 8,153 stick positions. The trigger is not free: a
digital press of L or R takes it to 1.0, and Z takes it to its own light press, even *down* from a click. Checked against real
replays, which record raw and processed values: 123,148 frames for both sticks, 1,012,322 for triggers, no difference.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

D_LEFT, D_RIGHT, D_DOWN, D_UP, Z, R, L = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40
A, B, X, Y, START = 0x100, 0x200, 0x400, 0x800, 0x1000
"""Slippi's bits of the physical buttons."""

BUTTONS: tuple[tuple[str, int], ...] = (
    ("a", A), ("b", B), ("x", X), ("y", Y), ("z", Z), ("l", L), ("r", R), ("d_up", D_UP),
)  # fmt: skip
"""The buttons a policy may press, with their bits; START is not among them."""

DIGITAL_SHOULDERS = L | R
"""A digital press of either forces the analog trigger to 1.0 in Melee (149 622 of 149 622 recorded presses)."""

STICK_RANGE = 80
TRIGGER_RANGE = 140

Z_TRIGGER = 49
"""What the trigger reads while Z is held, even with L or R (3 898 of 3 898 recorded presses, 138 of them with L or R)."""

STICK_DEAD_ZONE = 23
"""Melee reads |v| < 23/80 on either axis as 0 (exact on 219 217 of 219 217 recorded samples)."""

TRIGGER_DEAD_ZONE = 43
"""Melee reads a trigger below 43/140 as 0 (exact on the same samples)."""

Controllers = NDArray[np.int32]
Classes = NDArray[np.uint8]

NEUTRAL = np.zeros(6, dtype=np.int32)
"""The resting controller."""

AXES = ("c_x", "c_y", "main_x", "main_y")
AXIS_SOURCE = (2, 3, 0, 1)
"""Where each of ``AXES`` stands in a controller."""

CONTROLS = (*AXES, "trigger", *(name for name, _ in BUTTONS))
"""Names of the numbers of ``controller_floats``, in their order."""

NUM_CONTROLLER_FLOATS = len(CONTROLS)
"""Numbers a policy is given of the previous controller: four axes, the trigger, eight buttons."""

_BITS = np.array([bit for _, bit in BUTTONS], dtype=np.int32)


def controller_floats(controllers: Controllers) -> NDArray[np.float32]:
    """The 13 numbers a policy sees of a controller: c x, c y, main x, main y (-1…1), trigger (0…1), eight buttons (0/1)."""
    sticks = controllers[..., AXIS_SOURCE] / np.float32(STICK_RANGE)
    trigger = controllers[..., 4:5] / np.float32(TRIGGER_RANGE)
    buttons = (controllers[..., 5:6] & _BITS) != 0
    return np.concatenate([sticks, trigger, buttons], axis=-1).astype(np.float32)


def pressed_trigger(level: NDArray[np.int32], buttons: NDArray[np.int32]) -> NDArray[np.int32]:
    """The analog ``level`` to send with ``buttons``: a digital L or R takes it to 1.0, unless Z holds it down."""
    is_digital = ((buttons & DIGITAL_SHOULDERS) != 0) & ((buttons & Z) == 0)
    return np.where(is_digital, np.int32(TRIGGER_RANGE), level)


@lru_cache(maxsize=1 << 16)
def game_stick(raw_x: int, raw_y: int) -> tuple[int, int]:
    """The stick position in 1/80 that Melee makes of two raw bytes: into the circle, cut, dead zone by axis."""
    square = raw_x * raw_x + raw_y * raw_y
    if square > STICK_RANGE * STICK_RANGE:
        raw_x, raw_y = _on_circle(raw_x, square), _on_circle(raw_y, square)
    return (
        raw_x if abs(raw_x) >= STICK_DEAD_ZONE else 0,
        raw_y if abs(raw_y) >= STICK_DEAD_ZONE else 0,
    )


def _on_circle(raw: int, square: int) -> int:
    """trunc(raw × 80 / √square) without rounding errors."""
    return int(math.copysign(math.isqrt(raw * raw * STICK_RANGE * STICK_RANGE // square), raw))


def game_trigger(raw_l: int, raw_r: int, buttons: int) -> int:
    """The one trigger value in 1/140 that Melee makes of both triggers, analog and clicked; Z overrides them all."""
    if buttons & Z:
        return Z_TRIGGER
    if buttons & DIGITAL_SHOULDERS:
        return TRIGGER_RANGE
    pressed = min(max(raw_l, raw_r), TRIGGER_RANGE)
    return pressed if pressed >= TRIGGER_DEAD_ZONE else 0


class Pad(NamedTuple):
    """One frame's pad: raw stick bytes, analog triggers in 1/140, physical buttons, and what the game makes of them."""

    raw: tuple[int, int, int, int]
    x: int
    y: int
    cstick_x: int
    cstick_y: int
    analog: tuple[int, int]
    trigger: int
    buttons: int


def make_pad(stick: tuple[int, int], cstick: tuple[int, int] = (0, 0), l: int = 0, r: int = 0, buttons: int = 0) -> Pad:  # noqa: E741
    """Build a pad from raw values; digital L and R carry their analog trigger all the way."""
    l, r = TRIGGER_RANGE if buttons & L else l, TRIGGER_RANGE if buttons & R else r  # noqa: E741
    return Pad(
        (*stick, *cstick),
        *game_stick(*stick),
        *game_stick(*cstick),
        (l, r),
        game_trigger(l, r, buttons),
        buttons,
    )


NEUTRAL_PAD = make_pad((0, 0))
