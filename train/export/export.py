"""``exphil export``: one ONNX graph of a policy's step, checked against PyTorch before it is kept.

``policy.onnx`` in the run folder takes a frame, the committed controller, delay, noise, temperature and state, and gives
classes, logits and the next state, each with a first dimension ``batch`` for players that are stepped together. Its metadata
name the weights it was made from. The graph is a folded form of PyTorch's ``step`` (``train.export.folded_step``,
``train.export.sampler_graph``); ``compare`` checks that both agree over frames of every kind, with the state carried.

Legend: B batch, C features, I indices, K components, S class columns, W most classes of a component.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxscript import opset23
from torch import Tensor, nn

from dataset.errors import CheckpointError
from dataset.features.layout import FEATURES, INDICES
from dataset.io.atomic import replacing, sha256_of
from dataset.io.runs import find_run
from train.export.folded_step import FoldedStep, leaves_of
from train.export.sampler_graph import append_sampler
from train.policy.backbones.base import State
from train.policy.policy import Policy
from train.runs.checkpoint import load_policy
from train.runs.graph import GRAPH_BATCH, GRAPH_VERSION
from train.runs.run_folder import GRAPH

OPSET = 23
"""The first version with RMS norms and attention as single nodes."""
CHECKED_FRAMES = 600
TOLERANCE = 2e-5
"""Largest difference of logits or state from PyTorch's, relative to the largest of PyTorch's values, or to 1 if they are smaller.

After ``CHECKED_FRAMES`` of a GRU trained for ten epochs, rounding alone takes PyTorch 3.8e-6 away from its own float64, the
graph 4.4e-6, and both 6.4e-6 away from each other; untrained policies agree within 5e-6."""

LEAST_QUANTIZED = 1 << 14
"""Weights of the smallest matrix worth quantizing; for smaller ones, quantizing activations costs more than it saves."""

_EXAMPLES, _MOST = 2, 64
"""Players in the example that a graph is traced with (a dimension of 1 would be taken as fixed), and the most at once."""

Feed = dict[str, NDArray[Any]]


def _softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """ONNX's own Softplus, which is exact for large numbers; PyTorch's translation adds a comparison and a choice."""
    assert beta == 1.0
    return opset23.Softplus(x)


_TRANSLATIONS: dict[Any, Any] = {torch.ops.aten.softplus.default: _softplus}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """An exported run."""

    path: Path
    front: bytes
    """The graph before sampling: frames to hidden units."""
    bytes: int
    max_abs_error: float
    """Largest difference of logits and states from PyTorch's, over ``CHECKED_FRAMES``."""
    different_frames: int
    """Those of these frames whose sampled controller differed; 0 unless quantized."""


def export_run(run: Path | str, *, is_int8: bool = False) -> Exported:
    """Write ``policy.onnx`` into a run folder.

    Args:
        run: as for ``load_policy``.
        is_int8: keep large matrices as 8-bit integers, with activations quantized frame by frame.

    Raises:
        CheckpointError: there is no such run, or the graph does not give what PyTorch gives; then nothing is written.
    """
    loaded, (folder, weights) = load_policy(run), find_run(run)
    front = export_front(loaded.policy)
    front = quantized(front) if is_int8 else front
    graph = with_sampler(front, loaded.policy)
    onnx.helper.set_model_props(graph, graph_facts(weights, is_int8=is_int8))
    data = graph.SerializeToString()
    error, relative, different = compare(data, loaded.policy)
    if not is_int8 and (relative > TOLERANCE or different):
        raise CheckpointError(
            f"run {folder.name}: its graph must give what PyTorch gives within {TOLERANCE}, found {relative:.1e} and "
            f"{different} of {CHECKED_FRAMES} controllers different; play it with --runtime torch, and report this"
        )
    with replacing(folder / GRAPH) as temporary:
        temporary.write_bytes(data)
    return Exported(
        path=folder / GRAPH,
        front=front.SerializeToString(),
        bytes=len(data),
        max_abs_error=error,
        different_frames=different,
    )


def graph_facts(weights: Path, *, is_int8: bool) -> dict[str, str]:
    """The metadata of a graph made from a file of weights."""
    precision = "int8" if is_int8 else "f32"
    return {"graph_version": GRAPH_VERSION, "weights_sha256": sha256_of(weights), "precision": precision}


def export_front(policy: Policy) -> onnx.ModelProto:
    """The graph from a frame to hidden units and the next state."""
    state = leaves_of(policy.initial_state(_EXAMPLES))
    assert not any(leaf.any() for leaf in state), "play begins every game with zeros"
    names = [f"state_{i}" for i in range(len(state))]
    frame = (
        torch.zeros(_EXAMPLES, len(FEATURES)),
        torch.zeros(_EXAMPLES, len(INDICES), dtype=torch.int64),
        torch.zeros(_EXAMPLES, len(policy.codec.components), dtype=torch.int64),
        torch.zeros(_EXAMPLES),
    )
    batch = {0: torch.export.Dim(GRAPH_BATCH, min=1, max=_MOST)}
    shapes: list[Any] = [batch] * len(frame)
    if state:
        shapes.append((batch,) * len(state))  # for ``*leaves`` of ``FoldedStep``
    return to_onnx(
        FoldedStep(policy),
        (*frame, *state),
        input_names=["continuous", "indices", "previous", "delay", *names],
        output_names=["hidden_units", *(f"next_{name}" for name in names)],
        dynamic_shapes=tuple(shapes),
    )


def to_onnx(module: nn.Module, inputs: tuple[Tensor, ...], **options: Any) -> onnx.ModelProto:
    """The graph of a module, traced with ``inputs``; ``options`` go to ``torch.onnx.export``."""
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            inputs,
            opset_version=OPSET,
            custom_translation_table=_TRANSLATIONS,
            dynamo=True,
            verbose=False,
            **options,
        )
    assert program is not None
    return onnx.ModelProto.FromString(program.model_proto.SerializeToString())


def with_sampler(front: onnx.ModelProto, policy: Policy) -> onnx.ModelProto:
    """The graph of the whole step: ``front`` followed by the head's sampling."""
    model = onnx.ModelProto()
    model.CopyFrom(front)
    model.graph.output.pop(0)  # hidden units
    append_sampler(model.graph, policy.head, hidden="hidden_units", previous="previous")
    onnx.checker.check_model(model)
    return model


def quantized(front: onnx.ModelProto) -> onnx.ModelProto:
    """``front`` with its large matrices in 8 bits, one scale and zero point a column.

    The weights are unsigned, as the activations are. ONNX Runtime adds products of unsigned activations and signed weights in
    pairs of 16 bits that saturate on x86 processors without VNNI; benchmarks/results/play.md has what that did.
    """
    weights = {tensor.name: int(np.prod(tensor.dims)) for tensor in front.graph.initializer}
    large = [
        f"{node.name}_MatMul"
        if node.op_type == "Gemm"
        else node.name  # as a Gemm's product is named once it is taken apart
        for node in front.graph.node
        if node.op_type in ("Gemm", "MatMul") and any(weights.get(name, 0) >= LEAST_QUANTIZED for name in node.input)
    ]
    with TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder, "f32.onnx"), Path(folder, "int8.onnx")
        onnx.save(front, source)
        quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QUInt8, nodes_to_quantize=large)
        return onnx.load(target)


def compare(graph: bytes, policy: Policy) -> tuple[float, float, int]:
    """Step a graph and its policy over the same frames and noise, each with its own state.

    Returns:
        The largest difference of logits and states, the largest relative one as in ``TOLERANCE``, and how many controllers
        differ.
    """
    session = one_thread_session(graph)
    names = [value.name for value in session.get_outputs()]
    generator = torch.Generator().manual_seed(0)
    state = policy.initial_state(1)
    carried = {f"state_{i}": leaf.numpy() for i, leaf in enumerate(leaves_of(state))}
    absolute, relative, different = 0.0, 0.0, 0
    for number in range(CHECKED_FRAMES):
        frame = random_frame(policy, generator, delay=number // 100)
        found = dict(zip(names, session.run(None, {**frame, **carried}), strict=True))
        classes, logits, state = _step(policy, frame, state)
        different += int((found["classes"] != classes.numpy()).any())
        carried = {name: found[f"next_{name}"] for name in carried}
        pairs = list(zip(carried.values(), leaves_of(state), strict=True))
        if (found["classes"] == classes.numpy()).all():  # logits given other classes do not compare
            pairs.append((_of_components(found["logits"], policy), logits))
        for ours, theirs in pairs:
            error, size = (float(np.abs(values).max(initial=0)) for values in (ours - theirs.numpy(), theirs.numpy()))
            absolute, relative = max(absolute, error), max(relative, error / max(1.0, size))
    return absolute, relative, different


@torch.no_grad()
def _step(policy: Policy, frame: Feed, state: State) -> tuple[Tensor, Tensor, State]:
    """What ``policy.step`` gives, and the logits [1, S] that its classes were sampled from."""
    given = {name: torch.from_numpy(value) for name, value in frame.items()}
    x, held = policy.embed(given["continuous"], given["indices"], given["previous"], given["delay"])
    y, state = policy.backbone.step(x, state)
    units = torch.cat([y, held], dim=-1)
    classes = policy.head.sample(units, given["noise"], given["temperature"])
    return classes, policy.head(units, classes), state


def random_frame(policy: Policy, generator: torch.Generator, delay: int) -> Feed:
    """Random inputs for one frame: features of usual size, uniform ids and classes, a temperature from 0.5 to 1.5."""

    def ids(sizes: list[int]) -> NDArray[np.int64]:
        return np.array([[int(torch.randint(size, (), generator=generator)) for size in sizes]])

    return {
        "continuous": torch.randn(1, len(FEATURES), generator=generator).clip(-10, 10).numpy(),
        "indices": ids([size for _, size in INDICES]),
        "previous": ids([size for _, size in policy.codec.components]),
        "delay": np.array([delay], np.float32),
        "noise": torch.rand(1, len(policy.codec.components), generator=generator).clip(1e-6, 1 - 1e-6).numpy(),
        "temperature": 0.5 + torch.rand(1, generator=generator).numpy(),
    }


def _of_components(logits: NDArray[np.float32], policy: Policy) -> NDArray[np.float32]:
    """The graph's logits [B, K, 1, W] in PyTorch's layout [B, S]."""
    sizes = policy.head.components.sizes
    return np.concatenate([logits[:, k, 0, :size] for k, size in enumerate(sizes)], axis=1)


def one_thread_session(graph: bytes) -> ort.InferenceSession:
    """A graph for one player in ONNX Runtime, on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_free_dimension_override_by_name(GRAPH_BATCH, 1)
    return ort.InferenceSession(graph, options, ["CPUExecutionProvider"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters' own deprecation warnings, and their notes about libraries that are not needed here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
