"""Codecs turn controllers into class indices and back; each has a digest that stores and checkpoints carry.

A controller is int32 [..., 6]: main x, main y, c x, c y (1/80), trigger (1/140), Slippi's physical button bits. Classes are
uint8 [..., K], one column a component, in the order in which the autoregressive head predicts them. The surprise: a decoded
controller is what the game will *read*, so levels inside its dead zones decode to the nearest value that gets through.
"""

import hashlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dataset.errors import ConfigError

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

_AXES = ("c_x", "c_y", "main_x", "main_y")
_AXIS_SOURCE = (2, 3, 0, 1)
"""Where each of ``_AXES`` stands in a controller."""
_BITS = np.array([bit for _, bit in BUTTONS], dtype=np.int32)


class Codec(Protocol):
    """What every codec offers."""

    @property
    def name(self) -> str:
        """What ``--codec`` calls it."""

    @property
    def components(self) -> tuple[tuple[str, int], ...]:
        """(name, number of classes) of every component, in the order of the class columns."""

    @property
    def digest(self) -> str:
        """Changes whenever any class means something else."""

    def encode(self, controllers: Controllers) -> Classes:
        """Nearest classes; controllers int [..., 6] to classes uint8 [..., K]. Ties go away from neutral."""

    def decode(self, classes: Classes) -> Controllers:
        """The controller to send for classes uint8 [..., K]."""

    def mirror(self, classes: Classes) -> Classes:
        """Left and right exchanged: an involution on classes."""


@dataclass(frozen=True)
class Axis17:
    """Four axes at 17 rounded levels, the trigger at five, eight independent buttons."""

    name: str = "axis17"

    @property
    def components(self) -> tuple[tuple[str, int], ...]:
        """(name, number of classes) of every component, in the order of the class columns."""
        return (*((axis, 17) for axis in _AXES), ("trigger", 5), *((button, 2) for button, _ in BUTTONS))

    @property
    def digest(self) -> str:
        """Changes whenever any class means something else."""
        tables = f"{self.name}:{self.components}:{_STICK_LEVELS.tolist()}:{_TRIGGER_LEVELS.tolist()}:{BUTTONS}"
        tables += f":{DIGITAL_SHOULDERS}:{Z_BUTTON}"
        return hashlib.sha256(tables.encode()).hexdigest()[:16]

    def encode(self, controllers: Controllers) -> Classes:
        """See ``Codec.encode``; K = 13."""
        classes = np.empty(
            (len(self.components), *controllers.shape[:-1]), dtype=np.uint8
        )  # column by column is fastest
        for row, source in enumerate(_AXIS_SOURCE):
            axis = controllers[..., source]
            classes[row] = 8 + np.sign(axis) * ((np.abs(axis) + 5) // 10)
        classes[4] = (controllers[..., 4] * 2 + 35) // 70
        for row, bit in enumerate(_BITS, start=5):
            classes[row] = (controllers[..., 5] & bit) != 0
        return np.moveaxis(classes, 0, -1)

    def decode(self, classes: Classes) -> Controllers:
        """The controller to send; a digital L or R takes its analog to 1.0, unless Z holds it down."""
        out = np.empty((*classes.shape[:-1], 6), dtype=np.int32)
        out[..., _AXIS_SOURCE] = _STICK_LEVELS[classes[..., :4]]
        out[..., 5] = (classes[..., 5:] * _BITS).sum(axis=-1)
        digital = ((out[..., 5] & DIGITAL_SHOULDERS) != 0) & ((out[..., 5] & Z_BUTTON) == 0)
        out[..., 4] = np.where(digital, 140, _TRIGGER_LEVELS[classes[..., 4]])
        return out

    def mirror(self, classes: Classes) -> Classes:
        """Left and right exchanged: an involution on classes."""
        out = classes.copy()
        out[..., 0] = 16 - out[..., 0]
        out[..., 2] = 16 - out[..., 2]
        return out


_STICK_LEVELS = np.array([-80, -70, -60, -50, -40, -30, -23, -10, 0, 10, 23, 30, 40, 50, 60, 70, 80], dtype=np.int32)
"""Levels ±2 would be 20/80, inside the dead zone, and decode to ±23, the smallest tilt the game sees. Levels ±1 (±10/80)
lie in the dead zone as a whole: no recorded controller encodes to them."""

_TRIGGER_LEVELS = np.array([0, 49, 70, 105, 140], dtype=np.int32)
"""Level 1 would be 35/140, inside the dead zone, and decodes to Z's own light press, 49/140."""

CODECS: dict[str, Codec] = {"axis17": Axis17()}


def get_codec(name: str) -> Codec:
    """The codec of that name."""
    if name not in CODECS:
        raise ConfigError(f"codec '{name}': unknown; use one of {', '.join(CODECS)}")
    return CODECS[name]


def controller_floats(controllers: Controllers) -> NDArray[np.float32]:
    """The 13 numbers a policy sees of a controller: c x, c y, main x, main y (-1…1), trigger (0…1), eight buttons (0/1)."""
    sticks = controllers[..., _AXIS_SOURCE] / np.float32(80)
    trigger = controllers[..., 4:5] / np.float32(140)
    buttons = (controllers[..., 5:6] & _BITS) != 0
    return np.concatenate([sticks, trigger, buttons], axis=-1).astype(np.float32)
