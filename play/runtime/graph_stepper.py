"""An exported graph stepped frame by frame, whatever library runs it.

In: the graph's inputs and outputs as buffers, then numpy rows of one frame at a time. Out: numpy classes. The surprise: nothing
is allocated in play. Every input and output has its place in memory, and two sets of states take turns, each bound once as
what is read and once as what is written.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset.errors import CheckpointError
from dataset.melee.controller import Classes
from train.run_folder import GRAPH_VERSION

FRAME = ("continuous", "indices", "previous", "delay", "noise", "temperature")
"""Inputs that are given anew at every frame; all others are states."""

_NEXT = "next_"
"""What an output is called that is the state after: this and the state's name."""

Buffers = dict[str, NDArray[np.generic]]


class GraphStepper(ABC):
    """An exported policy with the state of one game.

    Args:
        inputs: a buffer for each input of the graph.
        outputs: a buffer for each output; ``next_…`` is the state after.
        temperature: divides the logits of every component; 1 samples what the policy learned.
        metadata: what the graph says of itself.
    """

    def __init__(self, inputs: Buffers, outputs: Buffers, temperature: float, metadata: Mapping[str, str]) -> None:
        self.metadata = metadata
        self._frame: Buffers = {name: inputs[name] for name in FRAME}
        self._frame["temperature"][:] = temperature
        state = {name: buffer for name, buffer in inputs.items() if name not in FRAME}
        self._states = (state, {name: np.zeros_like(buffer) for name, buffer in state.items()})
        # Also what nobody reads is kept: the library writes to it at every step.
        self._outputs = {name: buffer for name, buffer in outputs.items() if not name.startswith(_NEXT)}
        self._run = [
            self._bind(self._frame | self._states[turn], self._outputs | _as_outputs(self._states[1 - turn]))
            for turn in range(2)
        ]
        self.reset()

    @abstractmethod
    def _bind(self, inputs: Buffers, outputs: Buffers) -> Callable[[], object]:
        """What runs the graph once from these buffers into those."""

    def outputs(self) -> Buffers:
        """All that the last step gave; the next one overwrites it."""
        return self._outputs | _as_outputs(self._states[self._turn])

    def reset(self) -> None:
        """Begin a new game; every state begins as zeros."""
        self._turn = 0
        for buffer in self._states[0].values():
            buffer.fill(0)

    def step(
        self,
        continuous: NDArray[np.float16],
        indices: NDArray[np.uint16],
        previous: Classes,
        delay: int,
        noise: NDArray[np.float32],
    ) -> Classes:
        """See ``play.agent.agent.Stepper``."""
        frame = self._frame
        frame["continuous"][:] = continuous
        frame["indices"][:] = indices
        frame["previous"][:] = previous
        frame["delay"][:] = delay
        frame["noise"][:] = noise
        self._run[self._turn]()
        self._turn = 1 - self._turn
        result: Classes = self._outputs["classes"].astype(np.uint8).reshape(previous.shape)
        return result


def zeros(shape: Sequence[int | str], dtype: type[np.generic], num_players: int) -> NDArray[np.generic]:
    """A buffer of a graph's value; a size that is a name is the players'."""
    return np.zeros([num_players if isinstance(size, str) else size for size in shape], dtype=dtype)


def require_version(metadata: Mapping[str, str], path: object) -> None:
    """Refuse another exphil's graph."""
    if metadata.get("graph_version") != GRAPH_VERSION:
        raise CheckpointError(
            f"{path}: this exphil plays graph version {GRAPH_VERSION}, found {metadata.get('graph_version')}; "
            "run 'exphil export' again"
        )


def _as_outputs(state: Buffers) -> Buffers:
    return {_NEXT + name: buffer for name, buffer in state.items()}
