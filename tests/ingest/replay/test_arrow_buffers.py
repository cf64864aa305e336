import numpy as np
import pyarrow as pa
import pytest

from ingest.replay.arrow_buffers import Leaves

RECORDS = pa.array(
    [
        {
            "id": 1,
            "post": {"x": 0.5, "flags": {"0": 7}},
            "item": [{"id": 4, "at": {"y": 1.5}}, {"id": 5, "at": {"y": 2.5}}],
        },
        {"id": 2, "post": None, "item": []},
        {"id": 3, "post": {"x": 1.5, "flags": {"0": 9}}, "item": [{"id": 6, "at": {"y": 3.5}}]},
    ],
    pa.struct(
        [
            ("id", pa.int32()),
            ("name", pa.string()),
            ("post", pa.struct([("x", pa.float32()), ("flags", pa.struct([("0", pa.uint8())]))])),
            ("item", pa.list_(pa.struct([("id", pa.uint32()), ("at", pa.struct([("y", pa.float32())]))]))),
        ]
    ),
)


@pytest.mark.parametrize(
    ("path", "count", "values", "dtype"),
    [
        ("id", None, [1, 2, 3], "int32"),
        ("post.x", None, [0.5, 0.0, 1.5], "float32"),
        ("post.flags.0", None, [7, 0, 9], "uint8"),
        ("item.offsets", 4, [0, 2, 2, 3], "int32"),
        ("item.id", 3, [4, 5, 6], "uint32"),
        ("item.at.y", 3, [1.5, 2.5, 3.5], "float32"),
    ],
)
def test_a_leaf_is_found_by_its_path(path: str, count: int | None, values: list[float], dtype: str) -> None:
    found = Leaves(RECORDS).values(path, count)
    assert (found.tolist(), found.dtype) == (values, np.dtype(dtype))


def test_records_that_are_missing_are_told() -> None:
    leaves = Leaves(RECORDS)
    assert leaves.is_there("item") is None
    found = leaves.is_there("post")
    assert found is not None
    assert found.tolist() == [True, False, True]


def test_what_the_array_lacks_is_not_found() -> None:
    leaves = Leaves(RECORDS)
    assert ("post" in leaves, "post.y" in leaves, "name" in leaves) == (True, False, False)
    with pytest.raises(KeyError):
        leaves.values("post.y")


def test_arrays_of_two_types_are_told_apart() -> None:
    other = pa.array([{"x": 1.0, "id": 8}], pa.struct([("x", pa.float32()), ("id", pa.int32())]))
    assert [Leaves(array).values("id").tolist() for array in (RECORDS, other, RECORDS)] == [[1, 2, 3], [8], [1, 2, 3]]


def test_an_array_without_records_has_empty_leaves() -> None:
    assert Leaves(RECORDS[:0].filter(pa.array([], pa.bool_()))).values("id").tolist() == []
