"""Exported graphs stepped frame by frame, in ONNX Runtime or whatever other library binds their buffers.

Nothing is allocated in play: every input and output has its place in memory, and two sets of states take turns, each bound
once as what is read and once as what is written.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from dataset.codecs.base import Codec
from dataset.errors import CheckpointError
from dataset.melee.controller import Classes
from play.agent.agent import PolicyInput
from train.runs.graph import GRAPH_BATCH, read_graph, require_graph

FRAME = (*PolicyInput._fields, "temperature")
"""Inputs that are no states."""

_NEXT = "next_"
"""What an output is called that is the state after: this and the state's name."""

_TYPES: dict[str, type[np.generic]] = {"tensor(float)": np.float32, "tensor(int64)": np.int64}

_NO_LOG = 4
"""ONNX Runtime raises what it would write."""

MOST_VALUES = 2**24
"""Numbers that an input or output of a graph may hold."""

FIRST_STEP_S = 20.0
"""A graph may loop for ever, and no signal interrupts a step; the largest policies take a second for their first."""

Buffers = dict[str, NDArray[np.generic]]


class GraphStepper(ABC):
    """An exported policy with the states of its players; a ``Stepper`` (``play.agent.agent``).

    Args:
        inputs: a buffer for each input of the graph.
        outputs: a buffer for each output; ``next_…`` is the state after.
        temperature: divides the logits of every component; 1 samples what the policy learned.
        metadata: what the graph says of itself.
    """

    def __init__(self, inputs: Buffers, outputs: Buffers, temperature: float, metadata: Mapping[str, str]) -> None:
        self.metadata = metadata
        # Every buffer is kept as long as the stepper, read or not: the library holds no reference to what it was bound to.
        self._frame: Buffers = {name: inputs[name] for name in FRAME}
        self._frame["temperature"][:] = temperature
        self._given = [self._frame[name] for name in PolicyInput._fields]
        state = {name: buffer for name, buffer in inputs.items() if name not in FRAME}
        self._states = (state, {name: np.zeros_like(buffer) for name, buffer in state.items()})
        self._outputs = {name: buffer for name, buffer in outputs.items() if not name.startswith(_NEXT)}
        self._sizes: Any = np.iinfo(np.uint8).max + 1
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

    @property
    def states(self) -> Buffers:
        """What the next step reads of those before, and may be overwritten; after it, what that step left."""
        return self._states[self._turn]

    def reset(self) -> None:
        """Begin a new game; every state begins as zeros."""
        self._turn = 0
        for buffer in self._states[0].values():
            buffer.fill(0)

    def step(self, given: PolicyInput) -> Classes:
        """See ``play.agent.agent.Stepper``."""
        values: tuple[Any, ...] = given
        for buffer, value in zip(self._given, values, strict=True):
            buffer[:] = value
        try:
            self._run[self._turn]()
        except Exception as error:  # the libraries' classes have no base of their own
            raise CheckpointError(
                f"policy: its graph must give classes for a frame, found {str(error)[:300]}; run 'exphil export' again"
            ) from error
        self._turn = 1 - self._turn
        classes: Any = self._outputs["classes"]
        if ((classes < 0) | (classes >= self._sizes)).any():
            raise CheckpointError(
                "policy: its graph must give classes of its codec, found others; run 'exphil export' again"
            )
        result: Classes = classes.astype(np.uint8)
        return result

    def require(self, codec: Codec) -> None:
        """Refuse a graph whose classes are not those of ``codec``: at once by their number, and in every step by their size.

        Raises:
            CheckpointError: it gives classes of another number of components.
        """
        sizes, found = [size for _, size in codec.components], self._outputs["classes"].shape[1]
        if len(sizes) != found:
            raise CheckpointError(
                f"policy: its graph must give the {len(sizes)} classes of codec {codec.name}, found {found}; "
                "run 'exphil export' again"
            )
        self._sizes = np.array(sizes)


def _as_outputs(state: Buffers) -> Buffers:
    return {_NEXT + name: buffer for name, buffer in state.items()}


class OnnxStepper(GraphStepper):
    """A graph in ONNX Runtime.

    The graph leaves open how many players it steps; a session fixes that, so that ONNX Runtime works out every shape
    beforehand.

    Args:
        path: the graph.
        temperature: divides the logits of every component; 1 samples what the policy learned.
        num_players: how many it steps at once, each with a state of its own.
        session: the graph, where it has been opened for as many players already.

    Raises:
        CheckpointError: the file is no such graph, or another exphil's.
    """

    def __init__(
        self,
        path: Path,
        temperature: float = 1.0,
        num_players: int = 1,
        session: ort.InferenceSession | None = None,
    ) -> None:
        self._session = session or open_session(path, num_players)
        metadata = require_graph(self._session, path)
        self._made_from = (path, temperature, num_players)
        self._options, self._has_answered = ort.RunOptions(), False
        self._options.log_severity_level = _NO_LOG
        inputs, outputs = (
            {value.name: zeros(value.shape, _TYPES[value.type], num_players) for value in values}
            for values in (self._session.get_inputs(), self._session.get_outputs())
        )
        super().__init__(inputs, outputs, temperature, metadata)

    def twin(self) -> "OnnxStepper":
        """The same policy with states of its own for as many players; both share the weights."""
        return OnnxStepper(*self._made_from, self._session)

    def step(self, given: PolicyInput) -> Classes:
        """See ``play.agent.agent.Stepper``; the first step must end in time."""
        if self._has_answered:
            return super().step(given)
        timer = Timer(FIRST_STEP_S, setattr, (self._options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            result = super().step(given)
        except CheckpointError as error:
            if not self._options.terminate:
                raise
            raise CheckpointError(
                f"policy: its graph must give classes for a frame within {FIRST_STEP_S:g} s, found none; run 'exphil export' "
                "again"
            ) from error
        finally:
            timer.cancel()
        self._has_answered = True
        return result

    def _bind(self, inputs: Buffers, outputs: Buffers) -> Callable[[], object]:
        binding = self._session.io_binding()
        for name, buffer in inputs.items():
            binding.bind_input(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        for name, buffer in outputs.items():
            binding.bind_output(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        return partial(self._session.run_with_iobinding, binding, self._options)


def open_session(model: Path | bytes, num_players: int) -> ort.InferenceSession:
    """A graph ready to run on one thread: at one frame per step, more cost more than they give.

    Raises:
        CheckpointError: it is no graph.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_free_dimension_override_by_name(GRAPH_BATCH, num_players)
    options.log_severity_level = _NO_LOG
    data = read_graph(model) if isinstance(model, Path) else model
    try:
        return ort.InferenceSession(data, options, ["CPUExecutionProvider"])
    except Exception as error:  # its classes have no base of their own
        place = model if isinstance(model, Path) else "graph"
        raise CheckpointError(
            f"{place}: must be an exported graph, found {str(error)[:300]}; run 'exphil export' again"
        ) from error


def zeros(shape: Sequence[int | str], dtype: type[np.generic], num_players: int) -> NDArray[np.generic]:
    """A buffer of a graph's value; a size that is a name is the players'.

    Raises:
        CheckpointError: it is no size that a policy's value has.
    """
    sizes = [num_players if isinstance(size, str) else size for size in shape]
    if not all(isinstance(size, int) and size > 0 for size in sizes) or math.prod(sizes) > MOST_VALUES:
        raise CheckpointError(
            f"graph: its values must hold 1 to {MOST_VALUES:,} numbers, found one of shape {list(shape)}; run 'exphil export' "
            "again"
        )
    return np.zeros(sizes, dtype=dtype)
