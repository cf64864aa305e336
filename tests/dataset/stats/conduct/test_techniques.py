"""Techniques in conduct: the same counts from a frame table and from the frames that an arena wrote."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dataset.schema import SIDES
from dataset.stats.conduct import techniques
from dataset.stats.conduct.conduct import FILMED
from dataset.stats.conduct.techniques import count_filmed, count_techniques
from tests.dataset.games import game

WAVEDASH = [(24, 4), (236, 2), (43, 10), (14, 5)]
L_CANCELS = [(65, 9), (70, 4, {"l_cancel": 1}), (14, 9), (65, 9), (70, 4, {"l_cancel": 2}), (14, 9)]
GAMES = [
    game(WAVEDASH * 3, L_CANCELS, replay="r1"),
    game(L_CANCELS, WAVEDASH, replay="r0"),
    game(WAVEDASH, replay="r2"),
]

TOLD = [
    *("l-cancel", "tech in place", "tech roll", "missed tech", "wavedash", "waveland", "dash-dance", "ledgedash"),
    *("djc aerial", "teleport", "teleport ledge cancel", "shadow ball"),
]


def film(folder: Path, games: Sequence[pl.DataFrame]) -> Path:
    """What ``play.arena.film`` writes of games; after the end of a game stands what must not count, the rest of the first."""
    longest = max(map(len, games))
    names = [f"{side}_{name}" for side in SIDES for name in FILMED]
    rows = [each.select(names).to_numpy().astype(np.float32) for each in games]
    full = [np.concatenate([each, rows[0][len(each) : longest]]) for each in rows]
    np.stack(full, axis=1).tofile(folder / "frames.bin")
    np.save(folder / "lengths.npy", np.array([len(each) for each in games]))
    return folder


def test_each_game_and_side_has_its_counts_whatever_the_order_of_ids() -> None:
    found = count_techniques(pl.concat(GAMES).lazy(), ["r1", "r0", "r2"])
    assert found["wavedash"].tolist() == [[[3, 0], [0, 1], [1, 0]], [[3, 0], [0, 1], [1, 0]], [[0, 0]] * 3]
    assert list(found) == TOLD
    assert found["l-cancel"].tolist() == [[[0, 1], [1, 0], [0, 0]], [[0, 2], [2, 0], [0, 0]], [[0, 2], [2, 0], [0, 0]]]


@pytest.mark.parametrize("batch", [1, 10**6])
def test_frames_of_an_arena_give_the_same_counts_less_l_cancels(
    batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(techniques, "BATCH_FRAMES", batch)
    told = count_techniques(pl.concat(GAMES).lazy(), ["r1", "r0", "r2"])
    filmed = count_filmed(film(tmp_path, GAMES))
    assert {name: counts.tolist() for name, counts in filmed.items() if name != "l-cancel"} == {
        name: counts.tolist() for name, counts in told.items() if name != "l-cancel"
    }
    assert not filmed["l-cancel"].any()
