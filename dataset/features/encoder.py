"""The one encoder: frame-table columns in, the numbers a policy is given out, for replays and live frames alike.

A replay comes in as its columns (``encode_columns``), live frames as a float32 matrix ``raw`` [len(RAW_NAMES), N] (``encode``),
or one at a time (``FrameEncoder``); all pass through the same arithmetic. Out come ``continuous`` float16 [C, N] at fixed
physical scales and ``indices`` uint16 [I, N] for the embedding tables, both seen from side a; ``perspective`` turns them to
the player's side. The result has the *stored* dtype, so that a live frame is rounded exactly as a shard is; float16 errs by
at most 0.08 units on |x| ≤ 200 and 0.02 on |x| < 80. A value the Slippi version lacks becomes 0, and the ``has_…`` input of
its group says so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.features.layout import (
    CLIP,
    FEATURE_ROW,
    FEATURES,
    HITSTUN_STATES,
    INDEX_ROW,
    INDICES,
    LEDGE_X,
    RAW_NAMES,
    RAW_ROW,
    VERSION_GROUPS,
)
from dataset.melee.ids import NUM_ACTION_STATES
from dataset.schema import CONTROLLER_NAMES, NUM_ITEM_SLOTS, SIDES, Columns

Row = NDArray[np.generic]


@dataclass(frozen=True)
class Encoded:
    """Frames as a policy is given them, column-major."""

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
"""Raw row of each feature that is made of one; an item is there where its kind is not 0."""
_SCALED = np.array(list(_SOURCES), dtype=np.intp)
_SCALED_SOURCE = np.array([RAW_ROW[name] for name in _SOURCES.values()])
_DERIVED = np.array([row for row in range(len(FEATURES)) if row not in _SOURCES])
_WHOLE = ("percent", "action_frame", "misc", "hitlag")
"""Columns of which policies see whole numbers. Melee shows the percent so, and the championship's frames hold no other."""
_IS_TRUNCATED = np.isin(np.arange(len(FEATURES)), _feature_rows(*_WHOLE, *(f"nana_{column}" for column in _WHOLE[:-1])))
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
_GROUP_COLUMNS = {group: f"a_{column}" for group, column in VERSION_GROUPS.items()} | {"items": "item0_kind"}
"""The column whose presence shows that a replay has a group."""
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
    for group, name in _GROUP_COLUMNS.items():
        encoded.continuous[FEATURE_ROW[f"has_{group}"]] = name in columns
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


def controller_matrix(columns: Columns, side: str) -> NDArray[np.int32]:
    """Controllers of one side as int32 [N, 6] in the order of ``CONTROLLER_NAMES``, the codecs' input.

    In memory it lies column by column, which is how codecs read it.
    """
    return np.array([columns[f"{side}_{name}"] for name in CONTROLLER_NAMES], dtype=np.int32).T


def _has_bits(column: NDArray[np.generic]) -> bool:
    """Whether a column holds anything but 0.0, which -0.0 is not."""
    return bool(np.logical_or.reduce(column.view(np.bool_)))  # ends at the first; count_nonzero does not


def _zeros(num_frames: int) -> Encoded:
    continuous = np.zeros((len(FEATURES), num_frames), dtype=np.float16)
    return Encoded(continuous, np.empty((len(INDICES), num_frames), dtype=np.uint16))


def _encode_bytes(encoded: Encoded, columns: Columns) -> list[int]:
    """Encode the features whose raw values are single bytes, by table or as flags; return the others unless all zero."""
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
    """Encode ``features`` [F] from their raw rows ``values`` [F, N] (overwritten); needs the indices to be encoded."""
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
    return clipped_float16_bits(values, CLIP)


_FLOAT16_BIAS = -((127 - 14 + 13) << 10) & 0xFFFF
"""Brings float32's exponents, 13 too great, to float16's; it has fewer bits than the sum loses, so nothing of it is lost."""


def clipped_float16_bits(values: NDArray[np.float32], limit: float) -> NDArray[np.uint16]:
    """The bits of ``values`` [R, N] (overwritten) as float16, rounded to even as numpy does in more than twice the time.

    What is not finite becomes 0, the rest is held within ±``limit``, 2^15 at most. A sum with 2^13 times a value's own power of
    two (2^-14 at least) loses just the bits that float16 lacks; the low 16 bits of what is left are the mantissa, its leading
    one included, and ``_FLOAT16_BIAS``.
    """
    rounded = np.signbit(values).astype(np.uint16)
    rounded *= np.uint16(1 << 15)  # a shift takes twice as long
    np.abs(values, out=values)
    bits = values.view(np.uint32)
    highest = np.float32(limit)
    for row in np.flatnonzero(bits.max(axis=1, initial=0) > highest.view(np.uint32)):  # NaN's and infinity's are higher
        is_odd = ~np.isfinite(values[row])
        values[row][is_odd], rounded[row][is_odd] = 0, 0
        np.minimum(values[row], highest, out=values[row])
    exponents = bits & np.uint32(0x7F800000)
    powers = exponents.view(np.float32)
    np.clip(powers, np.float32(2**-14), np.float32(2**15), out=powers)  # np.maximum takes longer
    exponents += np.uint32((13 << 23) + _FLOAT16_BIAS)
    values += powers
    exponents >>= np.uint32(13)
    bits += exponents
    rounded += bits.astype(np.uint16)
    return rounded


@np.errstate(invalid="ignore", over="ignore")
def _derive(places: Sequence[Row] | Row, stages: NDArray[np.uint16], out: NDArray[np.float32]) -> None:
    """Compute the features that no single raw row holds into ``out``, in the order of ``_DERIVED``, unscaled."""
    a_x, b_x, a_y, b_y = places
    np.subtract(b_x, a_x, out=out[0])
    np.subtract(b_y, a_y, out=out[1])
    out[2] = np.sqrt(out[0] * out[0] + out[1] * out[1])
    ledge_x = LEDGE_X.take(stages)
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


_FAR = 1e15
"""Players further apart than this are encoded by ``encode``: the square of their distance might not be finite."""
_HITSTUN = frozenset(HITSTUN_STATES)
_STAGE = _INDEX_SOURCE[INDEX_ROW["stage"]]

OneFrame = tuple[NDArray[np.float16], NDArray[np.uint16]]
"""Features [C] and indices [I]."""


class FrameEncoder:
    """Encodes single frames as side 0 (a) or 1 (b) sees them: bit for bit ``encode`` and ``perspective``, in fewer calls.

    In play an emulator has emptied the caches since the last frame, and each numpy call costs ten times what it costs in a
    loop. So everything known beforehand lies in tables, in the order of the player's view. A frame with a number that is not
    finite, or on a stage without known ledges, goes through ``encode`` itself.
    """

    def __init__(self, side: int) -> None:
        self.side = side
        # The value at a place of this view stands at ``shown`` of side a's.
        shown = EXCHANGE_FEATURES if side else np.arange(len(FEATURES))
        shown_indices = EXCHANGE_INDICES if side else np.arange(len(INDICES))
        signs = EXCHANGE_SIGNS.astype(np.float32) if side else np.ones(len(FEATURES), np.float32)
        place, index_place = np.argsort(shown), np.argsort(shown_indices) + len(FEATURES)
        sources = np.zeros(len(FEATURES), np.intp)
        sources[_SCALED] = _SCALED_SOURCE
        self._sources = np.concatenate([sources[shown], np.array(_INDEX_SOURCE)[shown_indices]])
        self._derived = place[_DERIVED]
        self._gates = [(int(place[feature]), int(index_place[state])) for feature, state in _GATES.items()]
        no_index = np.zeros(len(INDICES), np.bool_)
        self._is_truncated = np.concatenate([_IS_TRUNCATED[shown], no_index])
        self._is_flag = np.concatenate([_IS_FLAG[shown], no_index])
        self._scales = np.concatenate([_SCALES[shown, 0] * signs, np.ones(len(INDICES), np.float32)])
        self._low = np.repeat(np.array([-CLIP, 0], np.float32), [len(FEATURES), len(INDICES)])
        last = _INDEX_LAST[shown_indices, 0].astype(np.float32)
        self._high = np.concatenate([np.full(len(FEATURES), CLIP, np.float32), last])

    def encode(self, raw: NDArray[np.float32]) -> OneFrame:
        """Encode a raw column [len(RAW_NAMES)]."""
        values = raw.take(self._sources)
        if not math.isfinite(np.add.reduce(values)):
            return self._encode_slowly(raw)
        a_x, b_x, a_y, b_y = raw.take(_PLACES)
        dx, dy, ledge_x = b_x - a_x, b_y - a_y, LEDGE_X[min(max(int(raw[_STAGE]), 0), len(LEDGE_X) - 1)]
        if not (abs(dx) < _FAR and abs(dy) < _FAR and ledge_x > 0):
            return self._encode_slowly(raw)
        values[self._derived] = dx, dy, math.sqrt(dx * dx + dy * dy), ledge_x - abs(a_x), ledge_x - abs(b_x)
        np.trunc(values, out=values, where=self._is_truncated)
        values *= self._scales
        np.not_equal(values, 0, out=values, where=self._is_flag, casting="unsafe")
        np.maximum(values, self._low, out=values)
        np.minimum(values, self._high, out=values)
        for feature, state in self._gates:
            if int(values[state]) not in _HITSTUN:
                values[feature] *= 0
        return values[: len(FEATURES)].astype(np.float16), values[len(FEATURES) :].astype(np.uint16)

    def _encode_slowly(self, raw: NDArray[np.float32]) -> OneFrame:
        encoded = perspective(encode(raw[:, None]), self.side)
        return encoded.continuous[:, 0], encoded.indices[:, 0]


FRAME_ENCODERS = (FrameEncoder(0), FrameEncoder(1))
"""One for each side."""
