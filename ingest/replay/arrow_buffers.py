"""The leaves of a nested Arrow array as numpy views, by their dotted paths.

In: a StructArray as peppi makes it: nothing cut off before it, and nothing null but whole records. Out: views of its buffers. The
surprise: all buffers are fetched at once, because walking down with ``field`` makes Python objects at every step, which takes
longer than what is then done with the numbers.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Values = NDArray[Any]
_Places = dict[str, tuple[int, np.dtype[Any]]]


class Leaves:
    """Views of one array; a list's elements go by the list's own path, its offsets by that and ``.offsets``."""

    def __init__(self, array: pa.StructArray) -> None:
        assert array.offset == 0
        self._length = len(array)
        self._buffers = array.buffers()
        self._places = _places(array.type)

    def __contains__(self, path: str) -> bool:
        return path in self._places

    def values(self, path: str, count: int | None = None) -> Values:
        """The leaf's numbers, as many as the array has records unless ``count`` says otherwise."""
        index, dtype = self._places[path]
        count = self._length if count is None else count
        return np.frombuffer(self._buffers[index], dtype, count) if count else np.empty(0, dtype)

    def is_there(self, path: str) -> NDArray[np.bool_] | None:
        """[N] whether the records at ``path`` are there; ``None`` where all are."""
        bits = self._buffers[self._places[path][0]]
        if bits is None:
            return None
        return np.unpackbits(np.frombuffer(bits, np.uint8), count=self._length, bitorder="little").view(np.bool_)


_KNOWN: dict[str, _Places] = {}
"""By the type in words, which is quicker than comparing types; peppi makes one for each Slippi version and set of ports."""


def _places(kind: pa.StructType) -> _Places:
    """Where each leaf's numbers and each record's validity stand among the buffers."""
    words = str(kind)
    if words not in _KNOWN:
        places: _Places = {}
        _walk(kind, "", 0, places)
        _KNOWN[words] = places
    return _KNOWN[words]


def _walk(kind: pa.DataType, path: str, index: int, places: _Places) -> int:
    """Enter everything below ``path``, whose first buffer is number ``index``; returns the number of the next."""
    after: int = index + kind.num_buffers
    if pa.types.is_struct(kind):
        places[path] = index, np.dtype(np.bool_)
        for child in kind:
            after = _walk(child.type, f"{path}.{child.name}" if path else child.name, after, places)
    elif pa.types.is_list(kind):
        places[f"{path}.offsets"] = index + 1, np.dtype(np.int32)
        after = _walk(kind.value_type, path, after, places)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        places[path] = index + 1, _dtype(kind)
    return after


def _dtype(kind: pa.DataType) -> np.dtype[np.generic]:
    """The numpy dtype of a number; Arrow's own answer would import pandas."""
    letter = "f" if pa.types.is_floating(kind) else "i" if pa.types.is_signed_integer(kind) else "u"
    return np.dtype(f"{letter}{kind.bit_width // 8}")
