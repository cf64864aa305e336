import pytest

from dataset.melee.controller import B
from dataset.melee.ids import character_from_name
from dataset.stats.techniques.moves import MOVES, OTHER_ACTS, SPECIALS
from tests.dataset.games import Span, game
from tests.dataset.stats.techniques.builders import Told, counted, figure, told, without

PEACH, GAME_AND_WATCH = (character_from_name(name).internal for name in ("peach", "game_and_watch"))


@pytest.mark.parametrize(
    ("state", "name"),
    [
        *[(44, "jab"), (46, "jab"), (50, "dash attack"), (51, "forward tilt"), (55, "forward tilt"), (56, "up tilt")],
        *[(57, "down tilt"), (58, "forward smash"), (63, "up smash"), (64, "down smash"), (65, "neutral air")],
        *[(66, "forward air"), (67, "back air"), (68, "up air"), (69, "down air"), (212, "grab"), (214, "grab")],
        *[(187, "getup attack"), (195, "getup attack"), (256, "ledge attack"), (233, "roll"), (234, "roll")],
        *[(235, "spot dodge"), (252, "ledge grab"), (264, "taunt"), (265, "taunt"), (219, "forward throw")],
        *[(220, "back throw"), (221, "up throw"), (222, "down throw")],
    ],
)
def test_an_act_is_counted_by_the_state_in_which_it_begins(state: int, name: str) -> None:
    every = (*MOVES, *SPECIALS, *OTHER_ACTS)
    found = counted(game([(14, 5), (state, 20), (14, 5)]), *every, "move")
    assert found == dict.fromkeys(every, 0) | {name: 1, "move": name not in OTHER_ACTS}


def test_a_move_begun_again_without_a_pause_counts_again_and_a_long_one_once() -> None:
    again = {"action_frame": [*range(10), *range(10)]}
    assert told("up tilt", game([(14, 5), (56, 20, again), (14, 5)])) == [
        Told("a", 5, None, None),
        Told("a", 15, None, None),
    ]
    assert counted(game([(14, 5), (44, 5), (45, 9), (48, 30)]), "jab") == {"jab": 2}


def test_a_dash_attack_cut_short_by_a_grab_is_only_a_grab() -> None:
    assert counted(game([(20, 5), (50, 3), (214, 20)]), "dash attack", "grab", "move") == {
        "dash attack": 0,
        "grab": 1,
        "move": 1,
    }


@pytest.mark.parametrize(
    ("stick", "name"),
    [
        *[
            ((0, 0), "neutral special"),
            ((47, 30), "neutral special"),
            ((48, 0), "side special"),
            ((-80, 0), "side special"),
        ],
        *[((0, 44), "up special"), ((60, 45), "up special"), ((0, -44), "down special"), ((0, 43), "neutral special")],
    ],
)
def test_a_special_is_begun_by_b_and_told_by_the_stick(stick: tuple[int, int], name: str) -> None:
    pad = {"main_x": stick[0], "main_y": stick[1]}
    table = game([(14, 5, pad), (350, 9, pad | {"buttons": [B] * 9}), (351, 9, pad)])
    assert counted(table, *SPECIALS) == dict.fromkeys(SPECIALS, 0) | {name: 1}
    assert counted(game([(14, 5), (350, 9)]), *SPECIALS) == dict.fromkeys(SPECIALS, 0)  # a state of its own, without B


def test_some_characters_have_states_of_their_own_for_common_moves() -> None:
    float_air: list[Span] = [(25, 5, {"character": PEACH}), (344, 9, {"character": PEACH})]
    assert counted(game(float_air), "neutral air") == {"neutral air": 1}
    assert counted(
        game([(14, 5, {"character": GAME_AND_WATCH}), (345, 9, {"character": GAME_AND_WATCH})]), "down tilt"
    ) == {"down tilt": 1}
    assert counted(game([(14, 5), (344, 9)]), "neutral air") == {"neutral air": 0}


def test_shares_of_moves_and_their_entropy() -> None:
    table = game([(14, 90), (44, 5), (14, 5), (44, 5), (14, 5), (65, 5), (14, 5), (66, 5), (14, 5)])
    assert figure(table, "jab: share") == 0.5
    assert figure(table, "up air: share") == 0
    assert figure(table, "move: entropy") == 1.5
    assert figure(game([(44, 5), (14, 5), (44, 5)]), "move: entropy") == 0
    assert figure(table, "throw: per minute") == 0
    assert figure(without(table, "buttons"), "jab: share") is None


@pytest.mark.parametrize(("after", "is_made"), [(213, True), (216, True), (14, False), (88, False)])
def test_a_grab_is_made_if_it_holds_somebody(after: int, is_made: bool) -> None:
    for state in (212, 214):
        assert told("grab made", game([(14, 5), (state, 20), (after, 5)])) == [Told("a", 5, is_made, None)]
    assert told("grab made", game([(14, 5), (212, 20)])) == []  # the game ends first


def test_shares_of_throws() -> None:
    table = game([(216, 9), (222, 20), (14, 9), (216, 9), (222, 20), (14, 9), (219, 20)])
    assert (figure(table, "down throw: share"), figure(table, "forward throw: share")) == (2 / 3, 1 / 3)


def test_an_air_dodge_that_lands_soon_is_counted_elsewhere() -> None:
    assert [len(told("air dodge", game([(25, 5), (236, frames), (43, 10)]))) for frames in (2, 13, 14)] == [0, 0, 1]
    assert told("air dodge", game([(25, 5), (236, 9), (35, 10)])) == [Told("a", 5, None, None)]


def test_an_edge_cancel_ends_a_landing_in_a_fall_or_teetering() -> None:
    for state, name in ((70, "edge cancel"), (74, "edge cancel"), (43, "special landing edge cancel")):
        for after, is_cancel in ((29, True), (245, True), (14, False), (25, False)):
            assert [event.success for event in told(name, game([(29, 9), (state, 4), (after, 9)]))] == [is_cancel]


@pytest.mark.parametrize(("state", "facing", "other", "towards"), [
    (200, 1, 50.0, True), (200, 1, -50.0, False), (200, -1, -50.0, True), (201, 1, 50.0, False), (201, -1, 50.0, True),
])  # fmt: skip
def test_a_tech_roll_goes_towards_the_opponent_or_away(state: int, facing: int, other: float, towards: bool) -> None:
    table = game([(88, 9), (state, 20, {"facing": facing})], [(14, 29, {"x": other})])
    found = {name: [event.success for event in told(name, table)] for name in ("tech", "tech towards", "tech away")}
    assert found == {"tech": [True], "tech towards": [towards], "tech away": [not towards]}


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
