import math
from typing import Any

import polars as pl
import pytest

from tests.dataset.games import Span, game
from tests.dataset.stats.techniques.builders import Told, figure, told, told_each, without

LAG = {"hitlag": [4.0, 3.0, 2.0, 1.0], "percent": 9.0, "speed_attack_y": 2.0}
FLIES = {"percent": 9.0, "speed_attack_y": 2.0, "on_ground": False}


def hit(
    before: int = 14, sticks: tuple[tuple[int, int], ...] = (), launch: dict[str, Any] | None = None
) -> pl.DataFrame:
    """Is hit on frame 5 for four frames of hitlag and launched straight up; the stick from the hit's frame on."""
    path = [*sticks, *[(0, 0)] * (4 - len(sticks))]
    held = {"main_x": [x for x, _ in path], "main_y": [y for _, y in path]}
    spans: list[Span] = [(before, 5), (88, 4, LAG | held | (launch or {})), (88, 20, FLIES), (14, 5, {"percent": 9.0})]
    return game(spans)


def test_a_launch_counts_the_stick_across_it_on_the_last_frame_of_hitlag() -> None:
    centre, rim, half = (0, 0), (80, 0), (40, 0)
    assert told("di", hit(sticks=(rim, rim, rim, centre))) == [Told("a", 9, False, 0.0)]
    assert told("di", hit(sticks=(centre, centre, centre, rim))) == [Told("a", 9, True, 1.0)]
    assert told("di", hit(sticks=(centre, centre, centre, half))) == [Told("a", 9, True, 0.25)]
    assert told("di", hit(sticks=(centre, centre, centre, (0, 80)))) == [Told("a", 9, True, 0.0)]  # along it


def test_di_is_measured_against_the_trajectory() -> None:
    slanted = {"speed_attack_x": 2.0}
    [event] = told("di", hit(sticks=((0, 0), (0, 0), (0, 0), (-56, 56)), launch=slanted))
    assert event.value == pytest.approx((math.hypot(56, 56) / 80) ** 2)
    [event] = told("di", hit(sticks=((0, 0), (0, 0), (0, 0), (56, 56)), launch=slanted))
    assert event.value == pytest.approx(0.0)


def test_who_stays_on_the_ground_is_not_launched() -> None:
    assert told("di", hit(launch={"speed_attack_y": 0.0})) == []
    grounded: list[Span] = [(14, 5), (75, 4, LAG), (75, 20, {"percent": 9.0}), (14, 5, {"percent": 9.0})]
    assert told("di", game(grounded)) == []


def test_sdi_counts_new_directions_of_the_stick_within_the_hitlag() -> None:
    right, up, middle, corner = (80, 0), (0, 80), (0, 0), (56, 56)
    cases = {
        (middle, right, middle, right): 2.0,
        (right, right, right, right): 0.0,  # held since the hit
        (middle, right, up, right): 3.0,
        (middle, right, corner, middle): 2.0,
        (middle, corner, right, middle): 1.0,  # from a diagonal to its side
        (middle, corner, (-80, 0), middle): 2.0,
        (middle, (22, 0), middle, (0, -22)): 0.0,  # in the dead zone
    }
    found = told_each("sdi", [hit(sticks=sticks) for sticks in cases])
    assert found == [[Told("a", 5, inputs > 0, inputs)] for inputs in cases.values()]


def test_a_hit_is_crouched_into_if_the_player_crouched_on_the_frame_before() -> None:
    assert [told("crouch cancel", hit(before))[0].success for before in (39, 40, 41, 14)] == [True, True, False, False]
    in_air: list[Span] = [(29, 5, {"on_ground": False}), (88, 4, LAG), (88, 9, FLIES), (14, 3, {"percent": 9.0})]
    assert told("crouch cancel", game(in_air)) == []


def test_hitlag_without_damage_or_of_the_hitter_is_no_hit() -> None:
    still = LAG | {"percent": 0.0}
    assert told("sdi", game([(14, 5), (88, 4, still), (14, 5)])) == []
    assert told("sdi", game([(14, 5), (44, 4, LAG), (14, 5, {"percent": 9.0})])) == []


def test_a_hit_whose_hitlag_the_game_does_not_see_the_end_of_is_left_out() -> None:
    cut = game([(14, 5), (88, 4, LAG)])
    again = game([(14, 5), (44, 3, {"hitlag": [2.0, 1.0, 0.0]}), (14, 5)], replay="r2")
    assert told("sdi", cut) == told("sdi", cut, again) == []


def test_versions_without_hitlag_tell_nothing() -> None:
    for name in ("di: share", "sdi: inputs per hit", "crouch cancel: share"):
        assert figure(hit(), name) is not None
        assert figure(without(hit(), "hitlag"), name) is None
    assert figure(without(hit(), "speed_attack_x"), "di: share") is None
    assert figure(without(hit(), "speed_attack_x"), "sdi: share") == 0
