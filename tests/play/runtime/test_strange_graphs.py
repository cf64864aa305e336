"""Graphs from strangers: one that ``exphil export`` could not have written is refused before a buffer is made for it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from dataset.codecs.registry import get_codec
from dataset.errors import CheckpointError
from play.agent.agent import PolicyInput
from play.runtime.onnx_stepper import OnnxStepper
from train.export.export import graph_facts

Change = Callable[[ModelProto], object]


@pytest.fixture
def graph(exported_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(exported_run / "policy.onnx", tmp_path))


def resize(name: str, sizes: list[int]) -> Change:
    def change(model: ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            if value.name.removeprefix("next_") == name:
                value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, ["batch", *sizes]))

    return change


def add_input(kind: int) -> Change:
    return lambda model: model.graph.input.append(helper.make_tensor_value_info("state_9", kind, ["batch", 2]))


def keep_outside(model: ModelProto) -> None:
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", "../../secret"


def describe(**facts: str) -> Change:
    def change(model: ModelProto) -> None:
        del model.metadata_props[:]
        helper.set_model_props(model, facts)

    return change


def echo(shape: list[int | str], kind: int = TensorProto.FLOAT) -> ModelProto:
    """A graph that gives back what it is given."""
    values = [helper.make_tensor_value_info(name, kind, shape) for name in ("continuous", "classes")]
    model = helper.make_model(
        helper.make_graph([helper.make_node("Identity", ["continuous"], ["classes"])], "echo", values[:1], values[1:]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    return model


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (describe(), "found None"),
        (describe(graph_version="2"), "no weights_sha256 and precision"),
        (keep_outside, "other files"),
        (add_input(TensorProto.FLOAT), "other outputs"),
        (add_input(TensorProto.STRING), "must be"),
        (resize("continuous", [3]), "must be"),
        (resize("state_0", [2**40]), "must be"),
    ],
)
def test_a_graph_that_differs_from_what_export_writes_is_refused(graph: Path, change: Change, found: str) -> None:
    model = onnx.load(graph)
    change(model)
    graph.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=rf"policy\.onnx: .*{found}"):
        OnnxStepper(graph)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (["batch", 2**40], TensorProto.FLOAT),
        ([2**40, 2**40], TensorProto.FLOAT),
        (["a", "b", "c"], TensorProto.FLOAT),
        ([], TensorProto.FLOAT),
        ([1], TensorProto.STRING),
    ],
)
def test_a_graph_of_other_inputs_asks_for_no_memory(
    tmp_path: Path, shape: list[int | str], kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("play.runtime.onnx_stepper.zeros", None)
    model, weights = echo(shape, kind), tmp_path / "best.safetensors"
    weights.write_bytes(b"")
    helper.set_model_props(model, graph_facts(weights, is_int8=False))
    (tmp_path / "policy.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(
        CheckpointError, match=r"policy\.onnx: must be a graph that exphil export wrote, found other inputs"
    ):
        OnnxStepper(tmp_path / "policy.onnx")


def test_classes_that_the_codec_lacks_are_refused(exported_run: Path) -> None:
    stepper = OnnxStepper(exported_run / "policy.onnx")
    with pytest.raises(CheckpointError, match="must give the 4 classes of codec joint, found 13"):
        stepper.require(get_codec("joint"))
    stepper.require(get_codec("axis17"))
    given = PolicyInput(*(buffer.copy() for buffer in stepper._given))
    assert stepper.step(given).shape == (1, 13)
    for value in (-1, 17, 256):
        stepper._run = [lambda value=value: stepper._outputs["classes"].fill(value)] * 2  # type: ignore[misc]
        with pytest.raises(CheckpointError, match="must give classes of its codec"):
            stepper.step(given)


def test_a_graph_that_never_answers_is_given_up(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("play.runtime.onnx_stepper.FIRST_STEP_S", 0.2)
    model = onnx.load(graph)
    (loop,) = (node for node in model.graph.node if node.op_type == "Loop")
    model.graph.initializer.append(helper.make_tensor("for_ever", TensorProto.INT64, [], [2**40]))
    loop.input[0], loop.input[1] = "for_ever", ""
    body = loop.attribute[0].g
    (last,) = (node for node in body.node if body.output[0].name in node.output)
    last.CopyFrom(helper.make_node("Identity", [body.input[1].name], [body.output[0].name]))
    graph.write_bytes(model.SerializeToString())
    stepper = OnnxStepper(graph)
    given = PolicyInput(*(buffer.copy() for buffer in stepper._given))
    with pytest.raises(CheckpointError, match=r"within 0\.2 s"):
        stepper.step(given)
