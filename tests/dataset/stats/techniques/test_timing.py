import pytest

from dataset.melee.controller import L, R, Z
from tests.dataset.games import Span, game
from tests.dataset.stats.techniques.builders import Told, figure, told, told_each, without


def landing(buttons: dict[int, int], trigger: dict[int, int] | None = None, rated: int = 1) -> list[Told]:
    """Lands on frame 40 out of an aerial, with buttons and a trigger held on single frames."""
    held = [buttons.get(frame, 0) for frame in range(60)]
    pulled = [(trigger or {}).get(frame, 0) for frame in range(60)]
    spans: list[Span] = [
        (65, 40, {"buttons": held[:40], "trigger": pulled[:40]}),
        (70, 20, {"l_cancel": rated, "buttons": held[40:], "trigger": pulled[40:]}),
    ]
    return told("l-cancel press", game(spans))


@pytest.mark.parametrize("button", [L, R, Z])
def test_the_press_of_an_l_cancel_is_timed_to_its_landing(button: int) -> None:
    assert landing({37: button}) == [Told("a", 40, None, 3.0)]
    assert landing({30: button, 38: button}) == [Told("a", 40, None, 2.0)]
    assert landing(dict.fromkeys(range(30, 45), button)) == [Told("a", 40, None, 10.0)]  # held since


def test_a_trigger_counts_out_of_its_dead_zone() -> None:
    assert landing({}, {36: 43}) == [Told("a", 40, None, 4.0)]
    assert landing({}, {36: 42}) == []


def test_a_late_press_counts_below_zero_if_there_was_none_before() -> None:
    assert landing({45: L}, rated=2) == [Told("a", 40, None, -5.0)]
    assert landing({45: L, 20: L}, rated=2) == [Told("a", 40, None, 20.0)]
    assert landing({46: L}, rated=2) == landing({19: L}, rated=2) == []


def test_landings_that_slippi_does_not_rate_are_not_timed() -> None:
    assert landing({37: L}, rated=0) == []
    table = game([(65, 9), (70, 9, {"l_cancel": 1})])
    assert figure(table, "l-cancel press: frames early", "b") is not None
    assert figure(without(table, "l_cancel"), "l-cancel press: frames early", "b") is None
    assert figure(without(table, "l_cancel"), "l-cancel: per minute") is None


def test_a_wavedash_is_timed_from_its_knee_bend_and_its_stick_measured() -> None:
    stick = {"main_x": -56, "main_y": -56}
    at_once, late = [(24, 4), (236, 2, stick), (43, 10)], [(24, 4), (25, 3), (236, 2, {"main_x": 80}), (43, 10)]
    unseen: list[Span] = [(24, 4), (43, 10, {"main_y": -80})]
    assert [told("wavedash trigger", game([(14, 5), *spans])) for spans in (at_once, late, unseen)] == [
        [Told("a", 11, None, 0.0)],
        [Told("a", 14, None, 3.0)],
        [Told("a", 9, None, 0.0)],
    ]
    assert [told("wavedash angle", game([(14, 5), *spans]))[0].value for spans in (at_once, late, unseen)] == [
        45.0,
        0.0,
        90.0,
    ]


def test_a_shield_drop_is_timed_since_the_shield_was_raised_or_struck() -> None:
    shields: list[tuple[list[Span], float]] = [
        ([(178, 3), (179, 9)], 12.0),
        ([(178, 8)], 8.0),
        ([(178, 3), (179, 9), (181, 6), (179, 4)], 4.0),
        ([(178, 3), (179, 9), (181, 6)], 0.0),
        ([(182, 2), (179, 9)], 11.0),
    ]
    found = told_each("shield drop", [game([(14, 5), *shield, (244, 9)]) for shield, _ in shields])
    starts = [5 + sum(span[1] for span in shield) for shield, _ in shields]
    assert found == [[Told("a", start, None, frames)] for start, (_, frames) in zip(starts, shields, strict=True)]


def test_a_drop_without_a_shield_or_out_of_one_let_go_is_none() -> None:
    assert (
        told("shield drop", game([(14, 5), (244, 9)]))
        == told("shield drop", game([(179, 9), (180, 5), (244, 9)]))
        == []
    )


def test_values_of_several_games_and_sides_are_told_apart() -> None:
    games = [game([(179, 7), (244, 9)], [(179, 4), (244, 9)]), game([(14, 3), (179, 2), (244, 9)], replay="r2")]
    assert [(event.side, event.value) for event in told("shield drop", *games)] == [("b", 4.0), ("a", 7.0), ("a", 2.0)]
    ends, begins = game([(14, 3), (179, 7)]), game([(244, 9)], replay="r2")
    assert told("shield drop", ends, begins) == []
