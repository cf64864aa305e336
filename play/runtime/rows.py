"""Policies stepped for the players of many games, so that what a player gets does not depend on how many there are.

Libraries of matrix products choose their arithmetic by the number of rows: a row computed alone differs in its last bits from
the same row among others. So every inference has the same number of rows, ``ROWS``, however many games are played; rows
without a player are zeros. ``tests/play/runtime/test_rows.py`` checks that a row is then the same, bit for bit, in any
place among any others.

Int8 graphs have one scale for the activations of all rows of an inference, so they step one player at a time.
"""

from collections.abc import Callable
from typing import Protocol, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from dataset.errors import require_known
from dataset.melee.controller import Classes
from play.agent.agent import PolicyInput, Stepper
from play.runtime.load import LoadedRun, load

T = TypeVar("T", bound=np.generic)

ROWS = 16
"""Rows of an inference. Below 16, PyTorch's products on x86 processors differ from those of more rows; ONNX Runtime's do for
a single row."""

RUNTIMES = ("auto", "onnx", "torch")
"""``--runtime`` names."""


class Twinned(Stepper, Protocol):
    """A stepper that can be had several times with the weights in memory once."""

    def twin(self) -> Self:
        """The same policy with states of its own for as many players."""


class RowsStepper:
    """A policy for any number of players, in inferences of ``num_rows`` each; a ``Stepper`` (``play.agent.agent``).

    Args:
        stepper: the policy for ``num_rows`` players.
        num_rows: how many it steps at once.
        num_players: how many there are.
    """

    def __init__(self, stepper: Twinned, num_rows: int, num_players: int) -> None:
        self._num_rows = num_rows
        self._steppers: list[Twinned] = [stepper.twin() for _ in range(0, num_players, num_rows)]
        self._is_new = True

    def reset(self) -> None:
        """Begin new games; agents that share this stepper each ask for it, so only the first time does anything."""
        if not self._is_new:
            for stepper in self._steppers:
                stepper.reset()
        self._is_new = True

    def step(self, given: PolicyInput) -> Classes:
        """See ``play.agent.agent.Stepper``."""
        self._is_new = False
        blocks = []
        for number, stepper in enumerate(self._steppers):
            rows = slice(number * self._num_rows, (number + 1) * self._num_rows)
            blocks.append(stepper.step(_part(given, rows, self._num_rows)))
        return np.concatenate(blocks)[: len(given.continuous)]


def load_rows(run: str, temperature: float, runtime: str) -> tuple[LoadedRun, Callable[[int], RowsStepper]]:
    """A run, and what makes a stepper of it for a number of players; all steppers share the weights.

    Raises:
        CheckpointError: there is no such run, it is not for this exphil, or its graph is stale.
        ConfigError: the temperature is not above 0, or the runtime is unknown or cannot be had.
    """
    require_known("--runtime", runtime, RUNTIMES)
    num_rows = ROWS
    loaded, stepper = load(run, temperature, runtime, num_rows)
    if loaded.is_int8:
        num_rows = 1
        loaded, stepper = load(run, temperature, runtime, num_rows)
    return loaded, lambda num_players: RowsStepper(cast(Twinned, stepper), num_rows, num_players)


def _part(given: PolicyInput, rows: slice, num_rows: int) -> PolicyInput:
    """Some rows of what is given, and zeros after the last player."""
    return PolicyInput(
        continuous=_filled_up(given.continuous[rows], num_rows),
        indices=_filled_up(given.indices[rows], num_rows),
        previous=_filled_up(given.previous[rows], num_rows),
        delay=given.delay,
        noise=_filled_up(given.noise[rows], num_rows),
    )


def _filled_up(rows: NDArray[T], num_rows: int) -> NDArray[T]:
    missing = num_rows - len(rows)
    return np.concatenate([rows, np.zeros((missing, rows.shape[1]), rows.dtype)]) if missing else rows
