import numpy as np
import pytest

from dataset.features.float16 import clipped_half_bits

HIGH = np.arange(2**16, dtype=np.uint32) << 16
"""Every sign, exponent and first seven bits of a mantissa."""


@pytest.mark.parametrize("low", [0x0000, 0x0001, 0x0FFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0xFFFF])
@pytest.mark.parametrize("limit", [10.0, 2.0**15])
def test_halves_are_those_of_numpy_within_the_limit_and_zero_where_not_finite(low: int, limit: float) -> None:
    values = (HIGH | np.uint32(low)).view(np.float32)
    with np.errstate(invalid="ignore"):
        expected = np.where(np.isfinite(values), np.clip(values, -limit, limit), 0).astype(np.float16)
    found = clipped_half_bits(values.reshape(8, -1).copy(), limit)
    np.testing.assert_array_equal(found.reshape(-1), expected.view(np.uint16))
