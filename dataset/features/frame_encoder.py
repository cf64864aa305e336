"""The encoder for one live frame: bit for bit what ``encode`` and ``perspective`` give, in a fraction of their calls.

In: a raw column and the player's side. Out: features [C] and indices [I]. The surprise: in play an emulator has emptied the
caches since the last frame, and then each of numpy's calls costs ten times what it costs in a loop. So everything that is
known beforehand lies in tables here, which are made of the encoder's own; a frame with a number that is not finite, or on a
stage without known ledges, goes the long way.
"""

import math

import numpy as np
from numpy.typing import NDArray

from dataset.features.encoder import (
    _DERIVED,
    _GATES,
    _INDEX_LAST,
    _INDEX_SOURCE,
    _IS_FLAG,
    _IS_TRUNCATED,
    _LEDGE_X,
    _PLACES,
    _SCALED,
    _SCALED_SOURCE,
    _SCALES,
    CLIP,
    EXCHANGE_FEATURES,
    EXCHANGE_INDICES,
    EXCHANGE_SIGNS,
    FEATURES,
    HITSTUN_STATES,
    INDEX_ROW,
    INDICES,
    encode,
    perspective,
)

_FAR = 1e15
"""Players further apart than this go the long way: the square of their distance might not be finite."""
_HITSTUN = frozenset(HITSTUN_STATES)
_STAGE = _INDEX_SOURCE[INDEX_ROW["stage"]]

OneFrame = tuple[NDArray[np.float16], NDArray[np.uint16]]
"""Features [C] and indices [I]."""


class FrameEncoder:
    """Encodes single frames as side 0 (a) or 1 (b) sees them."""

    def __init__(self, side: int) -> None:
        self.side = side
        # In the player's order; the value at a place of this view stands at ``shown`` of side a's.
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
            return self._long_way(raw)
        a_x, b_x, a_y, b_y = raw.take(_PLACES)
        dx, dy, ledge_x = b_x - a_x, b_y - a_y, _LEDGE_X[min(max(int(raw[_STAGE]), 0), len(_LEDGE_X) - 1)]
        if not (abs(dx) < _FAR and abs(dy) < _FAR and ledge_x > 0):
            return self._long_way(raw)
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

    def _long_way(self, raw: NDArray[np.float32]) -> OneFrame:
        encoded = perspective(encode(raw[:, None]), self.side)
        return encoded.continuous[:, 0], encoded.indices[:, 0]


FRAME_ENCODERS = (FrameEncoder(0), FrameEncoder(1))
"""By side."""
