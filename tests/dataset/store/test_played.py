from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from dataset.store.played import played_frames


class FakeStore:
    """Two games, of which the first was not let in."""

    manifest = SimpleNamespace(kept_frames=2)

    def replays(self) -> pl.LazyFrame:
        return pl.LazyFrame({"id": ["r1", "r2"], "status": ["rejected", "ok"]})

    def frames(self, columns: list[str]) -> pl.LazyFrame:
        table = {"replay": ["r1", "r1", "r2", "r2", "r2"], "frame": [-123, -122, -123, -122, -121], "stage": [0] * 5}
        return pl.LazyFrame(table).select(columns)


@pytest.mark.parametrize("columns", [["frame"], ["replay", "frame"]])
def test_frames_of_games_that_were_not_let_in_do_not_count(columns: list[str]) -> None:
    store: Any = FakeStore()
    found = played_frames(store, columns).collect()
    assert found.columns == columns
    assert found["frame"].to_list() == [-123, -122, -121]
