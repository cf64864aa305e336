from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.store.parquet import Chunk, Field, ParquetFile

DTYPES = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "float32")


def values(dtype: str, count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[Any]]:
    """Any bits that the type allows, its extremes first; NaN with payloads, infinities and -0.0 among the floats."""
    drawn = np.random.default_rng(seed).integers(0, 2**32, count, dtype=np.uint32)
    if dtype == "bool":
        return drawn % 2 == 0
    if dtype == "float32":
        drawn[:5] = (0x80000000, 0, 0x7F800000, 0x7FC12345, 1)[:count]
        return drawn.view(np.float32)
    limits = np.iinfo(dtype)
    found = drawn.astype(dtype)
    found[:2] = (limits.min, limits.max)[:count]
    return found


def bits(column: pa.ChunkedArray, dtype: str) -> bytes:
    return bytes(column.combine_chunks().fill_null(False if dtype == "bool" else 0).to_numpy(zero_copy_only=False))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 7, 8, 1000])
@pytest.mark.parametrize("kind", ["whole", "optional", "constant", "null", "holes"])
def test_every_bit_comes_back_with_its_type(tmp_path: Path, dtype: str, count: int, kind: str) -> None:
    stored = values(dtype, count)
    valid: np.ndarray[Any, np.dtype[np.bool_]] | bool = True
    if kind == "constant":
        stored = np.full_like(stored, stored[0])
    elif kind == "null":
        valid = False
    elif kind == "holes":
        valid = np.arange(count) % 3 != 0
    with ParquetFile(tmp_path / "f", [Field(name="x", dtype=dtype, is_required=kind == "whole")]) as file:
        file.write(count, {"x": Chunk(stored, valid)}.__getitem__)
    table = pq.read_table(tmp_path / "f")
    expected = np.where(valid, stored, np.zeros_like(stored))
    assert table["x"].type == pa.from_numpy_dtype(np.dtype(dtype))
    assert table["x"].is_valid().to_pylist() == np.broadcast_to(np.asarray(valid), count).tolist()
    assert bits(table["x"], dtype) == expected.tobytes()
    assert pl.read_parquet(tmp_path / "f")["x"].to_arrow().equals(table["x"].combine_chunks()) or dtype == "float32"
    seen_by_polars = pl.read_parquet(tmp_path / "f")["x"].fill_null(False if dtype == "bool" else 0)
    assert seen_by_polars.to_numpy().tobytes() == expected.tobytes()


def test_a_run_of_zeros_keeps_its_negative_zero(tmp_path: Path) -> None:
    zeros = np.array([0.0, -0.0, 0.0], dtype=np.float32)
    with ParquetFile(tmp_path / "f", [Field(name="x", dtype="float32")]) as file:
        file.write(3, {"x": Chunk(zeros)}.__getitem__)
    assert np.signbit(pq.read_table(tmp_path / "f")["x"].to_numpy()).tolist() == [False, True, False]


def test_a_column_with_one_other_value_is_not_taken_for_constant(tmp_path: Path) -> None:
    column = np.zeros(5000, dtype=np.uint8)
    column[2501] = 1  # between the values that are looked at first
    with ParquetFile(tmp_path / "f", [Field(name="x", dtype="uint8")]) as file:
        file.write(5000, {"x": Chunk(column)}.__getitem__)
    assert pq.read_table(tmp_path / "f")["x"].to_numpy().tolist() == column.tolist()


def test_strings_come_in_runs(tmp_path: Path) -> None:
    words = np.array([f"word {i}" for i in range(300)], dtype=object)
    with ParquetFile(tmp_path / "f", [Field(name="x", dtype="string", is_required=True)]) as file:
        file.write(600, {"x": Chunk(words, runs=[2] * 300)}.__getitem__)
    expected = [word for word in words for _ in range(2)]
    assert pq.read_table(tmp_path / "f")["x"].to_pylist() == expected == pl.read_parquet(tmp_path / "f")["x"].to_list()


def test_row_groups_tell_their_least_and_greatest_value(tmp_path: Path) -> None:
    fields = [
        Field(name="id", dtype="string", is_required=True, has_statistics=True),
        Field(name="frame", dtype="int32", has_statistics=True),
        Field(name="stage", dtype="uint8", has_statistics=True),
        Field(name="other", dtype="uint8"),
    ]
    ids = np.array(["b", "a"], dtype=object)
    with ParquetFile(tmp_path / "f", fields) as file:
        for first in (-123, 5):
            chunks = {"id": Chunk(ids, runs=[1, 1]), "frame": Chunk(np.array([first, 3], dtype=np.int32))}
            for name in ("stage", "other"):
                chunks[name] = Chunk(np.array([200, 1], dtype=np.uint8), np.array([True, name == "stage"]))
            file.write(2, chunks.__getitem__)
    metadata = pq.ParquetFile(tmp_path / "f").metadata
    found = [[metadata.row_group(group).column(i).statistics for i in range(4)] for group in range(2)]
    assert [(s.min, s.max, s.null_count) for s in found[0][:3]] == [("a", "b", 0), (-123, 3, 0), (1, 200, 0)]
    assert (found[1][1].min, found[1][1].max) == (3, 5)
    assert (found[0][3].has_min_max, found[0][3].null_count) == (False, 1)
    assert pl.scan_parquet(tmp_path / "f").filter(pl.col("frame") == 5).collect()["stage"].to_list() == [200]


def test_a_file_without_rows_has_its_columns(tmp_path: Path) -> None:
    with ParquetFile(tmp_path / "f", [Field(name="x", dtype="int8")]) as file:
        assert file is not None
    assert pq.read_table(tmp_path / "f").schema == pa.schema([("x", pa.int8())])
