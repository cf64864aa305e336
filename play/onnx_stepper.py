"""The policy stepped frame by frame in ONNX Runtime, from the graph that ``exphil export`` wrote.

In: ``policy.onnx``, then numpy rows of one frame at a time. Out: numpy classes. The surprise: nothing is allocated in play.
Every input and output has its place in memory, and two sets of states take turns, each bound once as what is read and once as
what is written.
"""

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from dataset.codec import Classes
from dataset.errors import CheckpointError
from train.record import GRAPH_BATCH, GRAPH_VERSION

_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
_FRAME = ("continuous", "indices", "previous", "delay", "noise", "temperature")

Buffers = dict[str, NDArray[np.generic]]


class OnnxStepper:
    """An exported policy with the state of one game.

    Args:
        path: the graph.
        temperature: divides the logits of every component; 1 samples what the policy learned.
        num_players: how many it steps at once, each with a state of its own.

    Raises:
        CheckpointError: the file is no such graph, or another exphil's.
    """

    def __init__(self, path: Path, temperature: float = 1.0, num_players: int = 1) -> None:
        self._session = open_session(path, num_players)
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        if self.metadata.get("graph_version") != GRAPH_VERSION:
            raise CheckpointError(
                f"{path}: this exphil plays graph version {GRAPH_VERSION}, found "
                f"{self.metadata.get('graph_version')}; run 'exphil export' again"
            )
        inputs, outputs = (
            _buffers(values, num_players) for values in (self._session.get_inputs(), self._session.get_outputs())
        )
        self._frame: Buffers = {name: inputs.pop(name) for name in _FRAME}
        self._frame["temperature"][:] = temperature
        self._outputs = outputs  # also those nobody reads: the runtime writes to them at every step
        self._states = (inputs, {name: np.zeros_like(buffer) for name, buffer in inputs.items()})
        self._bindings = [
            self._bind(self._states[turn], outputs | _as_outputs(self._states[1 - turn])) for turn in range(2)
        ]
        self.reset()

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
        """See ``play.agent.Stepper``."""
        frame = self._frame
        frame["continuous"][:] = continuous
        frame["indices"][:] = indices
        frame["previous"][:] = previous
        frame["delay"][:] = delay
        frame["noise"][:] = noise
        self._session.run_with_iobinding(self._bindings[self._turn])
        self._turn = 1 - self._turn
        result: Classes = self._outputs["classes"].astype(np.uint8).reshape(previous.shape)
        return result

    def _bind(self, state: Buffers, outputs: Buffers) -> ort.IOBinding:
        binding = self._session.io_binding()
        for name, buffer in (self._frame | state).items():
            binding.bind_input(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        for name, buffer in outputs.items():
            binding.bind_output(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        return binding


def open_session(model: Path | bytes, num_players: int) -> ort.InferenceSession:
    """A graph ready to run on one thread: at one frame a step, more cost more than they give.

    Raises:
        CheckpointError: it is no graph.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_free_dimension_override_by_name(GRAPH_BATCH, num_players)
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(model) if isinstance(model, Path) else model, options, ["CPUExecutionProvider"])
    except Exception as error:  # its classes have no base of their own
        raise CheckpointError(
            f"{model!r:.200}: must be an exported graph, found {error}; run 'exphil export' again"
        ) from error


def _buffers(values: "list[ort.NodeArg]", num_players: int) -> Buffers:
    shapes = {value.name: [num_players if size == GRAPH_BATCH else size for size in value.shape] for value in values}
    return {value.name: np.zeros(shapes[value.name], dtype=_TYPES[value.type]) for value in values}


def _as_outputs(state: Buffers) -> Buffers:
    return {f"next_{name}": buffer for name, buffer in state.items()}
