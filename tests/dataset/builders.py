"""Hand-made and random frame-table columns for the tests of the ground floor."""

import io
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dataset import schema
from dataset.features.encoder import Encoded, encode_columns
from dataset.features.layout import RAW_NAMES, zeroed
from dataset.melee.controller import BUTTONS, DIGITAL_SHOULDERS
from dataset.schema import COLUMNS, FIRST_FRAME, NUM_ITEM_SLOTS, SIDES, Columns, Version
from dataset.stream.window_shards import Sample, add_sample, open_shard


def random_columns(num_frames: int, seed: int, version: Version = (3, 19, 0)) -> dict[str, NDArray[np.generic]]:
    """Columns of every name that ``version`` records, with values as replays hold them."""
    rng = np.random.default_rng(seed)
    columns = {c.name: _random(c, num_frames, rng) for c in COLUMNS if c.since <= version}
    columns["frame"] = np.arange(FIRST_FRAME, FIRST_FRAME + num_frames, dtype=np.int32)
    columns["stage"] = np.full(num_frames, rng.integers(0, 7), dtype=np.uint8)
    for side in SIDES:
        _put_controllers(columns, side, rng)
        columns[f"{side}_character"] = rng.integers(0, 27, num_frames).astype(np.uint8)
        columns[f"{side}_stocks"] = rng.integers(0, 5, num_frames).astype(np.uint8)
        _clear(columns, f"{side}_nana_", f"{side}_nana_exists")
    for slot in range(NUM_ITEM_SLOTS):
        _clear(columns, f"item{slot}_", f"item{slot}_kind")
    return columns


def stack(columns: Columns) -> NDArray[np.float32]:
    """The raw matrix [len(RAW_NAMES), N] of frame-table columns; an absent column is NaN, its group's ``has_`` row 0."""
    tellers = {
        "has_misc": "a_misc",
        "has_hurtbox": "a_hurtbox",
        "has_speeds": "a_speed_air_x",
        "has_hitlag": "a_hitlag",
    }
    tellers["has_items"] = "item0_kind"
    raw = np.full((len(RAW_NAMES), len(columns["frame"])), np.nan, dtype=np.float32)
    for row, name in zip(raw, RAW_NAMES, strict=True):
        if name in tellers:
            row[:] = tellers[name] in columns
        elif name in columns:
            row[:] = columns[name]
    return raw


def _random(column: schema.Column, num_frames: int, rng: np.random.Generator) -> NDArray[np.generic]:
    suffix = column.name.rpartition("_")[2]
    if column.dtype == "bool":
        return rng.random(num_frames) < 0.5
    if suffix in ("facing", "owner"):
        return rng.choice([-1, 1], num_frames).astype(column.dtype)
    if column.name.endswith("action_state"):
        return rng.integers(0, 400, num_frames).astype(column.dtype)
    if column.dtype == "float32":
        return (rng.standard_normal(num_frames) * 60).astype(np.float32)
    return rng.integers(0, 3, num_frames).astype(column.dtype)


def _put_controllers(columns: dict[str, NDArray[np.generic]], side: str, rng: np.random.Generator) -> None:
    num_frames = len(columns["frame"])
    for stick in ("main", "c"):
        angle, radius = rng.random(num_frames) * 2 * np.pi, rng.integers(0, 81, num_frames)
        for axis, direction in (("x", np.cos(angle)), ("y", np.sin(angle))):
            value = np.trunc(radius * direction).astype(np.int8)
            columns[f"{side}_{stick}_{axis}"] = np.where(np.abs(value) < 23, 0, value).astype(np.int8)
    buttons = (rng.integers(0, 0x2000, num_frames) & sum(bit for _, bit in BUTTONS)).astype(np.uint16)
    columns[f"{side}_buttons"] = buttons
    trigger = rng.integers(42, 141, num_frames)
    trigger[trigger == 42] = 0
    columns[f"{side}_trigger"] = np.where(buttons & DIGITAL_SHOULDERS, 140, trigger).astype(np.uint8)


def _clear(columns: dict[str, NDArray[np.generic]], prefix: str, tells: str) -> None:
    """Zero all columns of an absent Nana or an empty slot, as the store hands nulls out."""
    if tells not in columns:
        return
    absent = columns[tells] == 0
    for name, column in columns.items():
        if name.startswith(prefix):
            columns[name] = np.where(absent, np.zeros_like(column), column)


def exchange_sides(columns: Columns) -> dict[str, NDArray[np.generic]]:
    """The same frames with the players' sides exchanged."""
    other = {"a_": "b_", "b_": "a_"}
    out = {other.get(name[:2], name[:2]) + name[2:]: column for name, column in columns.items()}
    return {name: -column if name.endswith("_owner") else column for name, column in out.items()}


def mirror_left_and_right(columns: Columns) -> dict[str, NDArray[np.generic]]:
    """The same frames in a mirror: positions, facings and horizontal speeds negated."""
    flipped = {"x", "facing", "speed_air_x", "speed_attack_x", "speed_ground_x", "speed_x"}
    names = {c.name for c in COLUMNS if c.name.split("_", 1)[-1].removeprefix("nana_") in flipped}
    return {name: -column if name in names else column for name, column in columns.items()}


def shard_of(samples: Iterable[Sample]) -> bytes:
    """A window shard that holds the samples."""
    file = io.BytesIO()
    with open_shard(file) as tar:
        for sample in samples:
            add_sample(tar, sample)
    return file.getvalue()


def random_sample(num_frames: int, seed: int) -> Sample:
    """An encoded replay of random frames and classes."""
    columns = random_columns(num_frames, seed)
    rng = np.random.default_rng(seed)
    return Sample(
        id=f"{seed:032x}",
        ports=(1, 3),
        characters=(16, 22),
        stage=4,
        frames=columns["frame"].astype(np.int32),
        encoded=encode_columns(columns),
        classes=rng.integers(0, 2, (2, 13, num_frames)).astype(np.uint8),
    )


def under(encoded: Encoded, features: str) -> Encoded:
    """The encoded frames with what the choice leaves out set to 0."""
    continuous, indices = encoded.continuous.copy(), encoded.indices.copy()
    rows, index_rows = zeroed(features)
    continuous[list(rows)], indices[list(index_rows)] = 0, 0
    return Encoded(continuous, indices)
