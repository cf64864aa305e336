"""OpenVINO steps the exported graph as ONNX Runtime does: the same logits and states, the same controllers."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.codecs.registry import get_codec
from dataset.errors import ConfigError
from dataset.features.layout import FEATURES, INDICES
from play.agent.agent import PolicyInput
from play.runtime import load as runtime
from play.runtime.load import load
from play.runtime.onnx_stepper import GraphStepper, OnnxStepper

FRAMES = 600
TOLERANCE = 5e-6
"""Against 1 or the largest, whichever is more."""


@pytest.fixture
def openvino() -> None:
    pytest.importorskip("openvino", reason="needs exphil[openvino]")


def frames(num_players: int) -> list[PolicyInput]:
    """Features of usual size, every id and class as likely as any other."""
    random, codec = np.random.default_rng(0), get_codec("axis17")
    sizes, classes = ([size for _, size in each] for each in (INDICES, codec.components))
    return [
        PolicyInput(
            random.normal(size=(num_players, len(FEATURES))).clip(-10, 10).astype(np.float16),
            random.integers(0, sizes, (num_players, len(sizes))).astype(np.uint16),
            random.integers(0, classes, (num_players, len(classes))).astype(np.uint8),
            t % 5,
            random.uniform(1e-6, 1 - 1e-6, (num_players, len(classes))).astype(np.float32),
        )
        for t in range(FRAMES)
    ]


def played(stepper: GraphStepper, num_players: int) -> tuple[NDArray[np.uint8], list[dict[str, NDArray[np.float32]]]]:
    """Classes of every frame, and all other outputs."""
    classes, others = [], []
    for seen in frames(num_players):
        classes.append(stepper.step(seen))
        others.append({name: value.copy() for name, value in stepper.outputs().items() if name != "classes"})
    return np.stack(classes), others


@pytest.mark.usefixtures("openvino")
@pytest.mark.parametrize("num_players", [1, 2])
def test_openvino_gives_what_onnx_runtime_gives(exported_run: Path, num_players: int) -> None:
    from play.runtime.openvino_stepper import OpenVinoStepper

    graph = exported_run / "policy.onnx"
    classes, others = played(OpenVinoStepper(graph, 0.7, num_players), num_players)
    wanted_classes, wanted_others = played(OnnxStepper(graph, 0.7, num_players), num_players)
    assert np.array_equal(classes, wanted_classes)
    assert len(np.unique(classes.reshape(-1, 13), axis=0)) > FRAMES // 2
    for ours, theirs in zip(others, wanted_others, strict=True):
        for name, value in theirs.items():
            assert np.abs(ours[name] - value).max() <= TOLERANCE * max(1.0, float(np.abs(value).max()))


@pytest.mark.usefixtures("openvino")
def test_the_first_line_names_openvino_and_its_device(exported_run: Path) -> None:
    assert load(str(exported_run), 1.0, "openvino")[0].runtime == "OpenVINO on CPU, f32"


@pytest.mark.usefixtures("openvino")
def test_a_device_that_is_not_there_is_refused(exported_run: Path) -> None:
    with pytest.raises(ConfigError, match=r"--openvino-device TPU: must be one OpenVINO sees, found AUTO, CPU"):
        load(str(exported_run), 1.0, "openvino", openvino_device="TPU")


def test_a_device_without_openvino_is_refused(exported_run: Path) -> None:
    with pytest.raises(ConfigError, match="--openvino-device GPU: has no effect with --runtime onnx"):
        load(str(exported_run), 1.0, "onnx", openvino_device="GPU")


def test_without_openvino_one_sentence_names_the_extra(exported_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs OpenVINO, found it not installed; pip install 'exphil\[openvino\]'"):
        load(str(exported_run), 1.0, "openvino")
