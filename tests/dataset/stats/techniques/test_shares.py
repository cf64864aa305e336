"""What is summed over frames, and that it is what the arena's tally counts."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from dataset.features.layout import RAW_NAMES, RAW_ROW
from dataset.melee.controller import A, B, L, Z
from dataset.schema import CONTROLLER_NAMES, FIRST_CONTROLLED_FRAME, FIRST_FRAME, SIDES
from dataset.stats.conduct.tally import SEEN, Tally
from dataset.stats.rules import FREEZE_FRAMES
from dataset.stats.techniques.statistics import measure
from tests.dataset.games import Span, game
from tests.dataset.stats.conduct.builders import OneFrame
from tests.dataset.stats.techniques.builders import Told, figure, told, without

ENTRANCE: Span = (14, FIRST_CONTROLLED_FRAME - FIRST_FRAME)
LOST = {"stocks": 3}
OFF = {"x": 100.0, "on_ground": False}


def test_the_stage_is_controlled_by_who_is_nearer_its_centre_while_both_are_there() -> None:
    mine: list[Span] = [(14, 10, {"x": -5.0}), (14, 30, {"x": 20.0}), (14, 10), (12, 5)]
    table = game(mine, [(14, 40, {"x": 10.0}), (0, 15)])
    assert figure(table, "stage control: share") == 10 / 40
    assert figure(table, "stage control: share", "b") == 30 / 40


def test_a_recovery_ends_on_the_stage_its_ledge_or_in_the_loss_of_a_stock() -> None:
    below = {"x": 10.0, "y": -13.0, "on_ground": False}
    table = game(
        [
            (14, 5),
            (29, 10, OFF),
            (252, 9, OFF),
            (29, 5, OFF),
            (42, 5),
            (29, 20, below),
            (0, 60, LOST),
            (14, 5, LOST),
            (29, 5, OFF | LOST),
        ]
    )
    assert told("recovery", table) == [Told("a", 15, True, None), Told("a", 29, True, None), Told("a", 54, False, None)]
    assert figure(table, "recovery: share") == 2 / 3
    assert figure(table, "off stage: share") == 40 / 64
    assert figure(without(table, "on_ground"), "recovery: share") is None
    assert told("recovery", game([(14, 5), (29, 5, OFF)]), game([(14, 5)], replay="r2")) == []


def test_a_freeze_is_a_second_and_more_of_the_same_controller_while_able_to_act() -> None:
    still = game([(14, 59), (14, 61, {"main_x": 80}), (44, 30, {"main_x": 80})])
    assert figure(still, "frozen: share") == 61 / 120
    assert figure(game([(14, 59), (14, 59, {"main_x": 80})]), "frozen: share") == 0
    assert figure(without(still, "hitlag"), "frozen: share") is None


def test_inputs_are_told_by_what_is_moved_from_the_first_frame_on_which_players_can_act() -> None:
    pad: dict[str, Any] = {
        "buttons": [A | B, A | B, 0, A, 0],
        "main_x": [80, 80, 0, 22, 80],
        "main_y": [0, 80, 0, 0, 0],
        "c_x": [0, 0, -80, 0, 0],
        "trigger_l": [0, 42, 140, 0, 0],
        "trigger_r": [41, 42, 0, 42, 0],
    }
    table = game([(*ENTRANCE, {"buttons": [A, *[0] * 83]}), (14, 5, pad)])
    counts = {"button press": 3, "stick move": 3, "c-stick move": 1, "trigger pull": 3}
    [row] = measure(table.lazy()).sums.filter(side="a").to_dicts()
    assert {name: row[f"{name} count"] for name in counts} == counts
    assert figure(without(table, "trigger_r"), "trigger pull: per minute") is None
    assert figure(without(table, "trigger_r"), "button press: per minute") is not None


def test_presses_per_attack() -> None:
    table = game(
        [ENTRANCE, (14, 5, {"buttons": [0, A, 0, Z, L], "c_x": [0, 0, 0, 0, -53]}), (65, 9), (14, 5), (350, 9)]
    )
    assert figure(table, "attack press: presses per attack") == 3
    [row] = measure(table.lazy()).sums.filter(side="a").to_dicts()
    assert (row["attack press count"], row["attack press valued"]) == (3, 1)


def random_game(seed: int, replay: str) -> pl.DataFrame:
    """A player who does anything anywhere, and loses stocks on the way."""
    rng = np.random.default_rng(seed)
    sides: list[list[Span]] = []
    for _ in SIDES:
        spans: list[Span] = [(322, 20)]
        for stock in (4, 3, 2):
            for _ in range(40):
                frames, presses = int(rng.integers(1, 90)), 0.1 * (rng.random() < 0.5)
                values = {
                    "x": float(rng.integers(-120, 120)),
                    "y": float(rng.integers(-40, 40)),
                    "on_ground": bool(rng.random() < 0.5),
                    "hitlag": float(rng.random() < 0.2),
                    "stocks": stock,
                    "main_x": int(rng.integers(-80, 80)),
                    "c_x": rng.choice([0, 60], frames, p=[1 - presses, presses]).tolist(),
                    "buttons": rng.choice([0, A, Z], frames, p=[1 - presses, presses / 2, presses / 2]).tolist(),
                }
                spans.append((int(rng.choice([14, 20, 29, 44, 65, 88, 179, 212, 252, 253])), frames, values))
            spans += [(0, 60, {"stocks": stock - 1}), (12, 30, {"stocks": stock - 1})]
        sides.append(spans)
    return game(*sides, replay=replay)


def tallied(table: pl.DataFrame) -> Tally:
    """The game as the arena counts it, frame by frame."""
    tally = Tally(1)
    names = ["frame", "stage", *(f"{side}_{name}" for side in SIDES for name in SEEN)]
    state = table.select(pl.col(names).cast(pl.Float32)).to_numpy()
    pads = table.select(f"{side}_{name}" for side in SIDES for name in CONTROLLER_NAMES).to_numpy().astype(np.int32)
    raw = np.zeros((1, len(RAW_NAMES)), np.float32)
    for row, pad in zip(state, pads, strict=True):
        raw[0, [RAW_ROW[name] for name in names]] = row
        tally.add(OneFrame(raw, pad.reshape(1, 2, -1), np.array([False])))
    return tally


@pytest.mark.parametrize("seed", range(2))
def test_the_arenas_tally_counts_the_same(seed: int) -> None:
    table = random_game(seed, "r1")
    after = random_game(seed + 10, "r2")  # a game before it changes nothing
    tally, rows = tallied(table), measure(pl.concat([after, table]).lazy()).sums.filter(replay="r1").to_dicts()
    for number, row in enumerate(rows):
        mine = {
            "off stage count": tally.off_stage,
            "off stage rated": tally.present,
            "recovery count": tally.recovered,
            "recovery tries": tally.recoveries,
            "frozen count": tally.frozen,
            "frozen rated": tally.able,
            "repeated attack count": tally.repeats,
            "repeated attack tries": tally.attacks,
            "attack press value": tally.attack_presses,
            "attack press valued": tally.attacks,
        }
        assert {name: row[name] for name in mine} == {name: int(counts[0, number]) for name, counts in mine.items()}
        assert min(row["recovery count"], row["frozen count"], row["repeated attack count"]) >= FREEZE_FRAMES // 60
