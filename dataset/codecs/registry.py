"""Codecs turn controllers into class indices and back; each has a digest that stores and checkpoints carry.

Controllers are those of ``dataset.melee.controller``. Classes are uint8 [..., K], one column a component, in the order in
which the autoregressive head predicts them. Likelihoods of two codecs cannot be compared, because the finer codec has to
say more; compare what they decode to.
"""

from typing import Protocol

from dataset.codecs.axis17 import Axis17
from dataset.codecs.joint import Joint
from dataset.errors import ConfigError
from dataset.melee.controller import (
    BUTTON_MASK,
    BUTTONS,
    DIGITAL_SHOULDERS,
    NEUTRAL,
    NUM_CONTROLLER_FLOATS,
    STICK_DEAD_ZONE,
    TRIGGER_DEAD_ZONE,
    Z_BUTTON,
    Classes,
    Controllers,
    controller_floats,
)

__all__ = [
    "BUTTONS",
    "BUTTON_MASK",
    "CODECS",
    "DIGITAL_SHOULDERS",
    "NEUTRAL",
    "NUM_CONTROLLER_FLOATS",
    "STICK_DEAD_ZONE",
    "TRIGGER_DEAD_ZONE",
    "Z_BUTTON",
    "Axis17",
    "Classes",
    "Codec",
    "Controllers",
    "Joint",
    "controller_floats",
    "get_codec",
]


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


CODECS: dict[str, Codec] = {"axis17": Axis17(), "joint": Joint()}


def get_codec(name: str) -> Codec:
    """The codec of that name."""
    if name not in CODECS:
        raise ConfigError(f"codec '{name}': unknown; use one of {', '.join(CODECS)}")
    return CODECS[name]
