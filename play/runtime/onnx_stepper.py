"""The policy stepped frame by frame in ONNX Runtime, from the graph that ``exphil export`` wrote.

In: ``policy.onnx``. Out: a ``GraphStepper``. The surprise: the graph leaves open how many players it steps; a session fixes
that, so that ONNX Runtime works out every shape beforehand.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort

from dataset.errors import CheckpointError
from play.runtime.graph_stepper import Buffers, GraphStepper, require_version, zeros
from train.runs.run_folder import GRAPH_BATCH

_TYPES: dict[str, type[np.generic]] = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


class OnnxStepper(GraphStepper):
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
        metadata = metadata_of(self._session, path)
        inputs, outputs = (
            {value.name: zeros(value.shape, _TYPES[value.type], num_players) for value in values}
            for values in (self._session.get_inputs(), self._session.get_outputs())
        )
        super().__init__(inputs, outputs, temperature, metadata)

    def _bind(self, inputs: Buffers, outputs: Buffers) -> Callable[[], object]:
        binding = self._session.io_binding()
        for name, buffer in inputs.items():
            binding.bind_input(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        for name, buffer in outputs.items():
            binding.bind_output(name, "cpu", 0, buffer.dtype.type, buffer.shape, buffer.ctypes.data)
        return partial(self._session.run_with_iobinding, binding)


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


def metadata_of(session: ort.InferenceSession, path: Path) -> dict[str, str]:
    """What the graph says of itself.

    Raises:
        CheckpointError: it is another exphil's.
    """
    metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    require_version(metadata, path)
    return metadata
