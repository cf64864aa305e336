"""What is counted of games, on hand-made frames of one game whose side a does something and whose side b stands still."""

import numpy as np

from dataset.melee.controller import BUTTONS, A, B
from dataset.stats.conduct.tally import Tally
from dataset.stats.rules import BELOW_FLOOR, FREEZE_FRAMES
from tests.dataset.stats.conduct.builders import OneFrame, columns

WAIT, DEAD, REBIRTH, FALL, JAB, FORWARD_TILT, DAMAGE, LEDGE = 14, 0, 12, 29, 44, 53, 78, 253
OFF = {"a_on_ground": 0, "a_action_state": FALL, "a_x": 100}


def tallied(
    *frames: dict[str, float], pressed: list[tuple[int, ...]] | None = None, over_at: int | None = None
) -> Tally:
    """A game of which each frame is given by what differs from standing; side a's controllers by [6] each."""
    tally = Tally(1)
    for number, values in enumerate(frames):
        controllers = np.zeros((1, 2, 6), np.int32)
        if pressed is not None:
            controllers[0, 0] = pressed[number]
        is_over = np.array([over_at is not None and number >= over_at])
        tally.add(OneFrame(columns(1, **values), controllers, is_over))
    return tally


def test_frames_after_the_end_do_not_count() -> None:
    tally = tallied({}, {"a_percent": 9}, {"a_percent": 50}, {"a_percent": 70, "a_stocks": 1}, over_at=1)
    assert tally.frames.tolist() == [2]
    assert tally.damage_taken.tolist() == [[9, 0]]
    assert tally.stocks_lost.tolist() == [[0, 0]]


def test_damage_adds_up_and_a_lost_stock_costs_none() -> None:
    tally = tallied({}, {"a_percent": 9}, {"a_percent": 30}, {"a_stocks": 3, "a_action_state": DEAD}, {"a_stocks": 3})
    assert tally.damage_taken.tolist() == [[30, 0]]
    assert tally.stocks_lost.tolist() == [[1, 0]]
    assert (tally.stocks.tolist(), tally.percent.tolist()) == ([[3, 4]], [[0, 0]])


def test_a_stock_lost_without_a_hit_is_a_self_destruct() -> None:
    dead = {"a_stocks": 3, "a_action_state": DEAD}
    assert tallied({}, OFF, OFF, dead).self_destructs.tolist() == [[1, 0]]


def test_a_stock_lost_after_a_hit_is_none() -> None:
    dead = {"a_stocks": 3, "a_action_state": DEAD, "a_percent": 20}
    hit = {"a_percent": 20, "a_action_state": DAMAGE, "a_on_ground": 0}
    assert tallied({}, hit, OFF | {"a_percent": 20}, dead).self_destructs.tolist() == [[0, 0]]


def test_a_hit_is_forgotten_once_the_player_stands_or_hangs_on_the_ledge() -> None:
    hit = {"a_percent": 20, "a_action_state": DAMAGE, "a_on_ground": 0}
    dead = {"a_stocks": 3, "a_action_state": DEAD, "a_percent": 20}
    for safe in ({"a_percent": 20}, {"a_percent": 20, "a_action_state": LEDGE, "a_on_ground": 0}):
        assert tallied({}, hit, safe, OFF | {"a_percent": 20}, dead).self_destructs.tolist() == [[1, 0]]


def test_a_hit_before_a_death_does_not_excuse_the_next_one() -> None:
    hit = {"a_percent": 20, "a_action_state": DAMAGE, "a_on_ground": 0}
    back = {"a_stocks": 3, "a_action_state": FALL, "a_on_ground": 0}
    tally = tallied({}, hit, {"a_stocks": 3, "a_action_state": DEAD}, back, {"a_stocks": 2, "a_action_state": DEAD})
    assert (tally.stocks_lost.tolist(), tally.self_destructs.tolist()) == ([[2, 0]], [[1, 0]])


def test_time_off_stage_and_whether_the_player_came_back() -> None:
    below = {"a_on_ground": 0, "a_action_state": FALL, "a_x": 10, "a_y": -BELOW_FLOOR - 0.1}
    above = {"a_on_ground": 0, "a_action_state": FALL, "a_x": 10, "a_y": 20}
    on_ledge = {"a_on_ground": 0, "a_action_state": LEDGE, "a_x": 88, "a_y": -12}
    landing = below | {"a_y": -BELOW_FLOOR}
    tally = tallied(
        {},
        above,
        landing,
        {},
        above,
        OFF,
        below,
        above,
        {},
        OFF,
        on_ledge,
        OFF,
        {"a_stocks": 3, "a_action_state": DEAD},
        OFF,
    )
    assert tally.off_stage.tolist() == [[5, 0]]
    assert tally.recoveries.tolist() == [[3, 0]], "the last one has not ended"
    assert tally.recovered.tolist() == [[2, 0]]
    assert tally.present.tolist() == [[13, 14]], "not while dead"


def test_a_freeze_is_a_second_of_the_same_controller_while_able_to_act() -> None:
    still: list[tuple[int, ...]] = [(80, 0, 0, 0, 0, 0)] * (FREEZE_FRAMES + 11)
    tally = tallied(*[{}] * len(still), pressed=still)
    assert tally.able.tolist() == [[FREEZE_FRAMES + 11] * 2]
    assert tally.frozen.tolist() == [[FREEZE_FRAMES + 11] * 2]
    assert tally.longest_freeze.tolist() == [[FREEZE_FRAMES + 11] * 2]
    moved = [*still[:FREEZE_FRAMES], (79, 0, 0, 0, 0, 0), *still[:10]]
    tally = tallied(*[{}] * len(moved), pressed=moved)
    assert tally.frozen.tolist() == [[FREEZE_FRAMES, FREEZE_FRAMES + 11]]
    short = [*still[: FREEZE_FRAMES - 1], (79, 0, 0, 0, 0, 0)]
    assert tallied(*[{}] * len(short), pressed=short).frozen.tolist() == [[0, FREEZE_FRAMES]]


def test_time_in_which_nothing_can_be_done_is_no_freeze() -> None:
    for unable in ({"a_action_state": JAB}, {"a_action_state": REBIRTH}, {"a_hitlag": 3}, {"a_action_state": DAMAGE}):
        tally = tallied(*[unable] * 100)
        assert (tally.able.tolist(), tally.frozen.tolist()) == ([[0, 100]], [[0, 100]])


def test_presses_are_counted_by_button_when_they_begin() -> None:
    pads: list[tuple[int, ...]] = [(0,) * 6, (0, 0, 0, 0, 0, A), (0, 0, 0, 0, 0, A | B), (0,) * 6, (0, 0, 0, 0, 0, A)]
    tally = tallied(*[{}] * 5, pressed=pads)
    names = [name for name, _ in BUTTONS]
    assert dict(zip(names, tally.presses[0, 0].tolist(), strict=True)) == dict.fromkeys(names, 0) | {"a": 2, "b": 1}
    assert tally.attack_presses.tolist() == [[2, 0]]


def test_a_flick_of_the_c_stick_is_one_press_for_an_attack() -> None:
    pads: list[tuple[int, ...]] = [
        (0,) * 6,
        (0, 0, 80, 0, 0, 0),
        (0, 0, 75, 0, 0, 0),
        (0, 0, 20, 0, 0, 0),
        (0, 0, 0, -60, 0, 0),
    ]
    assert tallied(*[{}] * 5, pressed=pads).attack_presses.tolist() == [[2, 0]]


def test_attacks_and_those_like_the_one_before() -> None:
    def jab(age: int) -> dict[str, float]:
        return {"a_action_state": JAB, "a_action_frame": age}

    tilt = {"a_action_state": FORWARD_TILT, "a_action_frame": 1}
    tally = tallied({}, jab(1), jab(2), jab(1), {}, jab(1), tilt, tilt | {"a_action_frame": 2}, jab(1))
    assert (tally.attacks.tolist(), tally.repeats.tolist()) == ([[5, 0]], [[2, 0]])
