"""float32 to the bits of float16, at half of what numpy takes."""

import numpy as np
from numpy.typing import NDArray


def clipped_half_bits(values: NDArray[np.float32], limit: float) -> NDArray[np.uint16]:
    """The bits of ``values`` [R, N] (overwritten) as float16, rounded to even as numpy rounds.

    What is not finite becomes 0, the rest is held within ±``limit``, 2^15 at most. A sum with 2^13 times a value's own power of
    two (2^-14 at least) loses just the bits that float16 lacks; the low 16 bits of what is left are the mantissa, its leading
    one included, and ``_BIAS``.
    """
    halves = np.signbit(values).astype(np.uint16)
    halves *= np.uint16(1 << 15)  # a shift takes twice as long
    np.abs(values, out=values)
    bits = values.view(np.uint32)
    highest = np.float32(limit)
    for row in np.flatnonzero(bits.max(axis=1, initial=0) > highest.view(np.uint32)):  # NaN's and infinity's are higher
        is_odd = ~np.isfinite(values[row])
        values[row][is_odd], halves[row][is_odd] = 0, 0
        np.minimum(values[row], highest, out=values[row])
    exponents = bits & np.uint32(0x7F800000)
    powers = exponents.view(np.float32)
    np.clip(powers, np.float32(2**-14), np.float32(2**15), out=powers)  # np.maximum takes longer
    exponents += np.uint32((13 << 23) + _BIAS)
    values += powers
    exponents >>= np.uint32(13)
    bits += exponents
    halves += bits.astype(np.uint16)
    return halves


_BIAS = -((127 - 14 + 13) << 10) & 0xFFFF
"""What brings float32's exponents, 13 too great, to float16's; fewer bits than the sum loses, so nothing of it is lost."""
