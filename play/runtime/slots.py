"""Policies stepped for games that come and go: each has a slot that holds its state, and any of them are stepped at a time.

Libraries of matrix products choose their arithmetic by the number of rows: a row computed alone differs in its last bits from
the same row among others. So every inference has the same number of rows, ``ROWS``, however many games are played; rows
without a game are zeros. ``tests/play/runtime/test_rows.py`` checks that a row is then the same, bit for bit, in any place
among any others. For the same reason, threads share out inferences, and no inference is split.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dataset.melee.controller import Classes
from play.agent.agent import PolicyInput

if TYPE_CHECKING:
    from play.runtime.onnx_stepper import OnnxStepper

T = TypeVar("T", bound=np.generic)

Slots = NDArray[np.int64]

ROWS = 16
"""Rows of an inference. Below 16, PyTorch's products on x86 processors differ from those of more rows; ONNX Runtime's do for
a single row."""


class SlotStepper:
    """A policy for the games in some slots; a ``Stepper`` (``play.agent.agent``).

    Args:
        stepper: the policy for ``num_rows`` players.
        num_rows: how many it steps at once.
        num_slots: games that there may be.
        num_threads: inferences at a time.
    """

    def __init__(self, stepper: "OnnxStepper", num_rows: int, num_slots: int, num_threads: int = 1) -> None:
        self._num_rows = num_rows
        self._steppers = [stepper, *(stepper.twin() for _ in range(num_threads - 1))]
        self._threads = ThreadPoolExecutor(num_threads)
        self._states: dict[str, NDArray[Any]] = {
            name: np.zeros((num_slots, *state.shape[1:]), state.dtype) for name, state in stepper.states.items()
        }
        self.choose(np.arange(num_slots), np.ones(num_slots, np.bool_))

    def reset(self) -> None:
        """Nothing: ``choose`` says which games are new."""

    def choose(self, slots: Slots, is_new: NDArray[np.bool_]) -> None:
        """Say whom the next step is for.

        Args:
            slots: [N] of the games, in the order of their rows.
            is_new: [N] whether their state begins now.
        """
        self._slots = slots
        for state in self._states.values():
            state[slots[is_new]] = 0

    def step(self, given: PolicyInput) -> Classes:
        """See ``play.agent.agent.Stepper``."""
        num_games = len(given.continuous)
        classes = np.empty(given.previous.shape, np.uint8)
        starts = range(0, num_games, self._num_rows)

        def step_some(stepper: "OnnxStepper", starts: range) -> None:
            for start in starts:
                rows = slice(start, min(start + self._num_rows, num_games))
                classes[rows] = self._step_block(stepper, given, rows)

        shares = [(stepper, starts[number :: len(self._steppers)]) for number, stepper in enumerate(self._steppers)]
        busy = [share for share in shares if share[1]]
        if len(busy) == 1:
            step_some(*busy[0])
        else:
            list(self._threads.map(step_some, *zip(*busy, strict=True)))
        return classes

    def _step_block(self, stepper: "OnnxStepper", given: PolicyInput, rows: slice) -> Classes:
        slots = self._slots[rows]
        for name, buffer in stepper.states.items():
            buffer[: len(slots)] = self._states[name][slots]
        classes = stepper.step(part(given, rows, self._num_rows))
        for name, buffer in stepper.states.items():
            self._states[name][slots] = buffer[: len(slots)]
        return classes[: len(slots)]


def part(given: PolicyInput, rows: slice, num_rows: int) -> PolicyInput:
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
