"""Which of the replays let in are encoded into windows: an SQL condition over one row of the table of replays.

In: the condition of ``exphil encode --where`` and rows of ``replays.parquet``. Out: which of them pass; a null does not. The
surprise: every replay is judged by its own row, because ingest judges a new one before it knows the others; a condition that
compares replays with each other is refused, and so are columns that only say where a replay's file or rows lie.
"""

import re
from collections.abc import Sequence

import polars as pl
import pyarrow as pa

from dataset.errors import ConfigError
from dataset.store.frame_table import REPLAY_SCHEMA
from dataset.store.rows import ReplayRow

PLACES = frozenset(("status", "reason", "detail", "size", "mtime", "archive_size", "crc", "shard", "row_start"))
"""Columns that a touched file or a re-encoded store changes, or that are alike in all replays let in."""

_SCHEMA = pa.schema([field for field in REPLAY_SCHEMA if field.name not in PLACES])


def passing(rows: Sequence[ReplayRow], where: str) -> list[bool]:
    """Whether each of ``rows`` passes; an empty condition lets all pass.

    Raises:
        ConfigError: the condition cannot be read.
    """
    if not where:
        return [True] * len(rows)
    return _passing(_table(rows), where)


def left_out(rows: Sequence[ReplayRow], where: str) -> dict[str, int]:
    """Frames of each of ``rows`` that does not pass, by id; raises as ``passing`` does."""
    pairs = zip(rows, passing(rows, where), strict=True)
    return {row["id"]: row["frames"] for row, passes in pairs if not passes}


def check_where(rows: Sequence[ReplayRow], where: str) -> None:
    """Refuse a condition by which a replay does not pass or fail alone, or that no replay passes.

    Raises:
        ConfigError: it is one of these, or cannot be read.
    """
    if not where:
        return
    table = _table(rows)
    together = _passing(table, where)
    if together != [_passing(table[row], where)[0] for row in range(len(rows))]:
        raise ConfigError(
            f"--where {where!r}: must judge each replay by its own row, found one that compares replays; ask 'exphil stats "
            "--sql' for the figure and write it as a number"
        )
    if not any(together):
        raise ConfigError(f"--where {where!r}: must let at least one of {len(rows)} replays pass, found none; widen it")


def _table(rows: Sequence[ReplayRow]) -> pl.DataFrame:
    table = pl.from_arrow(pa.Table.from_pylist(list(rows), schema=_SCHEMA))
    assert isinstance(table, pl.DataFrame), "a table makes no series"
    return table


def _passing(table: pl.DataFrame, where: str) -> list[bool]:
    try:
        found = table.with_columns(pl.sql_expr(where).alias("_passes"))["_passes"]
    except pl.exceptions.PolarsError as error:
        told = re.split("; valid columns|This error occurred", str(error))[
            0
        ]  # those columns are listed below, with types
        raise _unreadable(where, " ".join(told.split())) from error
    if found.dtype != pl.Boolean:
        raise _unreadable(where, f"a value of type {found.dtype}")
    return found.fill_null(value=False).to_list()


def _unreadable(where: str, found: str) -> ConfigError:
    columns = ", ".join(f"{field.name} ({field.type})" for field in _SCHEMA)
    return ConfigError(
        f"--where {where!r}: must be a condition as SQL writes it after WHERE, over columns of one replay, found {found}; "
        f"the columns are {columns}"
    )
