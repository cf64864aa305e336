"""What a codec is: the rule that turns controllers into class indices and back.

Controllers are those of ``dataset.melee.controller``. Classes are uint8 [..., K], one column per component, in the order in
which the autoregressive head predicts them. Likelihoods of two codecs cannot be compared, because the finer codec has to
say more; compare what they decode to.
"""

from typing import Protocol

from dataset.melee.controller import Classes, Controllers


class Codec(Protocol):
    """What every codec offers."""

    def __hash__(self) -> int:
        """Codecs are keys of caches."""

    @property
    def name(self) -> str:
        """What ``--codec`` calls it."""

    @property
    def components(self) -> tuple[tuple[str, int], ...]:
        """(name, number of classes) of every component, in the order of the class columns."""

    @property
    def digest(self) -> str:
        """Changes whenever any class means something else; stores and checkpoints carry it."""

    def encode(self, controllers: Controllers) -> Classes:
        """Nearest classes; controllers int [..., 6] to classes uint8 [..., K]. Ties go away from neutral."""

    def decode(self, classes: Classes) -> Controllers:
        """The controller to send for classes uint8 [..., K]."""

    def mirror(self, classes: Classes) -> Classes:
        """Left and right exchanged: an involution on classes."""
