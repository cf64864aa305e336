"""``axis17``: four axes at 17 rounded levels, the trigger at five, eight independent buttons; 13 components.

A decoded controller is what the game will *read*, so levels inside its dead zones decode to the nearest value that gets
through.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from dataset.melee.controller import (
    AXES,
    AXIS_SOURCE,
    BUTTONS,
    DIGITAL_SHOULDERS,
    Classes,
    Controllers,
    Z,
    pressed_trigger,
)

_BITS = np.array([bit for _, bit in BUTTONS], dtype=np.int32)

_STICK_LEVELS = np.array([-80, -70, -60, -50, -40, -30, -23, -10, 0, 10, 23, 30, 40, 50, 60, 70, 80], dtype=np.int32)
"""Levels ±2 would be 20/80, inside the dead zone, and decode to ±23, the smallest tilt the game sees. Levels ±1 (±10/80)
lie in the dead zone as a whole: no recorded controller encodes to them."""

_TRIGGER_LEVELS = np.array([0, 49, 70, 105, 140], dtype=np.int32)
"""Level 1 would be 35/140, inside the dead zone, and decodes to Z's own light press, 49/140."""


@dataclass(frozen=True)
class Axis17:
    """Comparable with most published tables: every axis and button by itself."""

    name: str = "axis17"

    @property
    def components(self) -> tuple[tuple[str, int], ...]:
        """(name, number of classes) of every component, in the order of the class columns."""
        return (*((axis, 17) for axis in AXES), ("trigger", 5), *((button, 2) for button, _ in BUTTONS))

    @property
    def digest(self) -> str:
        """Changes whenever any class means something else."""
        tables = f"{self.name}:{self.components}:{_STICK_LEVELS.tolist()}:{_TRIGGER_LEVELS.tolist()}:{BUTTONS}"
        tables += f":{DIGITAL_SHOULDERS}:{Z}"
        return hashlib.sha256(tables.encode()).hexdigest()[:16]

    def encode(self, controllers: Controllers) -> Classes:
        """See ``Codec.encode``; K = 13."""
        classes = np.empty(
            (len(self.components), *controllers.shape[:-1]), dtype=np.uint8
        )  # column by column is fastest
        for row, source in enumerate(AXIS_SOURCE):
            axis = controllers[..., source].astype(np.int8)  # four times as fast as int32
            classes[row] = np.sign(axis) * ((np.abs(axis) + np.int8(5)) // np.int8(10)) + np.int8(8)
        classes[4] = (controllers[..., 4].astype(np.uint16) * np.uint16(2) + np.uint16(35)) // np.uint16(70)
        buttons = controllers[..., 5].astype(np.uint16)
        for row, (_, bit) in enumerate(BUTTONS, start=5):
            classes[row] = (buttons & np.uint16(bit)) != 0
        return np.moveaxis(classes, 0, -1)

    def decode(self, classes: Classes) -> Controllers:
        """The controller to send; a digital L or R takes its analog to 1.0, unless Z holds it down."""
        out = np.empty((*classes.shape[:-1], 6), dtype=np.int32)
        out[..., AXIS_SOURCE] = _STICK_LEVELS[classes[..., :4]]
        out[..., 5] = (classes[..., 5:] * _BITS).sum(axis=-1)
        out[..., 4] = pressed_trigger(_TRIGGER_LEVELS[classes[..., 4]], out[..., 5])
        return out

    def mirror(self, classes: Classes) -> Classes:
        """Left and right exchanged: an involution on classes."""
        out = classes.copy()
        out[..., 0] = 16 - out[..., 0]
        out[..., 2] = 16 - out[..., 2]
        return out
