from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from dataset.melee.ids import character_from_name
from dataset.schema import FIRST_FRAME
from dataset.stats.techniques.spans import APPROACH_FRAMES, find_spans
from dataset.stats.techniques.table import TECHNIQUES, find_events, find_games
from tests.dataset.games import FALCO, MEWTWO, Span, game

PEACH = character_from_name("peach").internal
Event = tuple[str, str, int, bool | None]
M: dict[str, int] = {"character": MEWTWO}


def found(technique: str, *games: pl.DataFrame) -> list[Event]:
    """Events of a technique: replay, side, frames from the game's start, success."""
    told = find_events(pl.concat(games).lazy()).filter(pl.col("technique") == technique)
    rows = (
        told.sort("replay", "side", "frame").select("replay", "side", pl.col("frame") - FIRST_FRAME, "success").rows()
    )
    return rows


def successes(technique: str, a: Sequence[Span]) -> list[bool | None]:
    return [row[3] for row in found(technique, game(a))]


def test_spans_tell_when_a_state_began_and_ended_and_what_it_cost() -> None:
    table = pl.concat(
        [
            game([(14, 3), (88, 2, {"percent": [5.0, 9.0]}), (14, 2, {"percent": 9.0})], [(20, 7, {"x": 8.0})]),
            game([(14, 2)], [(14, 1), (15, 1)], replay="r2"),
        ]
    )
    columns = [
        "replay",
        "side",
        "state",
        "start",
        "end",
        "percent_before",
        "percent_after",
        "moves_before",
        "moves_after",
    ]
    rows = (
        find_spans(table.lazy())
        .sort("player", "start")
        .with_columns(pl.col("start", "end") - FIRST_FRAME)
        .select(columns)
        .rows()
    )
    assert rows == [
        ("r1", "a", 14, 0, 2, 0.0, 0.0, 0, 0),
        ("r1", "a", 88, 3, 4, 0.0, 9.0, 0, 1),
        ("r1", "a", 14, 5, 6, 9.0, 9.0, 1, 1),
        ("r1", "b", 20, 0, 6, 0.0, 0.0, 0, 0),
        ("r2", "a", 14, 0, 1, 0.0, 0.0, 1, 1),
        ("r2", "b", 14, 0, 0, 0.0, 0.0, 0, 0),
        ("r2", "b", 15, 1, 1, 0.0, 0.0, 0, 0),
    ]


def test_a_span_remembers_where_its_player_was_half_a_second_before_unless_the_game_is_younger() -> None:
    walk = [float(number) for number in range(40)]
    table = game([(15, 20, {"x": walk[:20]}), (20, 15, {"x": walk[20:35]}), (44, 5, {"x": walk[35:]})], replay="r2")
    told = find_spans(pl.concat([game([(14, 50)]), table]).lazy()).filter(replay="r2", side="a")
    assert told["x_earlier"].to_list() == [None, None, 35.0 - APPROACH_FRAMES]


L_CANCELS = [(65, 9), (70, 5, {"l_cancel": 1}), (14, 4), (66, 9), (71, 9, {"l_cancel": 2}), (14, 3)]


def test_l_cancels_are_counted_on_landings_from_aerials_that_slippi_rates() -> None:
    assert found("l-cancel", game(L_CANCELS)) == [("r1", "a", 9, True), ("r1", "a", 27, False)]
    assert successes("l-cancel", [(65, 9), (70, 5), (14, 4)]) == []
    assert successes("l-cancel", [(25, 9), (42, 5, {"l_cancel": 1}), (14, 4)]) == []


@pytest.mark.parametrize("after", [29, 31, 245])
def test_an_edge_that_ends_the_lag_leaves_no_l_cancel_to_miss(after: int) -> None:
    landing = (70, 4, {"l_cancel": 2})
    assert successes("l-cancel", [(65, 9), landing, (after, 4)]) == []
    assert successes("l-cancel", [(65, 9), landing, (14, 4), (after, 4)]) == [False]
    assert successes("l-cancel", [(65, 9), (70, 4, {"l_cancel": 1}), (after, 4)]) == [True]
    assert successes("l-cancel", [(65, 9), landing]) == [False]  # the game ends


def test_l_cancels_of_a_version_that_records_none_are_not_missed() -> None:
    table = game(L_CANCELS).with_columns(a_l_cancel=pl.lit(None, pl.UInt8))
    assert found("l-cancel", table) == []


@pytest.mark.parametrize(
    ("state", "technique"),
    [(199, "tech in place"), (200, "tech roll"), (201, "tech roll"), (183, "missed tech"), (191, "missed tech")],
)
def test_every_knockdown_is_teched_in_place_rolled_or_missed(state: int, technique: str) -> None:
    for name in ("tech in place", "tech roll", "missed tech"):
        assert successes(name, [(88, 20), (state, 26), (14, 5)]) == [name == technique]


def test_wall_techs_and_second_bounces_are_no_knockdowns() -> None:
    assert successes("missed tech", [(88, 20), (202, 26), (29, 5)]) == []
    again = [(88, 20), (183, 26), (184, 30), (185, 13), (183, 26), (186, 30)]
    assert successes("missed tech", again) == [True]


WAVEDASH = [(14, 5), (24, 4), (236, 2), (43, 10), (14, 5)]


def test_a_wavedash_is_an_air_dodge_right_out_of_a_knee_bend_into_the_ground() -> None:
    assert found("wavedash", game(WAVEDASH)) == [("r1", "a", 11, None)]
    assert successes("wavedash", [(24, 4), (43, 10)]) == [None]  # it lands on the dodge's first frame
    assert successes("wavedash", [(24, 4), (25, 10), (236, 3), (43, 10)]) == [None]
    assert successes("wavedash", [(24, 4), (25, 3), (236, 5), (43, 10)]) == [None]
    assert successes("waveland", WAVEDASH) == []


@pytest.mark.parametrize(
    "spans",
    [
        [(24, 4), (25, 10), (236, 4), (43, 10)],  # the knee bend is too long ago
        [(24, 4), (236, 2), (42, 4), (14, 3)],  # no special landing
        [(24, 4), (35, 2), (43, 10)],  # helpless, not an air dodge
        [(24, 4), (44, 2), (43, 10)],
    ],
)
def test_what_is_nearly_a_wavedash_is_none(spans: list[Span]) -> None:
    assert successes("wavedash", spans) == []


@pytest.mark.parametrize(
    ("y", "technique"),
    [(0.0, "wavedash"), (2.4, "wavedash"), (-2.4, "wavedash"), (12.0, "waveland"), (-12.0, "waveland")],
)
def test_a_wavedash_ends_on_the_height_of_its_knee_bend_or_it_lands_on_a_platform(y: float, technique: str) -> None:
    where = {"y": 5.0 + y}
    spans = [(14, 3), (24, 4, {"y": [9.0, 9.0, 9.0, 5.0]}), (25, 5, where), (236, 3, where), (43, 10, where)]
    for name in ("wavedash", "waveland"):
        assert successes(name, spans) == [None] * (name == technique)


def test_a_waveland_is_an_air_dodge_into_the_ground_without_a_knee_bend_within_13_frames() -> None:
    assert found("waveland", game([(29, 20), (236, 13), (43, 10), (14, 3)])) == [("r1", "a", 33, None)]
    assert successes("waveland", [(27, 20), (43, 10)]) == [None]
    assert successes("waveland", [(29, 20), (236, 14), (43, 10)]) == []
    assert successes("waveland", [(29, 20), (236, 6), (42, 10)]) == []
    assert successes("waveland", [(352, 20), (43, 10)]) == []


DASH_DANCE = [(14, 5), (20, 6), (18, 1), (20, 6), (18, 1), (20, 9), (21, 4)]


def test_every_change_of_direction_between_dashes_is_a_dash_dance() -> None:
    assert found("dash-dance", game(DASH_DANCE)) == [("r1", "a", 12, None), ("r1", "a", 19, None)]


@pytest.mark.parametrize(
    "spans", [[(20, 6), (18, 2), (20, 6)], [(21, 6), (18, 1), (20, 6)], [(20, 6), (14, 1), (20, 6)], [(20, 6), (18, 1)]]
)
def test_what_is_nearly_a_dash_dance_is_none(spans: list[Span]) -> None:
    assert successes("dash-dance", spans) == []


LEDGEDASH = [(252, 7), (253, 8), (29, 2), (27, 6), (236, 3), (43, 10), (14, 5)]


def test_a_ledgedash_lands_out_of_an_air_dodge_soon_after_letting_the_ledge_go() -> None:
    assert found("ledgedash", game(LEDGEDASH)) == [("r1", "a", 7, True)]
    told = find_events(game(LEDGEDASH).lazy()).filter(technique="ledgedash")
    assert told["value"].to_list() == [11.0]
    assert successes("ledgedash", [(253, 8), (29, 2), (27, 35), (236, 3), (43, 10)]) == [True]


@pytest.mark.parametrize(
    "spans",
    [
        [(253, 8), (29, 2), (27, 36), (236, 3), (43, 10)],  # one frame too slow
        [(253, 8), (29, 2), (27, 6), (66, 5), (236, 3), (43, 10)],  # an aerial on the way
        [(253, 8), (29, 2), (27, 6), (88, 5), (43, 10)],  # hit on the way
        [(253, 8), (29, 2), (27, 6), (42, 4)],
        [(253, 8), (29, 2), (27, 6), (252, 7)],
    ],
)
def test_letting_go_without_landing_so_is_a_try(spans: list[Span]) -> None:
    assert successes("ledgedash", spans)[0] is False


@pytest.mark.parametrize("state", [254, 256, 258, 260, 88])
def test_leaving_the_ledge_otherwise_is_no_try(state: int) -> None:
    assert successes("ledgedash", [(253, 8), (state, 20), (236, 3), (43, 10)]) == []


def djc(character: int, frames: int, before: int = 27) -> list[bool | None]:
    who = {"character": character}
    return successes("djc aerial", [(25, 9, who), (before, frames, who), (66, 20, who), (29, 4, who)])


def test_a_djc_aerial_comes_early_out_of_the_double_jump_of_those_who_can() -> None:
    assert djc(MEWTWO, 20) == djc(PEACH, 5) == djc(MEWTWO, 5, before=28) == [True]
    assert djc(MEWTWO, 21) == djc(MEWTWO, 5, before=25) == [False]
    assert djc(FALCO, 5) == []


TELEPORT: list[Span] = [(29, 9, M), (356, 7, M), (357, 10, M), (358, 9, M), (43, 6, M), (29, 4, M)]


def test_a_teleport_is_counted_once_in_the_air_and_on_the_ground() -> None:
    assert found("teleport", game(TELEPORT)) == [("r1", "a", 9, None)]
    changes_over = [(14, 9, M), (353, 7, M), (354, 4, M), (357, 6, M), (358, 9, M), (35, 6, M)]
    assert successes("teleport", changes_over) == [None]
    assert successes("teleport", [(29, 9), (356, 7), (357, 10), (358, 9), (35, 6)]) == []  # Falco's own 356


def test_a_teleport_is_cancelled_by_sliding_off_an_edge_into_a_fall() -> None:
    assert found("teleport ledge cancel", game(TELEPORT)) == [("r1", "a", 35, True)]
    assert successes("teleport ledge cancel", [(353, 7, M), (354, 9, M), (355, 3, M), (29, 9, M)]) == [True]


@pytest.mark.parametrize(
    ("spans", "tries"),
    [
        ([(357, 9, M), (358, 9, M), (43, 20, M), (14, 9, M)], [False]),
        ([(357, 9, M), (358, 9, M), (43, 20, M), (35, 9, M)], [False]),
        ([(354, 9, M), (355, 9, M), (14, 20, M), (29, 9, M)], [False]),
        ([(354, 9, M), (355, 9, M), (358, 3, M), (35, 9, M)], []),
        ([(357, 9, M), (358, 9, M), (35, 9, M), (43, 9, M), (29, 9, M)], []),
        ([(24, 4, M), (236, 3, M), (43, 9, M), (29, 9, M)], []),
    ],
)
def test_other_ends_of_a_teleport_are_no_ledge_cancels(spans: list[Span], tries: list[bool]) -> None:
    assert successes("teleport ledge cancel", spans) == tries


def test_a_shadow_ball_is_one_use_however_it_changes_and_is_let_fly_kept_or_lost() -> None:
    fired: list[Span] = [(14, 5, M), (341, 9, M), (342, 30, M), (347, 12, M), (350, 20, M), (29, 9, M)]
    assert found("shadow ball", game(fired)) == [("r1", "a", 5, True)]
    assert find_events(game(fired).lazy()).filter(technique="shadow ball")["value"].to_list() == [42.0]
    assert successes("shadow ball", [(341, 9, M), (342, 30, M), (344, 5, M), (14, 9, M)]) == [False]
    assert successes("shadow ball", [(341, 9, M), (342, 30, M), (88, 5, M), (345, 0, M)]) == [False]
    assert successes("shadow ball", [(341, 9, M), (345, 9, M), (14, 3, M), (341, 9, M), (88, 9, M)]) == [True, False]
    assert successes("shadow ball", [(341, 9), (342, 30), (345, 5)]) == []


SEQUENCES: dict[str, Sequence[Span]] = {
    "wavedash": WAVEDASH[1:4],
    "waveland": [(236, 13), (43, 10)],
    "dash-dance": [(20, 6), (18, 1), (20, 6)],
    "ledgedash": LEDGEDASH[1:6],
    "djc aerial": [(27, 5, M), (66, 9, M)],
    "teleport ledge cancel": [(358, 9, M), (43, 6, M), (29, 4, M)],
}


@pytest.mark.parametrize("technique", SEQUENCES)
def test_no_technique_reaches_across_replays_or_from_one_player_to_the_other(technique: str) -> None:
    spans = SEQUENCES[technique]
    assert successes(technique, spans)[0] in (True, None)
    for cut in range(1, len(spans)):
        halves = game(spans[:cut]), game(spans[cut:], replay="r2")
        crossed = game(spans[:cut], [(14, sum(span[1] for span in spans[:cut])), *spans[cut:]])
        for table in (halves, (crossed,)):
            assert not [row for row in found(technique, *table) if row[3] is not False], (cut, table)


def frame_by_frame(states: list[int], heights: list[float]) -> Counter[str]:
    """Wavedashes, wavelands and dash-dances of one player, told by a loop over frames as slippi-js has it."""
    found: Counter[str] = Counter()
    for number in range(2, len(states)):
        before, state = states[number - 1 : number + 1]
        found["dash-dance"] += states[number - 2 : number + 1] == [20, 18, 20]
        if state == 43 != before and (before == 236 or 24 <= before <= 34):
            recent = range(max(0, number - 14), number)
            bends = [heights[frame] for frame in recent if states[frame] == 24]
            if {states[frame] for frame in recent} != {236}:
                found["wavedash" if bends and abs(bends[-1] - heights[number]) < 3 else "waveland"] += 1
    return found


def test_spans_tell_the_movement_that_a_loop_over_frames_tells() -> None:
    rng = np.random.default_rng(0)
    states, lengths = (
        rng.choice([18, 18, 18, 20, 20, 20, 24, 27, 35, 43, 236], 4000),
        rng.choice([1, 1, 1, 2, 4, 6, 7, 14], 4000),
    )
    heights = rng.choice([0.0, 2.0, 4.0], 4000)
    spans: list[Span] = [
        (int(state), int(length), {"y": y}) for state, length, y in zip(states, lengths, heights, strict=True)
    ]
    table = game([part for span in spans for part in ((span, (14, 8)) if span[0] == 43 else (span,))])
    expected = frame_by_frame(table["a_action_state"].to_list(), table["a_y"].to_list())
    assert min(expected.values()) > 9
    assert {technique: len(found(technique, table)) for technique in expected} == expected


def test_both_players_are_told_apart() -> None:
    mixed = found("wavedash", game(WAVEDASH, [(14, 3), *WAVEDASH]))
    assert mixed == [("r1", "a", 11, None), ("r1", "b", 14, None)]


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_every_finder_names_what_it_finds_and_says_how(technique: str) -> None:
    assert TECHNIQUES[technique].__doc__
    everything = game(
        [*WAVEDASH, *L_CANCELS, *DASH_DANCE, *LEDGEDASH, (88, 5), (199, 20), *TELEPORT, (66, 9, M), (341, 5, M)]
    )
    told = TECHNIQUES[technique](find_games(everything.lazy())).collect()
    assert told.columns == ["player", "frame", "technique", "success", "value"]
    assert set(told["technique"]) <= {technique}
