"""The head's sampling as ONNX nodes: hidden units, the previous controller and noise in, classes out.

The classes of all components are computed at once from a guess, the previous controller first, and again from the result
until nothing changes. Component k depends on earlier ones only, so the fixed point is exactly what choosing one after the
other gives, and it is reached after at most K + 1 passes. This is fast because controllers mostly stay as they are, so the
first pass is usually the last. The first pass stands before the Loop and shares its lookup of the previous controller with
the prior: in play the caches are cold, and a node's cost is fixed rather than arithmetic.

Legend: B batch, K components, S class columns, W most classes of a component, M hidden units per component.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from train.policy.policy import HIDDEN, Head
from train.runs.graph import GRAPH_BATCH

NEVER = -1e9
"""The logit of classes that a component does not have, which makes their probability exactly 0."""

Array = NDArray[np.float32] | NDArray[np.int64] | NDArray[np.bool_]


class Nodes:
    """A growing list of nodes and constants."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        """Append a node; returns the name of its output."""
        name = output or f"{self.prefix}_{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: Array) -> str:
        """Append an initializer; returns its name."""
        self.constants.append(numpy_helper.from_array(value, f"{self.prefix}_{name}"))
        return f"{self.prefix}_{name}"


def append_sampler(graph: onnx.GraphProto, head: Head, *, hidden: str, previous: str) -> None:
    """Append sampling to ``graph``, from ``hidden`` [B, K·M] and ``previous`` int64 [B, K].

    The graph gains the inputs ``noise`` float32 [B, K] and ``temperature`` float32 [1], and the outputs ``classes`` int64
    [B, K] and ``logits`` [B, K, 1, W].
    """
    num_components, most = len(head.components.sizes), max(head.components.sizes)
    outer = Nodes("sample")
    column = outer.constant("column", np.array([-1, num_components, 1, 1]))
    row = outer.constant("row", np.array([-1, num_components]))
    slices = outer.constant("slices", np.array([-1, num_components, 1, HIDDEN]))
    given = {
        "hidden": outer.add("Reshape", hidden, slices),
        "noise": outer.add("Reshape", "noise", column),
        **_constants(outer, head),
    }
    held = outer.add("Reshape", previous, column)
    given["prior"], chosen = _look_up(outer, given, held)
    if head.is_autoregressive:
        _pass(outer, given, chosen, classes="sample_first", logits="sample_first_logits")
        changed = _is_changed(outer, "sample_first", outer.add("Cast", held, to=TensorProto.FLOAT))
        limit = outer.constant("most_passes", np.array(num_components))
        body = _body(given, num_components, most)
        inputs, outputs = [limit, changed, "sample_first", "sample_first_logits"], ["sample_final", "logits"]
        outer.nodes.append(helper.make_node("Loop", inputs, outputs, name="sample", body=body))
    else:
        _pass(outer, given, None, classes="sample_final", logits="logits")
    outer.add("Cast", outer.add("Reshape", "sample_final", row), output="classes", to=TensorProto.INT64)
    value = helper.make_tensor_value_info
    graph.input.append(value("noise", TensorProto.FLOAT, [GRAPH_BATCH, num_components]))
    graph.input.append(value("temperature", TensorProto.FLOAT, [1]))
    graph.output.insert(0, value("classes", TensorProto.INT64, [GRAPH_BATCH, num_components]))
    graph.output.insert(1, value("logits", TensorProto.FLOAT, [GRAPH_BATCH, num_components, 1, most]))
    graph.node.extend(outer.nodes)
    graph.initializer.extend(outer.constants)


def class_table(head: Head) -> NDArray[np.float32]:
    """[S, K, 1, W], or [S, K, 1, W + M] for an autoregressive head: what each class adds to each component.

    The first W of component k are what a class of the previous controller adds to k's logits, ``NEVER`` where k has no class;
    the last M are what a chosen class adds to k's hidden units.
    """
    sizes, columns = head.components.sizes, head.components.columns
    num_components, most, num_columns = len(sizes), max(sizes), head.components.num_columns
    prior, bias = head.prior.weight.detach().numpy(), head.output.bias.detach().numpy()
    table = np.zeros((num_columns, num_components, 1, most), np.float32)
    shared = np.full((num_components, 1, most), NEVER, np.float32)
    for k, (size, column) in enumerate(zip(sizes, columns, strict=True)):
        table[:, k, 0, :size] = prior[:, column : column + size]
        shared[k, 0, :size] = bias[column : column + size]
    table[columns[0] : columns[0] + sizes[0]] += shared  # each frame names one class of the first component
    if not head.is_autoregressive:
        return table
    chosen = (head.chosen.weight * head.sees).detach().numpy()
    return np.concatenate([table, chosen.reshape(num_columns, num_components, 1, HIDDEN)], axis=-1)


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
        "counted": counted,  # all cumulative shares of a component but the last, which is 1
        "cumulate": np.triu(np.ones((most, most), np.float32)),
        "classes": class_table(head),
        "columns": np.array(columns)[:, None, None],
        "rows": np.array([1, 2, 3]),
    }
    if head.is_autoregressive:
        constants["widths"] = np.array([most, HIDDEN])
    return {name: outer.constant(name, value) for name, value in constants.items()}


def _look_up(nodes: Nodes, given: dict[str, str], classes: str) -> tuple[str, str | None]:
    """The sums over classes int64 [B, K, 1, 1] of their rows in ``class_table``: [B, K, 1, W], and [B, K, 1, M] if any."""
    rows = nodes.add(
        "Gather", given["classes"], nodes.add("Add", classes, given["columns"])
    )  # [B, K, 1, 1, K, 1, W + M]
    held = nodes.add("ReduceSum", rows, given["rows"], keepdims=0)
    if "widths" not in given:
        return held, None
    prior, chosen = f"{nodes.prefix}_prior", f"{nodes.prefix}_chosen"
    nodes.nodes.append(helper.make_node("Split", [held, given["widths"]], [prior, chosen], axis=-1))
    return prior, chosen


def _pass(nodes: Nodes, given: dict[str, str], chosen: str | None, *, classes: str, logits: str) -> None:
    """The classes [B, K, 1, 1] of all components, as whole floats, given what guessed classes add to the hidden units."""
    hidden = given["hidden"] if chosen is None else nodes.add("Add", given["hidden"], chosen)
    units = nodes.add("Relu", hidden)
    nodes.add("Add", nodes.add("MatMul", units, given["output"]), given["prior"], output=logits)
    shares = nodes.add("Softmax", nodes.add("Div", logits, "temperature"), axis=-1)
    passed = nodes.add("LessOrEqual", nodes.add("MatMul", shares, given["cumulate"]), given["noise"])
    nodes.add("MatMul", nodes.add("Cast", passed, to=TensorProto.FLOAT), given["counted"], output=classes)


def _is_changed(nodes: Nodes, classes: str, guess: str, output: str | None = None) -> str:
    """Whether any class differs from its guess; both are whole floats."""
    change = nodes.add("ReduceL1", nodes.add("Sub", classes, guess), keepdims=0)
    return nodes.add("Cast", change, output=output, to=TensorProto.BOOL)


def _body(given: dict[str, str], num_components: int, most: int) -> onnx.GraphProto:
    """One pass, as the body of a Loop that runs while classes change."""
    nodes = Nodes("pass")
    _, chosen = _look_up(nodes, given, nodes.add("Cast", "pass_guess", to=TensorProto.INT64))
    _pass(nodes, given, chosen, classes="pass_next", logits="pass_logits")
    _is_changed(nodes, "pass_next", "pass_guess", output="pass_is_changing")
    column, wide = [GRAPH_BATCH, num_components, 1, 1], [GRAPH_BATCH, num_components, 1, most]
    value = helper.make_tensor_value_info
    inputs = [
        value("pass_number", TensorProto.INT64, []),
        value("pass_was_changing", TensorProto.BOOL, []),
        value("pass_guess", TensorProto.FLOAT, column),
        value("pass_before", TensorProto.FLOAT, wide),
    ]
    outputs = [
        value("pass_is_changing", TensorProto.BOOL, []),
        value("pass_next", TensorProto.FLOAT, column),
        value("pass_logits", TensorProto.FLOAT, wide),
    ]
    return helper.make_graph(nodes.nodes, "sample_pass", inputs, outputs)
