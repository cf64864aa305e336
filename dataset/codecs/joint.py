"""``joint``: a class for each stick position that means something in Melee, one for the trigger, one for all eight buttons.

Four components, all by table lookup: c-stick (13), main stick (92), trigger (25), button mask (256). A main stick position goes
to the nearest centre *on the same side of every threshold* at which the game acts differently, so a walk never decodes to a
dash nor a platform drop to a spot dodge.

Thresholds, in 1/80, measured on 129 Falco games (2.34 M player-frames): |x| ≥ 64 dashes (1,913 of 1,913 from standing, where
walks begin at 23), y ≤ −53 drops through a platform out of shield (894 of 894), y ≤ −56 crouches (816 of 816 from standing)
and spot-dodges, so shield drops live on −53…−55; y ≥ 53 is the tap jump.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.melee.controller import (
    BUTTONS,
    DIGITAL_SHOULDERS,
    STICK_DEAD_ZONE,
    Classes,
    Controllers,
    Z,
    pressed_trigger,
)

_REACH = 80
_X_THRESHOLDS = (1, 64)
"""Where |x| begins to tilt and to dash."""
_Y_THRESHOLDS = (-55, -52, 0, 1, 53)
"""Where a band of y begins: platform drop, tilt down, rest, tilt up, tap jump; below them all is the crouch."""

_RIM = (
    (76, 23), (73, 31), (71, 36), (68, 42), (64, 47), (61, 51), (56, 56), (51, 61), (47, 64), (42, 68), (36, 71),
    (31, 73), (23, 76),
)  # fmt: skip
"""A quadrant's edge: the 45° notch; 16.8° and 73.2°, the extremes that leave the dead zone on both axes (16.8° down is the
longest wavedash); between them every 4.4° from 23.0° to 67.0°, the recovery angles of box controllers (HayBox,
``Melee20Button.cpp``: 22.96, 27.37, 31.78, 36.19, 40.59 and their complements), each at the reachable point furthest out."""

_SHIELD_DROP = (58, -54)
"""The middle of the three rows, on the edge: box controllers send (56, −55), most recorded drops have y = −55."""

_UP, _DOWN = (27, 36, 47, 58, 68, 80), (-26, -35, -46, -54, -63, -72, -80)
_SIDE = (27, 37, 47, 58, 70, 80)
"""Tilts along the axes: added to the edge one by one, the centres that leave least squared error on those games, both sides taken
together. What any worn stick reads at full deflection (75…80) is one class, 80, since the game treats it alike."""

_INSIDE = ((32, 28), (52, 31), (36, 37))
"""Tilts off the axes, found in the same way; up and down share them."""

_RIGHT = (
    *((x, 0) for x in _SIDE),
    *(point for x, y in (*_RIM, *_INSIDE) for point in ((x, y), (x, -y))),
    _SHIELD_DROP,
)
_MAIN = (
    *((0, y) for y in (0, *_UP, *_DOWN)),
    *_RIGHT,
    *((-x, y) for x, y in _RIGHT),
)
_C = (
    (0, 0),
    (0, 80),
    (0, -80),
    *((s * x, y) for s in (1, -1) for x, y in ((80, 0), (68, 42), (68, -42), (42, 68), (42, -68))),
)
"""Rest, the four smashes, 31.7° (angled forward smashes) and 58.3° (directional influence off a slide) in every quadrant."""

_TRIGGER_LEVELS = np.array(
    [0, 43, 49, 53, 57, 61, 65, 69, 73, 77, 81, 85, 89, 94, 98, 102, 106, 110, 115, 119, 123, 127, 132, 136, 140],
    np.int32,
)
"""Evenly over the lightest shield (43) to the hardest (140), with Z's light press (49) among them; recorded light presses
are spread evenly too."""

Points = tuple[tuple[int, int], ...]


def _lattice() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """What the game makes of every pair of −80…80, as x and y [161, 161]: into the circle, then the dead zone by axis."""
    axis = np.arange(-_REACH, _REACH + 1)
    pairs = np.meshgrid(axis, axis, indexing="ij")
    square = np.maximum(pairs[0] ** 2 + pairs[1] ** 2, _REACH**2)
    drawn = [np.sign(v) * np.floor(np.sqrt(v * v * _REACH**2 // square)).astype(np.int64) for v in pairs]
    x, y = (np.where(np.abs(v) < STICK_DEAD_ZONE, 0, v).astype(np.int32) for v in drawn)
    return x, y


def _band(x: NDArray[np.int32], y: NDArray[np.int32]) -> NDArray[np.int64]:
    """One number for all positions between the same thresholds."""
    sideways = np.sign(x) * np.searchsorted(_X_THRESHOLDS, np.abs(x), side="right")
    return sideways * 10 + np.searchsorted(_Y_THRESHOLDS, y, side="right")


def _nearest(centres: Points, *, by_band: bool) -> NDArray[np.uint8]:
    """[161, 161]: the class of every pair; ties go outwards, then to the steeper centre, so both sides break them alike."""
    x, y = _lattice()
    px, py = np.array(centres, np.int32).T  # half the bytes: this runs at every start
    order = np.lexsort((np.arange(len(px)), -np.abs(py), -(px**2 + py**2)))
    px, py = px[order], py[order]
    distance = (x[..., None] - px) ** 2 + (y[..., None] - py) ** 2
    if by_band:
        distance[_band(x, y)[..., None] != _band(px, py)] = 1 << 20
    classes: NDArray[np.uint8] = order[distance.argmin(axis=-1)].astype(np.uint8)
    return classes


def _mirrored(centres: Points) -> NDArray[np.uint8]:
    """[n]: the class with left and right exchanged."""
    return np.array([centres.index((-x, y)) for x, y in centres], dtype=np.uint8)


_MAIN_CLASS, _C_CLASS = _nearest(_MAIN, by_band=True), _nearest(_C, by_band=False)
_MAIN_XY, _C_XY = np.array(_MAIN, dtype=np.int32), np.array(_C, dtype=np.int32)
_MAIN_MIRROR, _C_MIRROR = _mirrored(_MAIN), _mirrored(_C)

_TRIGGER_CLASS = np.where(
    np.arange(141) < _TRIGGER_LEVELS[1],
    0,
    24 - np.abs(np.arange(141)[:, None] - _TRIGGER_LEVELS[::-1]).argmin(axis=1),
).astype(np.uint8)
"""Nearest level, ties up; what the game reads as 0 is 0."""

_BITS = np.array([bit for _, bit in BUTTONS], dtype=np.int32)
_MASK = ((np.arange(256)[:, None] >> np.arange(8) & 1) * _BITS).sum(axis=1).astype(np.int32)
"""Slippi's bits of every class: its bit i is button i of ``BUTTONS``."""
_SLIPPI_BITS = 0x0FFF
_MASK_CLASS = (((np.arange(_SLIPPI_BITS + 1)[:, None] & _BITS) != 0) << np.arange(8)).sum(axis=1).astype(np.uint8)


@dataclass(frozen=True)
class Joint:
    """Sticks by position, buttons by mask: what belongs together is decided together."""

    name: str = "joint"

    @property
    def components(self) -> tuple[tuple[str, int], ...]:
        """(name, number of classes) of every component, in the order of the class columns."""
        return (("c_stick", len(_C)), ("main_stick", len(_MAIN)), ("trigger", len(_TRIGGER_LEVELS)), ("buttons", 256))

    @property
    def digest(self) -> str:
        """Changes whenever any class means something else."""
        facts = f"{self.name}:{_C}:{_MAIN}:{_TRIGGER_LEVELS.tolist()}:{BUTTONS}:{DIGITAL_SHOULDERS}:{Z}"
        tables = (_C_CLASS, _MAIN_CLASS, _TRIGGER_CLASS, _MASK_CLASS)
        return hashlib.sha256(facts.encode() + b"".join(table.tobytes() for table in tables)).hexdigest()[:16]

    def encode(self, controllers: Controllers) -> Classes:
        """See ``Codec.encode``; K = 4."""
        classes = np.empty((4, *controllers.shape[:-1]), dtype=np.uint8)  # column by column is fastest
        classes[0] = _C_CLASS[controllers[..., 2] + _REACH, controllers[..., 3] + _REACH]
        classes[1] = _MAIN_CLASS[controllers[..., 0] + _REACH, controllers[..., 1] + _REACH]
        classes[2] = _TRIGGER_CLASS[controllers[..., 4]]
        classes[3] = _MASK_CLASS[controllers[..., 5] & _SLIPPI_BITS]
        return np.moveaxis(classes, 0, -1)

    def decode(self, classes: Classes) -> Controllers:
        """The controller to send; a digital L or R takes its analog to 1.0, unless Z holds it down."""
        out = np.empty((*classes.shape[:-1], 6), dtype=np.int32)
        out[..., 0:2] = _MAIN_XY[classes[..., 1]]
        out[..., 2:4] = _C_XY[classes[..., 0]]
        out[..., 5] = _MASK[classes[..., 3]]
        out[..., 4] = pressed_trigger(_TRIGGER_LEVELS[classes[..., 2]], out[..., 5])
        return out

    def mirror(self, classes: Classes) -> Classes:
        """Left and right exchanged: an involution on classes."""
        out = classes.copy()
        out[..., 0] = _C_MIRROR[classes[..., 0]]
        out[..., 1] = _MAIN_MIRROR[classes[..., 1]]
        return out
