from typing import Any

import numpy as np
import polars as pl
import pytest

from dataset.schema import FIRST_FRAME, SIDES
from dataset.stats.techniques.conversions import CONTROL, find_conversions
from dataset.stats.techniques.spans import HURT, find_spans
from dataset.stats.techniques.table import find_events
from tests.dataset.games import Span, game

P: dict[str, Any] = {"percent": 12.0}
DEAD: list[Span] = [(0, 60, {"stocks": 3}), (12, 60, {"stocks": 3})]
HIT_BY_A = {"percent": 12.0, "last_hit_by": 0}


def conversions(*games: pl.DataFrame) -> pl.DataFrame:
    told = find_conversions(find_spans(pl.concat(games).lazy()).lazy())
    return told.with_columns(pl.col("start", "end") - FIRST_FRAME).sort("start").collect()


def told(technique: str, table: pl.DataFrame) -> list[tuple[str, int, bool | None]]:
    rows = find_events(table.lazy()).filter(pl.col("technique") == technique).sort("frame", "side")
    return rows.select("side", pl.col("frame") - FIRST_FRAME, "success").rows()


def hit(*spans: Span) -> pl.DataFrame:
    """b is hit for 12 percent on frame 10, for 20 frames, and then …"""
    return game([], [(14, 10), (88, 20, P), *spans])


def test_a_conversion_tells_what_its_opening_led_to() -> None:
    second: Span = (88, 10, {"percent": [12.0, *[20.0] * 9]})
    victim: list[Span] = [(14, 10), (88, 20, P), (29, 30, P), second, (14, 90, {"percent": 20.0})]
    table = game([(14, 5), (50, 30), (14, 10), (66, 30)], victim)
    columns = ["player", "victim", "start", "end", "damage", "moves", "percent", "is_kill"]
    assert conversions(table).select(columns).rows() == [(2, 3, 10, 70 + 45, 20.0, 2, 20.0, False)]
    events = find_events(table.lazy()).filter(pl.col("technique").is_in(["opening", "conversion", "kill"]))
    assert sorted(events.select("side", "technique", "success", "value").rows()) == [
        ("a", "conversion", True, None),
        ("a", "kill", False, None),
        ("a", "opening", None, 20.0),
    ]


def test_a_single_hit_is_an_opening_but_no_successful_conversion() -> None:
    assert told("conversion", hit((14, 90, P))) == [("a", 10, False)]


@pytest.mark.parametrize(
    ("attack", "moves"),
    [
        ([(69, 60)], 1),  # a drill
        ([(69, 15), (68, 45)], 2),
        ([(44, 60, {"action_frame": [*range(15), *range(45)]})], 2),  # the jab begins again
        ([(44, 60, {"action_frame": [None] * 60})], 1),  # a version that does not tell how old an action is
    ],
)
def test_hits_of_one_action_are_one_move(attack: list[Span], moves: int) -> None:
    hits: list[Span] = [(14, 10), (88, 10, {"percent": 3.0}), (88, 10, {"percent": 6.0}), (14, 60, {"percent": 6.0})]
    table = game(attack, hits)
    assert conversions(table)["moves"].to_list() == [moves]
    assert told("conversion", table) == [("a", 10, moves > 1)]


def test_a_hit_by_what_an_attack_of_its_first_frame_left_behind_is_another_move_than_that_attack() -> None:
    hits: list[Span] = [(14, 10), (88, 10, {"percent": 3.0}), (88, 10, {"percent": 6.0})]
    assert conversions(game([(341, 10), (50, 60)], hits))["moves"].to_list() == [2]


def test_a_percent_that_is_no_number_spoils_no_sum() -> None:
    broken: Span = (88, 20, {"percent": [12.0] * 5 + [float("nan"), float("inf")] + [15.0] * 13})
    tables = [game([], [(14, 10), broken, (14, 60, {"percent": 15.0})], replay=name) for name in ("r1", "r2")]
    assert conversions(*tables)["damage"].to_list() == [12.0, 12.0]


def test_the_magnifying_glass_neither_hits_nor_deals_damage() -> None:
    far = {"x": 190.0, "percent": [12.0] * 9 + [13.0]}
    table = hit((38, 10, far), (29, 20, {"x": 190.0, "percent": 13.0}))
    assert conversions(table).select("damage", "moves").rows() == [(12.0, 1)]
    near = hit((38, 10, far | {"x": 90.0}), (29, 20, {"x": 90.0, "percent": 13.0}))
    assert conversions(near).select("damage", "moves").rows() == [(13.0, 1)]


@pytest.mark.parametrize(("frames", "count"), [(45, 1), (46, 2)])
def test_a_conversion_lapses_once_its_victim_was_in_control_for_more_than_45_frames(frames: int, count: int) -> None:
    assert len(conversions(hit((14, frames, P), (88, 10, P)))) == count


def test_off_stage_or_shielding_nobody_is_in_control() -> None:
    assert len(conversions(hit((29, 300, P), (88, 10, P)))) == 1
    assert len(conversions(hit((179, 300, P), (88, 10, P)))) == 1


def test_control_is_counted_from_the_first_frame_of_it() -> None:
    assert len(conversions(hit((14, 1, P), (29, 44, P), (88, 10, P)))) == 1
    assert len(conversions(hit((14, 1, P), (29, 45, P), (88, 10, P)))) == 2


@pytest.mark.parametrize("state", [38, 75, 91, 185, 193, 223, 232, 266, 327])
def test_tumbling_and_being_held_is_being_hurt(state: int) -> None:
    assert len(conversions(game([], [(14, 10), (state, 20)]))) == 1


@pytest.mark.parametrize("state", [37, 39, 74, 92, 178, 222, 233, 293, 305])
def test_other_states_are_not(state: int) -> None:
    assert len(conversions(game([], [(14, 10), (state, 20)]))) == 0


def test_a_stock_lost_in_a_conversion_is_a_kill_and_one_lost_after_it_is_none() -> None:
    killed, late = hit((29, 50, P), *DEAD), hit((14, 46, P), *DEAD)
    assert told("kill", killed) == [("a", 10, True)]
    assert find_events(killed.lazy()).filter(technique="kill")["value"].to_list() == [12.0]
    assert told("kill", late) == [("a", 10, False)]
    assert told("kill", hit((14, 45, P), *DEAD)) == [("a", 10, True)]


def test_a_kill_tells_the_percent_at_death_with_what_came_after_the_last_hit() -> None:
    table = hit((29, 50, {"percent": 12.0}), (29, 10, {"percent": [13.0] * 5 + [15.0] * 5}), *DEAD)
    kills = find_events(table.lazy()).filter(technique="kill")
    assert kills["value"].to_list() == [15.0]


def test_a_stock_is_a_self_destruct_if_the_game_credits_nobody_with_it_whatever_conversion_runs() -> None:
    credited: Span = (29, 50, HIT_BY_A)
    assert told("self-destruct", hit(credited, *DEAD)) == [("b", 80, False)]
    assert told("self-destruct", hit(credited, (14, 60, HIT_BY_A), *DEAD)) == [("b", 140, False)]
    assert told("self-destruct", hit((29, 50, P), *DEAD)) == [("b", 80, True)]


def test_a_star_ko_costs_its_stock_long_after_the_player_is_gone() -> None:
    falling: Span = (4, 90, {"percent": 12.0, "stocks": [4] * 60 + [3] * 30})
    table = hit((29, 50, P), falling, (12, 60, {"stocks": 3}))
    assert told("self-destruct", table) == [("b", 140, True)]
    assert conversions(table).select("end", "is_kill").rows() == [(140, True)]


def test_a_death_that_costs_no_stock_is_none() -> None:
    sudden = hit((29, 50, P), (0, 60))
    assert told("self-destruct", sudden) == []
    assert told("kill", sudden) == [("a", 10, False)]


def test_the_next_hit_after_a_death_opens_anew() -> None:
    assert told("opening", hit(*DEAD, (29, 30), *DEAD, (88, 5))) == [("a", 10, None), ("a", 300, None)]


def test_a_game_that_ends_in_a_conversion_neither_kills_nor_opens_the_next() -> None:
    ended = [game([], [(14, 10), (88, 20)]), game([], [(88, 5), *DEAD], replay="r2")]
    assert conversions(*ended).select("start", "is_kill").rows() == [(0, True), (10, False)]
    assert conversions(game([], [(14, 10), (88, 20)]), game([], [*DEAD], replay="r2"))["is_kill"].to_list() == [False]


def test_an_opening_out_of_neutral_is_won_by_one_and_lost_by_the_other() -> None:
    assert told("neutral win", hit((14, 90, P))) == [("a", 10, True), ("b", 10, False)]
    assert told("counter-attack", hit((14, 90, P))) == told("trade", hit((14, 90, P))) == []


def test_an_opening_in_the_opponents_conversion_is_a_counter_attack() -> None:
    back = game([(14, 40), (88, 10), (14, 90)], [(14, 10), (88, 20), (29, 5), (14, 90)])
    assert told("counter-attack", game([(14, 79), (88, 10)], [(14, 10), (88, 20), (29, 5), (14, 90)])) == [
        ("b", 79, None)
    ]
    assert told("counter-attack", game([(14, 80), (88, 10)], [(14, 10), (88, 20), (29, 5), (14, 90)])) == []
    assert told("counter-attack", back) == [("b", 40, None)]
    assert told("neutral win", back) == [("a", 10, True), ("b", 10, False)]


def test_openings_on_one_frame_are_a_trade() -> None:
    both = game([(14, 10), (88, 20)], [(14, 10), (88, 20)])
    assert told("trade", both) == [("a", 10, None), ("b", 10, None)]
    assert told("neutral win", both) == told("counter-attack", both) == []


def approach(
    *, moved: float = 20.0, gap: float = 40.0, frames: int = 30, state: int = 50, then: int = 30, start: float = 0.0
) -> list[tuple[str, int, bool | None]]:
    """a stands for 40 frames, moves for 30 and attacks; b is hit ``then`` frames later."""
    end = start + moved
    path = [start + moved * number / frames for number in range(1, frames + 1)]
    mine: list[Span] = [
        (14, 40, {"x": start}),
        (20, frames - 1, {"x": path[:-1]}),
        (state, 40, {"x": end}),
        (14, 40, {"x": end}),
    ]
    attack = 40 + frames - 1
    where = {"x": end + gap}
    return told("approach", game(mine, [(14, attack + then, where), (88, 20, where), (14, 60, where)]))


@pytest.mark.parametrize("state", [44, 50, 69, 212, 214])
def test_an_approach_closes_in_and_attacks(state: int) -> None:
    assert approach(state=state) == [("a", 69, True)]


def test_an_approach_fails_if_the_opponent_is_not_opened_within_half_a_second() -> None:
    assert approach(then=31) == [("a", 69, False)]


def test_who_stays_away_or_attacks_from_afar_does_not_approach() -> None:
    assert approach(moved=19.0) == approach(gap=41.0) == approach(state=235) == []
    assert approach(moved=-20.0, gap=30.0) == []  # away from the opponent
    assert approach(moved=-20.0, gap=-30.0) != []


def test_an_attack_within_a_conversion_is_no_approach() -> None:
    dash = (20, 40, {"x": [float(number) for number in range(40)]})
    attack, where = (50, 20, {"x": 40.0}), {"x": 70.0}
    mine: list[Span] = [(14, 40), dash, attack]
    assert told("approach", game(mine, [(14, 100, where)])) == [("a", 80, False)]
    assert told("approach", game(mine, [(14, 20, where), (88, 50, where), (14, 30, where)])) == []
    hurt: list[Span] = [(14, 16), (88, 20), (14, 4), dash, attack]
    assert told("approach", game(hurt, [(14, 100, where)])) == []
    past: list[Span] = [(14, 5), (88, 30), (14, 5), dash, attack]
    assert told("approach", game(past, [(14, 100, where)])) == [("a", 80, False)]


def frame_by_frame(table: pl.DataFrame, side: str, other: str) -> list[tuple[int, int | None, float, int, bool]]:
    """Conversions against one side of one game, told the way slippi-js does, by a loop over its frames."""
    hurt, control = ({s for first, last in ranges for s in range(first, last + 1)} for ranges in (HURT, CONTROL))
    rows: list[list[Any]] = []
    is_open, counter, percent_before, stocks_before = False, 0, table[f"{side}_percent"][0], 99
    last_attack, attack_before, age_before = None, 14, 0.0
    columns = (
        f"{side}_action_state",
        f"{side}_percent",
        f"{side}_stocks",
        f"{other}_action_state",
        f"{other}_action_frame",
    )
    for frame, state, percent, stocks, attack, age in table.select("frame", *columns).iter_rows():
        if attack != last_attack or age < age_before:
            last_attack = None
        if state in hurt:
            if not is_open:
                rows.append([frame, None, percent_before, 0.0, 0, False])
                is_open = True
            if percent > percent_before:
                rows[-1][4] += last_attack is None
                last_attack = attack_before
            rows[-1][3], counter = percent, 0
        elif is_open and (counter or state in control):
            counter += 1
        died = stocks < stocks_before
        if is_open and (died or counter > 45):
            rows[-1][1], rows[-1][5] = frame, died
            is_open, counter = False, 0
        percent_before, stocks_before, attack_before, age_before = percent, stocks, attack, age
    return [(start, end, after - first, moves, is_kill) for start, end, first, after, moves, is_kill in rows]


def random_game(seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    states = (14, 20, 24, 29, 44, 45, 50, 66, 88, 90, 38, 185, 212, 223, 240, 293, 0, 4, 12)
    sides: list[list[Span]] = []
    for _ in SIDES:
        percents = np.cumsum(rng.integers(0, 9, 150)).astype(float)
        sides.append([])
        stocks = 99
        for percent in percents:
            state, length = int(rng.choice(states)), int(rng.integers(1, 60))
            left = [stocks] * length
            if state <= 10:  # at once or later, as stars are born
                stocks -= 1
                left[int(rng.integers(length)) :] = []
                left += [stocks] * (length - len(left))
            sides[-1].append((state, length, {"percent": percent, "stocks": left}))
    return game(sides[0], sides[1], replay=f"r{seed}")


def test_spans_tell_the_conversions_that_a_loop_over_frames_tells() -> None:
    games = [random_game(seed) for seed in range(6)]
    found = find_conversions(find_spans(pl.concat(games).lazy()).lazy()).collect()
    number = 0
    for player, (table, side) in enumerate(((table, side) for table in games for side in SIDES), start=2):
        mine = found.filter(victim=player).sort("start")
        expected = frame_by_frame(table, side, SIDES[1 - SIDES.index(side)])
        last = int(table["frame"].max())  # type: ignore[arg-type]
        rows = [
            (s, e if e is not None and e <= last else None, *rest)
            for s, e, *rest in mine.select("start", "end", "damage", "moves", "is_kill").rows()
        ]
        assert rows == expected
        number += len(expected)
    assert number > 200
