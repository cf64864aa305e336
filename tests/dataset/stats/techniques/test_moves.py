from collections import Counter

import pytest

from dataset.melee.controller import B
from dataset.melee.ids import character_from_name
from dataset.stats.techniques.moves import MOVES, OTHER_ACTS, SPECIALS
from tests.dataset.games import FALCO, game
from tests.dataset.stats.techniques.builders import Told, figure, names_each, told, told_each, without

EVERY = (*MOVES, *SPECIALS, *OTHER_ACTS)
PEACH, GAME_AND_WATCH = (character_from_name(name).internal for name in ("peach", "game_and_watch"))


STATES = {
    **{"jab": (44, 45, 46, 47), "dash attack": (50,), "forward tilt": (51, 55), "up tilt": (56,), "down tilt": (57,)},
    **{"forward smash": (58, 62), "up smash": (63,), "down smash": (64,), "neutral air": (65,), "forward air": (66,)},
    **{"back air": (67,), "up air": (68,), "down air": (69,), "grab": (212, 214), "getup attack": (187, 195)},
    **{"ledge attack": (256, 257), "roll": (233, 234), "spot dodge": (235,), "ledge grab": (252,), "taunt": (264, 265)},
    **{"forward throw": (219,), "back throw": (220,), "up throw": (221,), "down throw": (222,)},
}


def test_an_act_is_counted_by_the_state_in_which_it_begins() -> None:
    cases = [(name, state) for name, states in STATES.items() for state in states]
    found = names_each((*EVERY, "move"), [game([(14, 5), (state, 20), (14, 5)]) for _, state in cases])
    assert found == [Counter([name] if name in OTHER_ACTS else [name, "move"]) for name, _ in cases]
    assert set(STATES) == {*MOVES, *OTHER_ACTS}


def test_a_move_begun_again_without_a_pause_counts_again_and_a_long_one_once() -> None:
    again = {"action_frame": [*range(10), *range(10)]}
    assert told("up tilt", game([(14, 5), (56, 20, again), (14, 5)])) == [
        Told("a", 5, None, None),
        Told("a", 15, None, None),
    ]
    assert names_each(EVERY, [game([(14, 5), (44, 5), (45, 9), (48, 30)])]) == [{"jab": 2}]


def test_a_dash_attack_cut_short_by_a_grab_is_only_a_grab() -> None:
    assert names_each((*EVERY, "move"), [game([(20, 5), (50, 3), (214, 20)])]) == [{"grab": 1, "move": 1}]


def test_a_special_is_begun_by_b_and_told_by_the_stick() -> None:
    sticks = {
        **{(0, 0): "neutral special", (47, 30): "neutral special", (0, 43): "neutral special"},
        **{(48, 0): "side special", (-80, 0): "side special", (0, 44): "up special", (60, 45): "up special"},
        **{(0, -44): "down special"},
    }
    pads = [{"main_x": x, "main_y": y} for x, y in sticks]
    games = [game([(14, 5, pad), (350, 9, pad | {"buttons": [B] * 9}), (351, 9, pad)]) for pad in pads]
    assert names_each(SPECIALS, games) == [Counter([name]) for name in sticks.values()]
    assert names_each(SPECIALS, [game([(14, 5), (350, 9)])]) == [Counter()]  # a state of its own, without B


def test_some_characters_have_states_of_their_own_for_common_moves() -> None:
    states = {
        (PEACH, 344): "neutral air",
        (PEACH, 350): "forward smash",
        (GAME_AND_WATCH, 345): "down tilt",
        (FALCO, 344): None,
    }
    games = [game([(25, 5, {"character": who}), (state, 9, {"character": who})]) for who, state in states]
    assert names_each(EVERY, games) == [Counter([name] if name else []) for name in states.values()]


def test_shares_of_moves_and_their_entropy() -> None:
    table = game([(14, 90), (44, 5), (14, 5), (44, 5), (14, 5), (65, 5), (14, 5), (66, 5), (14, 5)])
    assert figure(table, "jab: share") == 0.5
    assert figure(table, "up air: share") == 0
    assert figure(table, "move: entropy") == 1.5
    assert figure(game([(44, 5), (14, 5), (44, 5)]), "move: entropy") == 0
    assert figure(table, "throw: per minute") == 0
    assert figure(without(table, "buttons"), "jab: share") is None
    assert told("jab", without(table, "buttons")) == []


def test_a_grab_is_made_if_it_holds_somebody() -> None:
    cases = [(state, after) for state in (212, 214) for after in (213, 216, 14, 88)]
    found = told_each("grab made", [game([(14, 5), (state, 20), (after, 5)]) for state, after in cases])
    assert found == [[Told("a", 5, after in (213, 216), None)] for _, after in cases]
    assert told("grab made", game([(14, 5), (212, 20)])) == []  # the game ends first


def test_shares_of_throws() -> None:
    table = game([(216, 9), (222, 20), (14, 9), (216, 9), (222, 20), (14, 9), (219, 20)])
    assert (figure(table, "down throw: share"), figure(table, "forward throw: share")) == (2 / 3, 1 / 3)


def test_an_air_dodge_that_lands_soon_is_counted_elsewhere() -> None:
    found = told_each("air dodge", [game([(25, 5), (236, frames), (43, 10)]) for frames in (2, 13, 14)])
    assert found == [[], [], [Told("a", 5, None, None)]]
    assert told("air dodge", game([(25, 5), (236, 9), (35, 10)])) == [Told("a", 5, None, None)]


@pytest.mark.parametrize(("name", "states"), [("edge cancel", (70, 74)), ("special landing edge cancel", (43,))])
def test_an_edge_cancel_ends_a_landing_in_a_fall_or_teetering(name: str, states: tuple[int, ...]) -> None:
    cases = [(state, after) for state in states for after in (29, 245, 14, 25)]
    found = told_each(name, [game([(29, 9), (state, 4), (after, 9)]) for state, after in cases])
    assert found == [[Told("a", 9, after in (29, 245), None)] for _, after in cases]


def test_a_tech_roll_goes_towards_the_opponent_or_away() -> None:
    cases = {
        **{(200, 1, 50.0): True, (200, 1, -50.0): False, (200, -1, -50.0): True},
        **{(201, 1, 50.0): False, (201, -1, 50.0): True},
    }
    games = [
        game([(88, 9), (state, 20, {"facing": facing})], [(14, 29, {"x": other})]) for state, facing, other in cases
    ]
    assert told_each("tech", games) == [[Told("a", 9, True, None)]] * len(cases)
    assert told_each("tech towards", games) == [[Told("a", 9, towards, None)] for towards in cases.values()]
    assert told_each("tech away", games) == [[Told("a", 9, not towards, None)] for towards in cases.values()]


def test_a_tech_in_place_and_a_miss_go_nowhere() -> None:
    table = game([(88, 9), (199, 20), (14, 9), (88, 9), (183, 26), (184, 9), (185, 5), (183, 9), (186, 9)])
    assert [event.success for event in told("tech", table)] == [True, False]
    assert [event.success for event in told("tech towards", table) + told("tech away", table)] == [False] * 4


def test_wall_techs_are_tried_at_every_wall() -> None:
    table = game([(88, 9), (202, 20), (29, 9), (88, 9), (247, 9), (88, 9), (203, 9)])
    assert told("wall tech", table) == [Told("a", 9, True, None), Told("a", 47, False, None)]


def test_an_attack_like_the_one_before_is_repeated_whatever_lies_between() -> None:
    table = game([(44, 5), (14, 30), (44, 5), (65, 5), (350, 5), (65, 5), (14, 5)])
    assert [event.success for event in told("repeated attack", table)] == [False, True, False, True]
    assert figure(table, "repeated attack: share") == 0.5
    both = [game([(44, 5), (14, 5)]), game([(44, 5), (14, 5)], replay="r2")]
    assert [event.success for event in told("repeated attack", *both)] == [False, False]
