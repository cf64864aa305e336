"""The one encoder: frame-table columns in, the numbers a policy eats out, for replays and live frames alike.

Rows come in as a float32 matrix ``raw`` [len(RAW_NAMES), N] (``stack`` builds it from columns, ``play`` fills one column of
it from a live frame). Out come ``continuous`` float16 [C, N] at fixed physical scales and ``indices`` uint16 [I, N] for the
embedding tables, both seen from side a; ``perspective`` turns them to the player's side. The surprise: the result has the
*stored* dtype, so that a live frame is rounded exactly as a shard is; float16 errs by at most 0.08 units on |x| ≤ 200 and
0.02 on |x| < 80. A value the Slippi version lacks becomes 0, told by one ``has_…`` input per group.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.ids import NUM_ACTION_STATES, NUM_CHARACTERS, NUM_ITEM_KINDS, NUM_STAGES, STAGES
from dataset.schema import NUM_ITEM_SLOTS, SIDES, Columns

ENCODER_VERSION = 1

CLIP = 10.0
"""Scaled values are held within ±10."""

HITSTUN_STATES = (*range(75, 92), 185, 193, 247, 248)
"""Action states in which ``misc`` counts hitstun: damage, damage fly, down damage and wall or ceiling bounces. In 71 real
replays the recorded hitstun flag is set in exactly 75–91, 185, 193 and 247; 248 is the ceiling's twin of 247. The flag
itself is not used: live play does not show it."""

_GROUPS = {"misc": "misc", "hurtbox": "hurtbox", "speeds": "speed_air_x", "hitlag": "hitlag"}
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
    names = ["frame", "stage", *(f"has_{group}" for group in _GROUPS), "has_items"]
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
    features += [Feature(name=f"has_{g}", raw=f"has_{g}", scale=1.0) for g in (*_GROUPS, "items")]
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


@dataclass(frozen=True)
class Encoded:
    """Frames as a policy eats them, column-major."""

    continuous: NDArray[np.float16]
    """[C, N] in the order of ``FEATURES``."""
    indices: NDArray[np.uint16]
    """[I, N] in the order of ``INDICES``."""


_ALL = slice(None)


def stack(columns: Columns, frames: slice = _ALL) -> NDArray[np.float32]:
    """The raw matrix [len(RAW_NAMES), N] of frame-table columns; an absent column is NaN, its group's ``has_`` row 0."""
    raw = np.empty((len(RAW_NAMES), len(columns["frame"][frames])), dtype=np.float32)
    for name, row in RAW_ROW.items():
        raw[row] = columns[name][frames] if name in columns else np.nan
    for group, column in _GROUPS.items():
        raw[RAW_ROW[f"has_{group}"]] = f"a_{column}" in columns
    raw[RAW_ROW["has_items"]] = "item0_kind" in columns
    return raw


def _rows(*suffixes: str) -> list[int]:
    return [row for name, row in RAW_ROW.items() if name.startswith(SIDES) and name.split("_", 1)[1] in suffixes]


def _feature_rows(*suffixes: str) -> list[int]:
    return [FEATURE_ROW[RAW_NAMES[row]] for row in _rows(*suffixes)]


_X, _Y = _rows("x"), _rows("y")
_KINDS = [RAW_ROW[f"item{slot}_kind"] for slot in range(NUM_ITEM_SLOTS)]
_INDEX_SOURCE = [RAW_ROW[name] for name, _ in INDICES]
_INDEX_LAST = np.array([[size - 1] for _, size in INDICES], dtype=np.float32)
_SCALES = np.array([[feature.scale] for feature in FEATURES], dtype=np.float32)
_SCALED = np.array([row for row, feature in enumerate(FEATURES) if feature.raw is not None])
_SCALED_SOURCE = np.array([RAW_ROW[feature.raw] for feature in FEATURES if feature.raw is not None])
_DERIVED = np.array([row for row, feature in enumerate(FEATURES) if feature.raw is None])
_IS_TRUNCATED = np.isin(
    np.arange(len(FEATURES)), _feature_rows("action_frame", "nana_action_frame", "misc", "nana_misc", "hitlag")
)
_IS_FLAG = np.isin(np.arange(len(FEATURES)), _feature_rows("hurtbox", "nana_hurtbox"))
_MISC_STATE = np.full(len(FEATURES), -1)
"""Where the action state that gates a feature stands among the indices; -1 for ungated ones."""
_MISC_STATE[_feature_rows("misc", "nana_misc")] = [
    INDEX_ROW[RAW_NAMES[row]] for row in _rows("action_state", "nana_action_state")
]
_IS_HITSTUN = np.zeros(NUM_ACTION_STATES, dtype=np.bool_)
_IS_HITSTUN[list(HITSTUN_STATES)] = True


_BLOCK = 8192
"""Frames encoded at a time: so many that numpy's calls cost little beside them, so few that a long game's fit in memory."""


def encode(raw: NDArray[np.float32]) -> Encoded:
    """Encode a raw matrix [len(RAW_NAMES), N]; elementwise, so one frame gives what it gives within a replay."""
    return _encode_blocks(raw.shape[1], lambda block: raw[:, block])


def _encode_blocks(num_frames: int, raw_of: Callable[[slice], NDArray[np.float32]]) -> Encoded:
    continuous = np.zeros((len(FEATURES), num_frames), dtype=np.float16)
    indices = np.empty((len(INDICES), num_frames), dtype=np.uint16)
    for start in range(0, num_frames, _BLOCK):
        block = slice(start, start + _BLOCK)
        _encode_block(raw_of(block), continuous[:, block], indices[:, block])
    return Encoded(continuous, indices)


# Recorded NaN, infinity and integer bits in ``misc`` are data: they become 0, without a warning.
@np.errstate(invalid="ignore", over="ignore")
def _encode_block(raw: NDArray[np.float32], continuous: NDArray[np.float16], indices: NDArray[np.uint16]) -> None:
    """Encode a few frames into ``indices`` and into ``continuous``, which comes as zeros."""
    indices[:] = _as_index(raw[_INDEX_SOURCE], _INDEX_LAST)
    # Nana and most item slots are away most of the time: rows of zeros or NaN stay the zeros they are.
    is_live = (np.bitwise_or.reduce(raw.view(np.uint32), axis=1) != 0) & (raw == raw).any(axis=1)
    scaled = np.flatnonzero(is_live[_SCALED_SOURCE])
    features = np.concatenate([_DERIVED, _SCALED[scaled]])
    out = np.empty((len(features), raw.shape[1]), dtype=np.float32)
    _derive(raw, indices, out)
    out[len(_DERIVED) :] = raw[_SCALED_SOURCE[scaled]]
    for row in np.flatnonzero(_IS_TRUNCATED[features]):
        np.trunc(out[row], out=out[row])
    out *= _SCALES[features]
    if not np.isfinite(np.add.reduce(out, axis=None)):
        np.copyto(out, 0, where=~np.isfinite(out))
    for row in np.flatnonzero(_IS_FLAG[features]):
        out[row] = out[row] != 0
    for row in np.flatnonzero(_MISC_STATE[features] >= 0):
        out[row] *= _IS_HITSTUN[indices[_MISC_STATE[features[row]]]]
    np.clip(out, -CLIP, CLIP, out=out)
    continuous.view(np.uint16)[features] = _half_bits(out)


def _half_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bits of ``values`` (overwritten; below 2^15) as float16, rounded to even as numpy rounds, at half numpy's price.

    A sum with 2^13 times a value's own power of two (2^-14 at least) loses just the bits that float16 lacks.
    """
    bits = values.view(np.uint32)
    signs = (bits >> np.uint32(16)).astype(np.uint16) & np.uint16(0x8000)
    power = bits & np.uint32(0x7F800000)
    bits &= np.uint32(0x7FFFFFFF)
    np.maximum(power, np.uint32((127 - 14) << 23), out=power)
    power += np.uint32(13 << 23)
    values += power.view(np.float32)
    bits -= power  # what is left of the sum is the mantissa, its leading one included
    power >>= np.uint32(13)
    bits += power
    bits -= np.uint32((127 - 14 + 13) << 10)
    return bits.astype(np.uint16) | signs


def _derive(raw: NDArray[np.float32], indices: NDArray[np.uint16], out: NDArray[np.float32]) -> None:
    """The features that no single raw row holds, in the order of ``_DERIVED``, unscaled."""
    delta_x, delta_y = raw[_X[1]] - raw[_X[0]], raw[_Y[1]] - raw[_Y[0]]
    out[0], out[1], out[2] = delta_x, delta_y, np.sqrt(delta_x * delta_x + delta_y * delta_y)
    out[3:5] = _LEDGE_X[indices[INDEX_ROW["stage"]]] - np.abs(raw[_X])
    out[5 : len(_DERIVED)] = raw[_KINDS] > 0


def _as_index(values: NDArray[np.float32], last: NDArray[np.float32] | int) -> NDArray[np.uint16]:
    """Ids as table rows; unknown (NaN) is row 0, ids beyond the table share its last row."""
    known = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    clipped: NDArray[np.uint16] = np.clip(known, 0, last).astype(np.uint16)
    return clipped


def encode_columns(columns: Columns) -> Encoded:
    """Encode frame-table columns of one replay."""
    return _encode_blocks(len(columns["frame"]), lambda block: stack(columns, block))


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
