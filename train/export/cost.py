"""What an exported graph costs beside PyTorch: likelihood and accuracy on replays, and time per frame on one thread.

Both step the graph in ONNX Runtime frame by frame, as in play. The likelihoods of both sides come from PyTorch's head,
teacher-forced from the hidden units, because sampling is never quantized. The time covers encoding a raw frame, turning it to
the player's side, stepping the graph and decoding its classes; libmelee, the emulator and the pipe, which ``exphil play``
reports, are left out. Frames are random there, since no step takes longer for one frame than for another.

Legend: C features, I indices, K components, M hidden units per component, R raw rows.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataset.codecs.base import Codec
from dataset.errors import CheckpointError, ConfigError
from dataset.features.encoder import encode, perspective
from dataset.features.layout import RAW_NAMES
from dataset.melee.controller import NEUTRAL
from dataset.stream.bank import Bank
from dataset.stream.sampler import Batch, Lanes
from train.data.batches import to_tensors
from train.data.load import character_id
from train.data.stores import open_store
from train.export.export import Feed, export_run, graph_facts, one_thread_session
from train.measure.evaluate import parse_split
from train.policy.components import Components, component_nll, one_hot
from train.runs.checkpoint import LoadedPolicy
from train.runs.graph import read_graph, require_graph
from train.runs.run_folder import GRAPH

WINDOW = 256
"""Frames read at once; the state is carried from one window to the next."""

MEASURED_FRAMES = 20_000
"""Frames to measure the likelihood on, rounded up to whole windows; the split's replays are taken in order."""

TIMED_FRAMES, WARM_FRAMES = 600, 100
"""Frames that are timed, and frames before them that are not."""

_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


@dataclass
class _Sums:
    nll: float = 0.0
    right: float = 0.0

    def add(self, logits: Tensor, target: Tensor, components: Components) -> None:
        self.nll += float(component_nll(logits, target, components).sum())
        for group in components.groups:
            hits = group.of(logits).argmax(dim=-1) == target[:, group.first : group.first + group.count]
            self.right += float(hits.sum()) / len(components.sizes)


def measure_cost(loaded: LoadedPolicy, front: bytes, path: Path | str, split: str = "test") -> dict[str, Any]:
    """Nats per frame and the share of components that are right, for PyTorch and for an exported graph.

    Args:
        loaded: the run.
        front: its graph up to sampling.
        path: the store.
        split: ``val``, ``test`` or ``all``.

    Raises:
        ConfigError: there is no such split, or it holds no replay with the run's character.
    """
    config = loaded.config.policy
    samples = open_store(path, config.codec, config.features).packed(parse_split(split))
    bank = Bank(samples, character_id(loaded.config.data.character))
    if not bank.tracks:
        raise ConfigError(
            f"store {path}: the {split} split must hold the run's character, found none; take another split"
        )
    lanes = Lanes(bank, rows=1, window=WINDOW, delay=loaded.delay, is_shuffled=False)
    session = one_thread_session(front)
    components = Components.of(loaded.codec)
    ours, theirs, frames = _Sums(), _Sums(), 0
    head, state, carried = loaded.policy.head, loaded.policy.initial_state(1), _zeros(session, "state_")
    for batch in lanes.batches(0):
        if batch.reset[0]:
            carried = _zeros(session, "state_")
        tensors = to_tensors(batch, torch.device("cpu"))
        mask = tensors.mask[0]
        with torch.no_grad():
            y, state = loaded.policy.features(
                tensors.continuous, tensors.indices, tensors.previous, tensors.delay, state, tensors.reset
            )
            hidden = torch.from_numpy(np.concatenate(list(_hidden(session, batch, loaded.delay, carried))))
            target = tensors.target[0][mask].long()
            theirs.add(head(y[0][mask], target), target, components)
            held = one_hot(tensors.previous[0][mask], head.columns, components.num_columns)
            ours.add(head.logits(hidden[mask], held, target), target, components)
        frames += len(target)
        if frames >= MEASURED_FRAMES:
            break
    return {
        "frames": frames,
        "nll": theirs.nll / frames,
        "nll_exported": ours.nll / frames,
        "accuracy": theirs.right / frames,
        "accuracy_exported": ours.right / frames,
    }


def measure_latency(loaded: LoadedPolicy) -> dict[str, Any]:
    """``step_ms_p50`` and ``step_ms_p99`` of a run on one thread; exports the run first unless its graph is up to date.

    Raises:
        CheckpointError: its graph does not give what PyTorch gives.
    """
    path = loaded.run / GRAPH
    session = one_thread_session(read_graph(path)) if path.is_file() else None
    if session is None or not _is_fresh(session, path):
        session = one_thread_session(export_run(loaded.run).path.read_bytes())
    times = _time(session, loaded.codec, loaded.delay, WARM_FRAMES + TIMED_FRAMES)[WARM_FRAMES:]
    p50, p99 = np.percentile(times, [50, 99])
    return {"step_ms_p50": round(float(p50), 3), "step_ms_p99": round(float(p99), 3), "step_frames": TIMED_FRAMES}


def _zeros(session: ort.InferenceSession, prefix: str = "") -> Feed:
    """Zeros for the inputs whose name begins with ``prefix``, for one player."""
    return {
        value.name: np.zeros([side if isinstance(side, int) else 1 for side in value.shape], _TYPES[value.type])
        for value in session.get_inputs()
        if value.name.startswith(prefix)
    }


def _hidden(session: ort.InferenceSession, batch: Batch, delay: int, carried: Feed) -> Iterator[NDArray[np.float32]]:
    """Hidden units [1, K·M] of every frame of a one-lane batch; leaves the state after the last frame in ``carried``."""
    names = ["hidden_units", *(f"next_{name}" for name in carried)]
    continuous, indices = batch.continuous.astype(np.float32), batch.indices.astype(np.int64)
    previous, delays = batch.previous.astype(np.int64), np.array([delay], np.float32)
    for t in range(continuous.shape[1]):
        frame = {"continuous": continuous[:, t], "indices": indices[:, t], "previous": previous[:, t], "delay": delays}
        hidden, *after = session.run(names, {**frame, **carried})
        carried.update(zip(carried, after, strict=True))
        yield hidden


def _is_fresh(session: ort.InferenceSession, path: Path) -> bool:
    try:
        found = require_graph(session, path)
    except CheckpointError:
        return False
    return found.items() >= graph_facts(path.with_name("best.safetensors"), is_int8=False).items()


def _time(session: ort.InferenceSession, codec: Codec, delay: int, frames: int) -> list[float]:
    """The milliseconds that each frame takes."""
    random = np.random.default_rng(0)
    feed = _zeros(session)
    states = [name for name in feed if name.startswith("state_")]
    outputs = ["classes", *(f"next_{name}" for name in states)]
    feed["temperature"][:], feed["delay"][:] = 1, delay
    committed = codec.encode(NEUTRAL[None])[0]
    columns = random.normal(scale=10, size=(frames, len(RAW_NAMES), 1)).astype(np.float32)
    noise = random.uniform(1e-6, 1 - 1e-6, size=(frames, *feed["noise"].shape)).astype(np.float32)
    times = []
    for column, drawn in zip(columns, noise, strict=True):
        began = time.perf_counter()
        encoded = perspective(encode(column), 1)
        feed["continuous"][0], feed["indices"][0] = encoded.continuous[:, 0], encoded.indices[:, 0]
        feed["previous"][0], feed["noise"] = committed, drawn
        classes, *after = session.run(outputs, feed)
        feed.update(zip(states, after, strict=True))
        committed = codec.encode(codec.decode(classes.astype(np.uint8)))[0]
        times.append((time.perf_counter() - began) * 1000)
    return times
