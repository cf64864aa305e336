"""The head's sampling as ONNX nodes: hidden units, prior logits and noise in, classes out.

The classes of all components are computed at once from a guess of them, the previous controller first, and again from the
result until nothing changes. Component k sees only earlier ones, so what no longer changes is exactly what choosing one after
the other gives, and it is reached after K + 1 passes at most. The surprise: that is the fast way. Controllers mostly stay as
they are, so two passes are usual, and their few nodes are still in the cache; one after the other takes many times as many.

Legend: B batch, K components, S class columns, W most classes of a component, M hidden units a component.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from train.heads import HIDDEN, Head
from train.record import GRAPH_BATCH

Value = tuple[str, int, Sequence[int | str]]
"""Name, type and shape of a value."""

Array = NDArray[np.float32] | NDArray[np.int64] | NDArray[np.bool_]


class Nodes:
    """A list of nodes that grows; each call appends one and returns the name of its output."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        """Append a node."""
        name = output or f"{self.prefix}_{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: Array) -> str:
        """Add an initializer."""
        self.constants.append(numpy_helper.from_array(value, f"{self.prefix}_{name}"))
        return f"{self.prefix}_{name}"


def append_sampler(graph: onnx.GraphProto, head: Head, *, hidden: str, prior: str, previous: str) -> None:
    """Let ``graph`` go on from ``hidden`` [B, K·M] and ``prior`` [B, K·W].

    It gains the inputs ``noise`` float32 [B, K] and ``temperature`` float32 [1], and the outputs ``classes`` int64 [B, K] and
    ``logits`` [B, K, 1, W].
    """
    num_components, most = len(head.components.sizes), max(head.components.sizes)
    outer = Nodes("sample")
    shape = outer.constant("by_component", np.array([-1, num_components, 1, most]))
    column = outer.constant("column", np.array([-1, num_components, 1, 1]))
    row = outer.constant("row", np.array([-1, num_components]))
    given = {
        "hidden": hidden,
        "prior": outer.add("Reshape", prior, shape),
        "noise": outer.add("Reshape", "noise", column),
        **_constants(outer, head),
    }
    if head.is_autoregressive:
        guess = outer.add("Cast", outer.add("Reshape", previous, column), to=TensorProto.FLOAT)
        limit = outer.constant("most_passes", np.array(num_components + 1))
        go_on = outer.constant("go_on", np.array(True))
        body = _body(given, num_components, most)
        # Logits before the first pass are never read; the prior has their shape.
        inputs, outputs = [limit, go_on, guess, given["prior"]], ["sample_final", "logits"]
        outer.nodes.append(helper.make_node("Loop", inputs, outputs, name="sample", body=body))
    else:
        _pass(outer, given, None, classes="sample_final", logits="logits")
    outer.add("Cast", outer.add("Reshape", "sample_final", row), output="classes", to=TensorProto.INT64)
    graph.input.append(helper.make_tensor_value_info("noise", TensorProto.FLOAT, [GRAPH_BATCH, num_components]))
    graph.input.append(helper.make_tensor_value_info("temperature", TensorProto.FLOAT, [1]))
    graph.output.insert(0, helper.make_tensor_value_info("classes", TensorProto.INT64, [GRAPH_BATCH, num_components]))
    logits_shape = [GRAPH_BATCH, num_components, 1, most]
    graph.output.insert(1, helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits_shape))
    graph.node.extend(outer.nodes)
    graph.initializer.extend(outer.constants)


def _constants(outer: Nodes, head: Head) -> dict[str, str]:
    sizes, columns = head.components.sizes, head.components.columns
    num_components, most = len(sizes), max(sizes)
    output = np.zeros((num_components, HIDDEN, most), np.float32)
    counted = np.zeros((num_components, most, 1), np.float32)
    for k, (size, column) in enumerate(zip(sizes, columns, strict=True)):
        output[k, :, :size] = head.output.weight[column : column + size].detach().numpy().T
        counted[k, : size - 1] = 1.0
    constants: dict[str, Array] = {
        "output": output,
        "counted": counted,  # of a component's cumulative shares all but its last, which is 1
        "cumulate": np.triu(np.ones((most, most), np.float32)),
        "slices": np.array([-1, num_components, 1, HIDDEN]),
    }
    if head.is_autoregressive:
        constants["chosen"] = (head.chosen.weight * head.sees).detach().numpy()
        constants["columns"] = np.array(columns)[:, None, None]
        constants["rows"] = np.array([1, 2, 3])
    return {name: outer.constant(name, value) for name, value in constants.items()}


def _pass(nodes: Nodes, given: dict[str, str], guess: str | None, *, classes: str, logits: str) -> None:
    """Classes [B, K, 1, 1], as whole floats, of all components given a guess of them [B, K, 1, 1]."""
    hidden = given["hidden"]
    if guess is not None:
        named = nodes.add("Add", nodes.add("Cast", guess, to=TensorProto.INT64), given["columns"])
        rows = nodes.add("Gather", given["chosen"], named)  # [B, K, 1, 1, K·M]
        hidden = nodes.add("Add", nodes.add("ReduceSum", rows, given["rows"], keepdims=0), hidden)
    units = nodes.add("Reshape", nodes.add("Relu", hidden), given["slices"])
    nodes.add("Add", nodes.add("MatMul", units, given["output"]), given["prior"], output=logits)
    shares = nodes.add("Softmax", nodes.add("Div", logits, "temperature"), axis=-1)
    passed = nodes.add("LessOrEqual", nodes.add("MatMul", shares, given["cumulate"]), given["noise"])
    nodes.add("MatMul", nodes.add("Cast", passed, to=TensorProto.FLOAT), given["counted"], output=classes)


def _body(given: dict[str, str], num_components: int, most: int) -> onnx.GraphProto:
    """One pass as the body of a Loop that goes on while classes change."""
    nodes = Nodes("pass")
    _pass(nodes, given, "pass_guess", classes="pass_next", logits="pass_logits")
    change = nodes.add("ReduceL1", nodes.add("Sub", "pass_next", "pass_guess"), keepdims=0)
    nodes.add("Cast", change, output="pass_is_changing", to=TensorProto.BOOL)
    column: list[int | str] = [GRAPH_BATCH, num_components, 1, 1]
    wide: list[int | str] = [GRAPH_BATCH, num_components, 1, most]
    inputs: list[Value] = [
        ("pass_number", TensorProto.INT64, []),
        ("pass_was_changing", TensorProto.BOOL, []),
        ("pass_guess", TensorProto.FLOAT, column),
        ("pass_before", TensorProto.FLOAT, wide),
    ]
    outputs: list[Value] = [
        ("pass_is_changing", TensorProto.BOOL, []),
        ("pass_next", TensorProto.FLOAT, column),
        ("pass_logits", TensorProto.FLOAT, wide),
    ]
    return helper.make_graph(nodes.nodes, "sample_pass", _infos(inputs), _infos(outputs))


def _infos(values: Iterable[Value]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in values]
