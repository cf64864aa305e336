"""What a controller is: six numbers, the buttons a policy may press, and the game's rules that every codec obeys.

A controller is int32 [..., 6]: main x, main y, c x, c y (1/80), trigger (1/140), Slippi's physical button bits. The surprise:
the trigger is not free, for a digital press of L or R takes it to 1.0 and Z to its own light press.
"""

import numpy as np
from numpy.typing import NDArray

BUTTONS: tuple[tuple[str, int], ...] = (
    ("a", 0x0100),
    ("b", 0x0200),
    ("x", 0x0400),
    ("y", 0x0800),
    ("z", 0x0010),
    ("l", 0x0040),
    ("r", 0x0020),
    ("d_up", 0x0008),
)
"""The buttons a policy may press, with their bits in Slippi's physical button field. START is not among them."""

BUTTON_MASK = sum(bit for _, bit in BUTTONS)
DIGITAL_SHOULDERS = 0x0040 | 0x0020
"""L and R: a digital press forces the analog trigger to 1.0 in Melee (149 622 of 149 622 recorded presses)."""

Z_BUTTON = 0x0010
"""Z holds the trigger at 49/140, even with L or R pressed (3 898 of 3 898 recorded presses, 138 of them with L or R)."""

STICK_DEAD_ZONE = 23
"""Melee reads |v| < 23/80 on either axis as 0 (exact on 219 217 of 219 217 recorded samples)."""

TRIGGER_DEAD_ZONE = 43
"""Melee reads a trigger below 43/140 as 0 (exact on the same samples)."""

Controllers = NDArray[np.int32]
Classes = NDArray[np.uint8]

NUM_CONTROLLER_FLOATS = 13
"""Numbers a policy is given of the previous controller: four axes, the trigger, eight buttons."""

NEUTRAL = np.zeros(6, dtype=np.int32)
"""The resting controller."""

AXES = ("c_x", "c_y", "main_x", "main_y")
AXIS_SOURCE = (2, 3, 0, 1)
"""Where each of ``AXES`` stands in a controller."""

CONTROLS = (*AXES, "trigger", *(name for name, _ in BUTTONS))
"""Names of the numbers of ``controller_floats``, in their order."""

_BITS = np.array([bit for _, bit in BUTTONS], dtype=np.int32)


def controller_floats(controllers: Controllers) -> NDArray[np.float32]:
    """The 13 numbers a policy sees of a controller: c x, c y, main x, main y (-1…1), trigger (0…1), eight buttons (0/1)."""
    sticks = controllers[..., AXIS_SOURCE] / np.float32(80)
    trigger = controllers[..., 4:5] / np.float32(140)
    buttons = (controllers[..., 5:6] & _BITS) != 0
    return np.concatenate([sticks, trigger, buttons], axis=-1).astype(np.float32)


def pressed_trigger(level: NDArray[np.int32], buttons: NDArray[np.int32]) -> NDArray[np.int32]:
    """The analog ``level`` to send with ``buttons``: a digital L or R takes it to 1.0, unless Z holds it down."""
    is_digital = ((buttons & DIGITAL_SHOULDERS) != 0) & ((buttons & Z_BUTTON) == 0)
    return np.where(is_digital, np.int32(140), level)
