"""How long a policy takes from a frame to a controller: the exported graph in ONNX Runtime, one frame at a time, as in play.

In: a run. Out: median and 99th percentile in ms of encoding a raw frame, turning it to the player's side, stepping the graph
(embedding, backbone, head, sampling) and decoding its classes. Not in it: libmelee, the emulator and the pipe, which ``exphil
play`` reports. The surprise: frames are random, since none of these steps takes longer for one than for another.

Legend: K components, R raw rows.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from dataset.codecs.base import Codec
from dataset.features.encoder import encode, perspective
from dataset.features.layout import RAW_NAMES
from dataset.io.atomic import sha256_of
from dataset.melee.controller import NEUTRAL
from train.export.export import export_run, one_thread_session
from train.run_folder import GRAPH, GRAPH_VERSION
from train.runs.checkpoint import LoadedPolicy

FRAMES, WARM_FRAMES = 600, 100
"""Frames that are timed, after some that are not."""

_TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}

Feed = dict[str, NDArray[Any]]


def measure_latency(loaded: LoadedPolicy, frames: int = FRAMES) -> dict[str, Any]:
    """``step_ms_p50`` and ``step_ms_p99`` of a run on one thread; exports it first if it is not.

    Raises:
        CheckpointError: its graph does not give what PyTorch gives.
    """
    path = loaded.run / GRAPH
    session = one_thread_session(path.read_bytes()) if path.is_file() else None
    if session is None or not _is_fresh(session, loaded.run):
        session = one_thread_session(export_run(loaded.run).path.read_bytes())
    times = _time(session, loaded.codec, loaded.delay, WARM_FRAMES + frames)[WARM_FRAMES:]
    p50, p99 = np.percentile(times, [50, 99])
    return {"step_ms_p50": round(float(p50), 3), "step_ms_p99": round(float(p99), 3), "step_frames": frames}


def _is_fresh(session: ort.InferenceSession, run: Path) -> bool:
    facts = session.get_modelmeta().custom_metadata_map
    expected = {
        "graph_version": GRAPH_VERSION,
        "precision": "f32",
        "weights_sha256": sha256_of(run / "best.safetensors"),
    }
    return all(facts.get(name) == value for name, value in expected.items())


def _time(session: ort.InferenceSession, codec: Codec, delay: int, frames: int) -> list[float]:
    """Milliseconds of each frame."""
    random = np.random.default_rng(0)
    feed: Feed = {
        value.name: np.zeros([side if isinstance(side, int) else 1 for side in value.shape], _TYPES[value.type])
        for value in session.get_inputs()
    }
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
