"""A frame encoded alone is, bit for bit, what the encoder makes of it within its replay, from either side."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataset.duels.generate import generate_replay
from dataset.features.encoder import FEATURES, INDICES, RAW_NAMES, RAW_ROW, encode, perspective
from dataset.features.frame_encoder import FRAME_ENCODERS
from ingest.replay.parse import parse_columns
from tests.dataset.builders import stack

ODD = np.array([0.0, -0.0, 1.0, -1.0, 0.49, 75.0, 185.5, 3e4, -3e4, 1e20, -1e38, np.nan, np.inf, -np.inf], np.float32)


def differing_frames(raw: NDArray[np.float32]) -> list[tuple[int, int]]:
    """(side, frame) wherever the two ways differ."""
    found = []
    for side, alone in enumerate(FRAME_ENCODERS):
        whole = perspective(encode(raw), side)
        for t in range(raw.shape[1]):
            continuous, indices = alone.encode(np.ascontiguousarray(raw[:, t]))
            same = np.array_equal(continuous.view(np.uint16), whole.continuous[:, t].view(np.uint16))
            if not (same and np.array_equal(indices, whole.indices[:, t])):
                found.append((side, t))
    return found


def replay_frames(path: Path) -> NDArray[np.float32]:
    return stack(parse_columns(path, rollback="first").columns)


def test_every_frame_of_a_generated_replay_is_encoded_alike(tmp_path: Path) -> None:
    generate_replay(tmp_path / "duel.slp", seed=1, characters=("fox", "mewtwo"), frames=600)
    raw = replay_frames(tmp_path / "duel.slp")
    assert differing_frames(raw) == []
    assert differing_frames(as_live(raw)) == []


def test_every_frame_of_real_replays_is_encoded_alike(modern_replays: list[Path]) -> None:
    for path in modern_replays[:2]:
        assert differing_frames(as_live(replay_frames(path)[:, :3000])) == []


def as_live(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """As play fills a column: what is not there is 0."""
    return np.nan_to_num(raw, nan=0.0)


def test_numbers_that_no_game_shows_are_encoded_alike() -> None:
    random = np.random.default_rng(0)
    raw = random.normal(scale=100, size=(len(RAW_NAMES), 1000)).astype(np.float32)
    odd = random.random(raw.shape) < 0.002
    raw[odd] = random.choice(ODD, odd.sum())
    raw[RAW_ROW["stage"]] = random.integers(0, 8, raw.shape[1])
    for name, size in INDICES:
        raw[RAW_ROW[name]] = np.where(random.random(raw.shape[1]) < 0.9, random.integers(0, size, raw.shape[1]), 5000)
    raw[RAW_ROW["a_action_state"], ::3] = 80
    assert differing_frames(raw) == []


def test_shapes_and_types_are_the_stored_ones() -> None:
    continuous, indices = FRAME_ENCODERS[0].encode(np.zeros(len(RAW_NAMES), np.float32))
    assert (continuous.shape, continuous.dtype) == ((len(FEATURES),), np.dtype(np.float16))
    assert (indices.shape, indices.dtype) == ((len(INDICES),), np.dtype(np.uint16))
