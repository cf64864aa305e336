"""Policies stepped for the players of many games, so that what a player gets does not depend on how many there are.

Every inference has the same number of rows, ``ROWS``, however many games are played; ``play.runtime.slots`` says why.

Int8 graphs have one scale for the activations of all rows of an inference, so they step one player at a time.
"""

from collections.abc import Callable
from typing import Protocol, Self, cast

import numpy as np

from dataset.errors import require_known
from dataset.melee.controller import Classes
from play.agent.agent import PolicyInput, Stepper
from play.runtime.load import LoadedRun, load
from play.runtime.slots import ROWS, part

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
            blocks.append(stepper.step(part(given, rows, self._num_rows)))
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
