"""The one encoder: frame-table columns in, the numbers a policy eats out, for replays and live frames alike.

A replay comes in as its columns, live frames as a float32 matrix ``raw`` [len(RAW_NAMES), N] with a row for every column
that is read; both pass through the same arithmetic. Out come ``continuous`` float16 [C, N] at fixed physical scales and
``indices`` uint16 [I, N] for the embedding tables, both seen from side a; ``perspective`` turns them to the player's side.
The surprise: the result has the *stored* dtype, so that a live frame is rounded exactly as a shard is; float16 errs by at
most 0.08 units on |x| ≤ 200 and 0.02 on |x| < 80. A value the Slippi version lacks becomes 0, told by one ``has_…`` input
per group.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.features.float16 import clipped_half_bits
from dataset.melee.ids import NUM_ACTION_STATES, NUM_CHARACTERS, NUM_ITEM_KINDS, NUM_STAGES, STAGES
from dataset.schema import NUM_ITEM_SLOTS, SIDES, Columns

ENCODER_VERSION = 1

CLIP = 10.0
"""Scaled values are held within ±10."""

HITSTUN_STATES = (*range(75, 92), 185, 193, 247, 248)
"""Action states in which ``misc`` counts hitstun: damage, damage fly, down damage and wall or ceiling bounces. In 71 real
replays the recorded hitstun flag is set in exactly 75–91, 185, 193 and 247; 248 is the ceiling's twin of 247. The flag
itself is not used: live play does not show it."""

VERSION_GROUPS = {"misc": "misc", "hurtbox": "hurtbox", "speeds": "speed_air_x", "hitlag": "hitlag"}
"""Version groups and the column whose presence tells."""

_FIGHTER = (
    ("percent", 0.01),
    ("x", 0.05),
    ("y", 0.05),
    ("facing", 1.0),
    ("shield", 1 / 60),
    ("stocks", 0.25),
    ("jumps", 1 / 6),
    ("on_ground", 1.0),
    ("hurtbox", 1.0),
    ("action_frame", 1 / 60),
    ("misc", 1 / 120),
    ("hitlag", 0.1),
    ("speed_air_x", 0.5),
    ("speed_y", 0.5),
    ("speed_attack_x", 0.5),
    ("speed_attack_y", 0.5),
    ("speed_ground_x", 0.5),
)
"""Columns of a fighter and their scales, in feature order."""

_NANA = (
    ("exists", 1.0),
    ("percent", 0.01),
    ("x", 0.05),
    ("y", 0.05),
    ("facing", 1.0),
    ("on_ground", 1.0),
    ("hurtbox", 1.0),
    ("action_frame", 1 / 60),
    ("misc", 1 / 120),
)
_ITEM = (("owner", 1.0), ("x", 0.05), ("y", 0.05), ("speed_x", 0.5), ("speed_y", 0.5))


def _raw_names() -> tuple[str, ...]:
    names = ["frame", "stage", *(f"has_{group}" for group in VERSION_GROUPS), "has_items"]
    for side in SIDES:
        names += [f"{side}_{column}" for column, _ in _FIGHTER]
        names += [f"{side}_nana_{column}" for column, _ in _NANA]
        names += [f"{side}_action_state", f"{side}_character", f"{side}_nana_action_state"]
    for slot in range(NUM_ITEM_SLOTS):
        names += [f"item{slot}_{column}" for column, _ in _ITEM] + [f"item{slot}_kind"]
    return tuple(names)


RAW_NAMES = _raw_names()
"""Rows of the raw matrix: frame-table columns, plus one 0/1 row per version group."""

RAW_ROW = {name: row for row, name in enumerate(RAW_NAMES)}
"""Row of each raw name."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One continuous input of a policy, seen from side a."""

    name: str
    scale: float
    """What the raw value is multiplied by."""
    raw: str | None = None
    """The raw row it scales; ``None`` for a derived feature."""
    is_mirrored: bool = False
    """Whether exchanging left and right negates it."""
    is_opposed: bool = False
    """Whether exchanging the players negates it."""


def _features() -> tuple[Feature, ...]:
    features = [Feature(name="frame", raw="frame", scale=1 / 28800)]
    features += [Feature(name=f"has_{g}", raw=f"has_{g}", scale=1.0) for g in (*VERSION_GROUPS, "items")]
    features += [
        Feature(name="dx", scale=1 / 200, is_mirrored=True, is_opposed=True),
        Feature(name="dy", scale=1 / 100, is_opposed=True),
        Feature(name="distance", scale=1 / 200),
    ]
    flips = ("x", "facing", "speed_air_x", "speed_attack_x", "speed_ground_x", "speed_x")

    def scaled(prefix: str, columns: tuple[tuple[str, float], ...]) -> list[Feature]:
        return [
            Feature(
                name=f"{prefix}_{name}",
                raw=f"{prefix}_{name}",
                scale=scale,
                is_mirrored=name in flips,
                is_opposed=name == "owner",
            )
            for name, scale in columns
        ]

    for side in SIDES:
        features += [*scaled(side, _FIGHTER), Feature(name=f"{side}_ledge", scale=0.05), *scaled(f"{side}_nana", _NANA)]
    for slot in range(NUM_ITEM_SLOTS):
        features += [Feature(name=f"item{slot}_exists", scale=1.0), *scaled(f"item{slot}", _ITEM)]
    return tuple(features)


FEATURES = _features()
"""Every continuous feature in stored order."""

INDICES: tuple[tuple[str, int], ...] = (
    ("stage", NUM_STAGES),
    *(
        (f"{side}_{name}", size)
        for side in SIDES
        for name, size in (
            ("action_state", NUM_ACTION_STATES),
            ("character", NUM_CHARACTERS),
            ("nana_action_state", NUM_ACTION_STATES),
        )
    ),
    *((f"item{slot}_kind", NUM_ITEM_KINDS) for slot in range(NUM_ITEM_SLOTS)),
)
"""(name, table size) of every embedding index in stored order."""

FEATURE_ROW = {feature.name: row for row, feature in enumerate(FEATURES)}
INDEX_ROW = {name: row for row, (name, _) in enumerate(INDICES)}

_LEDGE_X = np.full(NUM_STAGES, np.nan, dtype=np.float32)
_LEDGE_X[[stage.number for stage in STAGES]] = [stage.ledge_x for stage in STAGES]

ENCODER_DIGEST = hashlib.sha256(
    repr((ENCODER_VERSION, FEATURES, INDICES, HITSTUN_STATES, CLIP, _LEDGE_X.tolist())).encode()
).hexdigest()[:16]
"""Changes whenever the same frame would be encoded otherwise; stores and checkpoints carry it."""


Row = NDArray[np.generic]


@dataclass(frozen=True)
class Encoded:
    """Frames as a policy eats them, column-major."""

    continuous: NDArray[np.float16]
    """[C, N] in the order of ``FEATURES``."""
    indices: NDArray[np.uint16]
    """[I, N] in the order of ``INDICES``."""


def _rows(*suffixes: str) -> list[int]:
    return [row for name, row in RAW_ROW.items() if name.startswith(SIDES) and name.split("_", 1)[1] in suffixes]


def _feature_rows(*suffixes: str) -> list[int]:
    return [FEATURE_ROW[RAW_NAMES[row]] for row in _rows(*suffixes)]


_PLACES = [*_rows("x"), *_rows("y")]
_INDEX_SOURCE = [RAW_ROW[name] for name, _ in INDICES]
_INDEX_LAST = np.array([[size - 1] for _, size in INDICES], dtype=np.uint16)
_SCALES = np.array([[feature.scale] for feature in FEATURES], dtype=np.float32)
_SOURCES = {row: feature.raw for row, feature in enumerate(FEATURES) if feature.raw is not None}
_EXISTS = {FEATURE_ROW[f"item{slot}_exists"]: f"item{slot}_kind" for slot in range(NUM_ITEM_SLOTS)}
_SOURCES |= _EXISTS
"""Raw row of each feature that stems from one; an item is there where its kind is not 0."""
_SCALED = np.array(list(_SOURCES), dtype=np.intp)
_SCALED_SOURCE = np.array([RAW_ROW[name] for name in _SOURCES.values()])
_DERIVED = np.array([row for row in range(len(FEATURES)) if row not in _SOURCES])
_IS_TRUNCATED = np.isin(
    np.arange(len(FEATURES)), _feature_rows("action_frame", "nana_action_frame", "misc", "nana_misc", "hitlag")
)
_IS_FLAG = np.isin(
    np.arange(len(FEATURES)),
    [*_feature_rows("on_ground", "hurtbox", "nana_exists", "nana_on_ground", "nana_hurtbox"), *_EXISTS],
)
_ONE = np.float16(1).view(np.uint16)
_GATES = dict(
    zip(
        _feature_rows("misc", "nana_misc"),
        (INDEX_ROW[RAW_NAMES[row]] for row in _rows("action_state", "nana_action_state")),
        strict=True,
    )
)
"""Where the action state that gates a feature stands among the indices."""
_IS_SPECIAL = _IS_TRUNCATED | _IS_FLAG | np.isin(np.arange(len(FEATURES)), list(_GATES))
"""Features that are more than scaled values."""
_IS_HITSTUN = np.zeros(NUM_ACTION_STATES, dtype=np.bool_)
_IS_HITSTUN[list(HITSTUN_STATES)] = True


def encode(raw: NDArray[np.float32]) -> Encoded:
    """Encode a raw matrix [len(RAW_NAMES), N]; elementwise, so one frame gives what it gives within a replay."""
    encoded = _zeros(raw.shape[1])
    encoded.indices[:] = _as_index(raw[_INDEX_SOURCE])
    # Nana and most item slots are away most of the time: rows of zeros or NaN stay the zeros they are.
    is_live = (np.bitwise_or.reduce(raw.view(np.uint32), axis=1) != 0) & (raw == raw).any(axis=1)
    live = np.flatnonzero(is_live[_SCALED_SOURCE])
    _encode_derived(encoded, raw[_PLACES])
    _encode_rows(encoded, _SCALED[live], raw[_SCALED_SOURCE[live]])
    return encoded


_BLOCK = 2**16
"""Values encoded at a time: so many that numpy's calls cost little beside them, so few that they stay in the cache."""


def encode_columns(columns: Columns) -> Encoded:
    """Encode frame-table columns of one replay, as ``encode`` does where an absent column is NaN."""
    num_frames = len(columns["frame"])
    encoded = _zeros(num_frames)
    for row, (name, size) in enumerate(INDICES):
        np.minimum(columns.get(name, 0), np.uint16(size - 1), out=encoded.indices[row], casting="unsafe")
    for mask, is_there in _masks(columns).items():
        encoded.continuous[FEATURE_ROW[mask]] = is_there
    nowhere = np.full(num_frames, np.nan, dtype=np.float32)
    _encode_derived(encoded, [columns.get(RAW_NAMES[row], nowhere) for row in _PLACES])
    live = _encode_bytes(encoded, columns)
    rows = max(1, _BLOCK // max(1, num_frames))
    for start in range(0, len(live), rows):
        features = live[start : start + rows]
        values = np.empty((len(features), num_frames), dtype=np.float32)
        for k, feature in enumerate(features):
            values[k] = columns[_SOURCES[feature]]
        _encode_rows(encoded, np.array(features), values)
    return encoded


def _has_bits(column: NDArray[np.generic]) -> bool:
    """Whether anything stands there but 0.0, which -0.0 is not."""
    return bool(np.logical_or.reduce(column.view(np.bool_)))  # ends at the first; count_nonzero does not


def _zeros(num_frames: int) -> Encoded:
    continuous = np.zeros((len(FEATURES), num_frames), dtype=np.float16)
    return Encoded(continuous, np.empty((len(INDICES), num_frames), dtype=np.uint16))


def _masks(columns: Columns) -> dict[str, bool]:
    """The ``has_`` rows, each of one value throughout."""
    tellers = {f"has_{group}": f"a_{column}" for group, column in VERSION_GROUPS.items()} | {"has_items": "item0_kind"}
    return {mask: teller in columns for mask, teller in tellers.items()}


def _encode_bytes(encoded: Encoded, columns: Columns) -> list[int]:
    """Encode the features whose raw values are single bytes, by table or as flags; returns the others, but those of zeros."""
    others = []
    for feature, name in _SOURCES.items():
        column = columns.get(name)
        if column is None or not _has_bits(column):
            continue
        if column.itemsize > 1 or feature in _GATES:
            others.append(feature)
        elif _IS_FLAG[feature]:
            np.multiply(column != 0, _ONE, out=encoded.continuous.view(np.uint16)[feature])
        else:
            table = _OF_SIGNED_BYTES if column.dtype.kind == "i" else _OF_BYTES
            table[feature].take(column.view(np.uint8), out=encoded.continuous[feature], mode="wrap")
    return others


def _encode_derived(encoded: Encoded, places: Sequence[Row] | Row) -> None:
    """Encode the features that no single raw row holds; ``places`` [4, N] are x of both sides, then y."""
    stages = encoded.indices[INDEX_ROW["stage"]]
    values = np.empty((len(_DERIVED), len(stages)), dtype=np.float32)
    _derive(places, stages, values)
    _encode_rows(encoded, _DERIVED, values)


def _encode_rows(encoded: Encoded, features: NDArray[np.intp], values: NDArray[np.float32]) -> None:
    """Encode ``features`` [F], of which ``values`` [F, N] (overwritten) are the raw rows; the indices are already there."""
    encoded.continuous.view(np.uint16)[features] = _finish(features, values, encoded.indices)


# Recorded NaN, infinity and integer bits in ``misc`` are data: they become 0, without a warning.
@np.errstate(invalid="ignore", over="ignore")
def _finish(features: NDArray[np.intp], values: NDArray[np.float32], indices: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Raw ``values`` [F, N] (overwritten) of ``features`` as the bits of float16."""
    for row in np.flatnonzero(_IS_SPECIAL[features]):
        feature = int(features[row])
        if _IS_TRUNCATED[feature]:
            np.trunc(values[row], out=values[row])
        if _IS_FLAG[feature]:
            values[row] = (values[row] != 0) & np.isfinite(values[row])
        if feature in _GATES:
            values[row] *= _IS_HITSTUN.take(indices[_GATES[feature]])
    values *= _SCALES[features]
    return clipped_half_bits(values, CLIP)


@np.errstate(invalid="ignore", over="ignore")
def _derive(places: Sequence[Row] | Row, stages: NDArray[np.uint16], out: NDArray[np.float32]) -> None:
    """The features that no single raw row holds, in the order of ``_DERIVED``, unscaled."""
    a_x, b_x, a_y, b_y = places
    np.subtract(b_x, a_x, out=out[0])
    np.subtract(b_y, a_y, out=out[1])
    out[2] = np.sqrt(out[0] * out[0] + out[1] * out[1])
    ledge_x = _LEDGE_X.take(stages)
    np.subtract(ledge_x, np.abs(a_x), out=out[3])
    np.subtract(ledge_x, np.abs(b_x), out=out[4])


def _as_index(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Ids as table rows; unknown (NaN) is row 0, ids beyond the table share its last row."""
    known = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    clipped: NDArray[np.uint16] = np.clip(known, 0, _INDEX_LAST).astype(np.uint16)
    return clipped


def _of_bytes(dtype: type[np.uint8] | type[np.int8]) -> NDArray[np.float16]:
    """[C, 256] what each feature makes of each byte."""
    values = np.tile(np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32), (len(FEATURES), 1))
    indices = np.zeros((len(INDICES), 256), dtype=np.uint16)
    return _finish(np.arange(len(FEATURES)), values, indices).view(np.float16)


_OF_BYTES, _OF_SIGNED_BYTES = _of_bytes(np.uint8), _of_bytes(np.int8)


def _other_side(name: str) -> str:
    if name.startswith(SIDES) and name[1] == "_":
        return ("b" if name[0] == "a" else "a") + name[1:]
    return name


def _exchange(names: list[str]) -> NDArray[np.intp]:
    rows = {name: row for row, name in enumerate(names)}
    return np.array([rows[_other_side(name)] for name in names], dtype=np.intp)


EXCHANGE_FEATURES = _exchange([feature.name for feature in FEATURES])
"""[C] where each feature of side b's view stands in side a's."""

EXCHANGE_INDICES = _exchange([name for name, _ in INDICES])
"""[I] the same for indices."""

EXCHANGE_SIGNS = np.array([-1 if feature.is_opposed else 1 for feature in FEATURES], dtype=np.float16)
"""[C] signs of side b's view."""

MIRROR_SIGNS = np.array([-1 if feature.is_mirrored else 1 for feature in FEATURES], dtype=np.float16)
"""[C] signs after exchanging left and right; applied twice they give the frame back."""


def perspective(encoded: Encoded, side: int) -> Encoded:
    """The view of side 0 (a) or 1 (b): that player's columns come first, under the names of side a."""
    if side == 0:
        return encoded
    return Encoded(_signed(encoded.continuous[EXCHANGE_FEATURES], EXCHANGE_SIGNS), encoded.indices[EXCHANGE_INDICES])


def mirror(encoded: Encoded) -> Encoded:
    """The same frames with left and right exchanged; applied twice it gives them back."""
    return Encoded(_signed(encoded.continuous.copy(), MIRROR_SIGNS), encoded.indices)


def _signed(continuous: NDArray[np.float16], signs: NDArray[np.float16]) -> NDArray[np.float16]:
    """Multiply features [C, N] by their signs, in place: through the sign bit, at a tenth of the time of float16."""
    bits = continuous.view(np.uint16)
    for row in np.flatnonzero(signs < 0):
        bits[row] ^= 0x8000
    return continuous
