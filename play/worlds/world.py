"""What a cohort plays in: a world steps many games at once, one frame at a time.

Row t of a game holds state t and the controller that produced it, as in the frame table. A game takes controllers for frame
t+1 after it has shown state t; a policy with delay d decides on state t what is pressed in frame t+1+d.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Match(NamedTuple):
    """One game to play; side a, the lower port, comes first."""

    characters: tuple[str, str]
    """Names of ``dataset.melee.ids``."""
    stage: str
    seed: int
    """≥ 0; decides all that happens by chance."""
    levels: tuple[int | None, int | None] = (None, None)
    """Strength of the world's own player in each seat, 1 is the weakest; None where the controllers come from outside."""


@dataclass(frozen=True)
class Frames:
    """One frame of each of N games."""

    raw: NDArray[np.float32]
    """[N, len(RAW_NAMES)] raw columns, which ``FRAME_ENCODERS`` turn to either side. A game that is over keeps its last."""
    controllers: NDArray[np.int32]
    """[N, 2, 6] in the order of ``CONTROLLER_NAMES``: what the game read of both sides' controllers in this frame."""
    is_over: NDArray[np.bool_]
    """[N] games that have ended: the controllers for them are ignored."""


class World(Protocol):
    """A batch of games in lock step."""

    def reset(self, matches: Sequence[Match]) -> Frames:
        """Begin these games, at Slippi frame -123; those before are given up."""

    def step(self, controllers: NDArray[np.int32]) -> Frames:
        """Play one frame.

        Args:
            controllers: int32 [N, 2, 6] in the order of ``CONTROLLER_NAMES``, as an agent puts them on a pad; the game
                reads of them what Melee would. Ignored where a game is over and where a match gives the seat a level.

        Returns:
            Arrays that stay as they are: the next step makes new ones.
        """

    def save(self, game: int, path: Path) -> None:
        """Write game number ``game``, as far as it has been played, as a Slippi replay."""

    def close(self) -> None:
        """Give back what the games hold outside this process's own memory; a world is used no more afterwards."""


@dataclass(frozen=True, kw_only=True)
class WorldKind:
    """A kind of world, and what it knows."""

    characters: Sequence[str]
    longest: int
    """Most frames of a game."""
    make: Callable[[int], World]
    """Makes a world whose games last so many frames at most."""
    own_player: str | None = None
    """What ``--against`` calls its own player; None: it has none."""
    levels: Sequence[int] = ()
    """Strengths of its own player; the last is the one to beat."""
    own_characters: Sequence[str] = ()
    """What its own player can play; none: all characters."""
    can_save: bool = True
    """Whether it writes replays."""
    at_once: int | None = None
    """Most games that it plays at once; a pairing's others follow in turns. None: as many as there are."""
    has_platforms: bool = True
    """Whether its stages have platforms."""
