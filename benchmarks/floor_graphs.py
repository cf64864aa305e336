"""Minimal graphs to compare a policy's step with: one node alone, and a policy's weights read once.

The returned functions run a graph once from buffers that are bound beforehand, as play does. No step of a policy can
take less time than the first in that runtime, nor less than the second with those weights.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from play.runtime.onnx_stepper import open_session
from train.export.export import LEAST_QUANTIZED, OPSET


def one_node() -> Callable[[], object]:
    """A graph of one node, the sum of two vectors."""
    weight = numpy_helper.from_array(np.ones((1, 256), np.float32), "weight")
    return _runner([helper.make_node("Add", ["x", "weight"], ["y"])], [weight], {"x": 256}, {"y": 256})


def weights_alone(graph: bytes, num_rows: int = 1) -> tuple[Callable[[], object], int]:
    """A graph that multiplies each large matrix of ``graph`` with ``num_rows`` vectors of its own, and these matrices' bytes."""
    model = onnx.ModelProto.FromString(graph).graph
    weights = {tensor.name: tensor for tensor in model.initializer if _is_large(tensor)}
    nodes, inputs, outputs, size = [], {}, {}, 0
    for number, node in enumerate(node for node in model.node if any(name in weights for name in node.input)):
        if node.op_type not in ("Gemm", "MatMul"):
            continue
        weight = weights[next(name for name in node.input if name in weights)]
        is_transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        inputs[f"x{number}"], outputs[f"y{number}"] = reversed(weight.dims) if is_transposed else weight.dims
        nodes.append(helper.make_node("Gemm", [f"x{number}", weight.name], [f"y{number}"], transB=int(is_transposed)))
        size += 4 * int(np.prod(weight.dims))
    return _runner(nodes, list(weights.values()), inputs, outputs, num_rows), size


def _is_large(tensor: onnx.TensorProto) -> bool:
    is_matrix = tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2
    return is_matrix and int(np.prod(tensor.dims)) >= LEAST_QUANTIZED


def _runner(
    nodes: list[onnx.NodeProto],
    weights: list[onnx.TensorProto],
    inputs: dict[str, int],
    outputs: dict[str, int],
    num_rows: int = 1,
) -> Callable[[], object]:
    """A function that runs a graph once; ``inputs`` and ``outputs`` give the width of each row by name."""
    infos = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [num_rows, width]) for name, width in values.items()]
        for values in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "floor", *infos, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    session = open_session(model.SerializeToString(), 1)
    binding = session.io_binding()
    for name, width in inputs.items():
        binding.bind_cpu_input(name, np.ones((num_rows, width), np.float32))
    for name in outputs:
        binding.bind_output(name)
    return partial(session.run_with_iobinding, binding)
