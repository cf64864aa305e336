"""Exported graphs stepped frame by frame in OpenVINO, for Intel's processors and their graphics.

OpenVINO computes in half precision wherever the device is faster that way. It is set to float32 here, or its controllers would
differ from those that were checked against PyTorch.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from dataset.errors import CheckpointError, ConfigError
from play.runtime.onnx_stepper import Buffers, GraphStepper, open_session, zeros
from train.runs.graph import require_graph

_TYPES: dict[str, type[np.generic]] = {"f32": np.float32, "i64": np.int64}
_SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
_CPU_SETTINGS = {"INFERENCE_NUM_THREADS": "1", "NUM_STREAMS": "1"}


class OpenVinoStepper(GraphStepper):
    """A graph in OpenVINO.

    Args:
        path: the graph.
        temperature: divides the logits of every component; 1 samples what the policy learned.
        num_players: how many it steps at once, each with a state of its own.
        device: ``CPU``, ``GPU`` or ``AUTO``.

    Raises:
        CheckpointError: the file is no such graph, another exphil's, or holds what OpenVINO lacks.
        ConfigError: there is no such device.
    """

    def __init__(self, path: Path, temperature: float = 1.0, num_players: int = 1, device: str = "CPU") -> None:
        metadata = require_graph(open_session(path, num_players), path)
        core = ov.Core()
        if device not in (known := ("AUTO", *core.available_devices)):
            raise ConfigError(f"--openvino-device {device}: must be one OpenVINO sees, found {', '.join(known)}")
        self._compiled = _compiled(core, path, num_players, device)
        inputs, outputs = (
            {
                value.any_name: zeros(list(value.shape), _TYPES[value.element_type.to_string()], num_players)
                for value in values
            }
            for values in (self._compiled.inputs, self._compiled.outputs)
        )
        super().__init__(inputs, outputs, temperature, metadata)

    def _bind(self, inputs: Buffers, outputs: Buffers) -> Callable[[], object]:
        request = self._compiled.create_infer_request()
        for name, buffer in (inputs | outputs).items():
            request.set_tensor(name, ov.Tensor(buffer, shared_memory=True))
        run: Callable[[], object] = request.infer
        return run


def _compiled(core: ov.Core, path: Path, num_players: int, device: str) -> Any:
    settings = _SETTINGS | (_CPU_SETTINGS if device == "CPU" else {})
    try:
        model = core.read_model(path)
        sizes = {value.any_name: [_size(size, num_players) for size in value.partial_shape] for value in model.inputs}
        model.reshape(sizes)
        return core.compile_model(model, device, settings)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: must be a graph that OpenVINO can run, found {str(error)[:500]}; play it with --runtime onnx"
        ) from error


def _size(size: Any, num_players: int) -> int:
    """Of a dimension; the one that the graph leaves open is ``GRAPH_BATCH``."""
    return num_players if size.is_dynamic else int(size.get_length())
