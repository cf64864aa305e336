import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.melee.ids import character_from_name
from dataset.store.quality import QUALITY_SCHEMA, damage_taken, quality_of, self_destructs

MINUTE = 3600
FALCO = character_from_name("falco").internal
ROW = {
    **{"port_a": 1, "port_b": 3, "end_method": "game", "quitter": None},
    **{"frames_resimulated": 0, "frame_gaps": 0},
}


def fight(frames: int = 2 * MINUTE) -> dict[str, NDArray[np.generic]]:
    """Both press A every ten frames and hit every thirty for 1 %; b is out of stocks at the end."""
    columns: dict[str, NDArray[np.generic]] = {"frame": np.arange(frames, dtype=np.int32)}
    beat = np.arange(frames)
    for side in "ab":
        for name in ("main_x", "main_y", "c_x", "c_y"):
            columns[f"{side}_{name}"] = np.zeros(frames, np.int8)
        for name in ("trigger", "trigger_l", "trigger_r"):
            columns[f"{side}_{name}"] = np.zeros(frames, np.uint8)
        columns[f"{side}_character"] = np.full(frames, FALCO, np.uint8)
        columns[f"{side}_action_state"] = np.full(frames, 14, np.uint16)
        columns[f"{side}_x"] = columns[f"{side}_y"] = np.zeros(frames, np.float32)
        columns[f"{side}_buttons"] = np.where(beat % 10 == 5, 0x100, 0).astype(np.uint16)
        columns[f"{side}_percent"] = (beat // 30).astype(np.float32)
        columns[f"{side}_stocks"] = np.full(frames, 4, np.uint8)
        columns[f"{side}_last_hit_by"] = np.full(frames, 2 if side == "a" else 0, np.uint8)
    columns["b_stocks"][-1] = 0
    return columns


def test_a_whole_game_of_active_players_scores_one_and_tells_its_parts() -> None:
    found = quality_of(fight(), ROW)
    assert found.keys() == set(QUALITY_SCHEMA.names)
    assert found == pytest.approx(
        {
            **{"ending": "stocks", "is_handwarmer": False, "resimulated_share": 0, "gap_share": 0},
            **{"idle_share_a": 0, "idle_share_b": 0, "inputs_per_minute_a": 360, "inputs_per_minute_b": 360},
            **{"damage_per_minute_a": 119.5, "damage_per_minute_b": 119.5, "sds_a": 0, "sds_b": 0},
            **{"quality_a": 1, "quality_b": 1},
        }
    )


def test_two_seconds_of_rest_are_idle_and_less_is_not() -> None:
    columns = fight()
    columns["a_buttons"][:] = 0
    columns["a_main_x"] = np.repeat(np.arange(len(columns["frame"]) // 120), 120).astype(np.int8) % 2
    columns["b_buttons"][:] = 0
    columns["b_main_x"] = np.repeat(np.arange(len(columns["frame"]) // 75), 75).astype(np.int8) % 2
    found = quality_of(columns, ROW)
    assert (found["idle_share_a"], found["idle_share_b"]) == (1.0, 0.0)
    assert (found["inputs_per_minute_a"], found["quality_a"]) == (0.0, 0.0)


def test_frames_before_the_players_can_act_are_no_rest() -> None:
    columns = fight()
    columns["frame"] = columns["frame"] - 1000
    columns["a_buttons"][:1000] = 0
    assert quality_of(columns, ROW)["idle_share_a"] == 0.0


def test_a_stick_counts_when_it_comes_to_another_direction() -> None:
    columns = fight(MINUTE)
    columns["a_buttons"][:] = 0
    columns["a_main_x"][10:15] = [23, 24, 80, -24, 0]  # too little, right, still right, left, back
    columns["a_c_y"][20:22] = [80, 80]
    assert quality_of(columns, ROW)["inputs_per_minute_a"] == 3.0


def test_both_triggers_count_each_time_they_are_pulled_and_start_never_does() -> None:
    columns = fight(MINUTE)
    columns["a_buttons"][:] = np.where(np.arange(MINUTE) % 2, 0x1000, 0)
    columns["a_trigger_l"][10:15] = [41, 42, 140, 41, 43]
    columns["a_trigger_r"][12] = 140
    assert quality_of(columns, ROW)["inputs_per_minute_a"] == 3.0
    del columns["a_trigger_r"]  # an old version
    assert quality_of(columns, ROW)["inputs_per_minute_a"] == 2.0


def test_rates_are_per_minute_of_the_frames_on_which_the_game_reads_controllers() -> None:
    columns = fight(MINUTE + 84)
    columns["frame"] = columns["frame"] - 123
    columns["a_buttons"][:] = 0
    columns["a_buttons"][[50, 84, 100]] = 0x100  # too early, at once, later
    columns["b_percent"][:] = np.where(np.arange(MINUTE + 84) < 2000, 0, 30)
    found = quality_of(columns, ROW)
    assert (found["inputs_per_minute_a"], found["damage_per_minute_a"]) == (2.0, 30.0)


def test_damage_is_what_the_opponent_dealt() -> None:
    columns = fight(MINUTE)
    columns["a_percent"][:] = 0
    columns["a_percent"][100:] = 10
    columns["a_percent"][200:] = 11
    columns["a_x"] = np.where(np.arange(MINUTE) < 150, 0, 180).astype(np.float32)
    assert damage_taken(columns, "a") == 10.0  # without hitlag, as in old versions
    columns["a_hitlag"] = np.zeros(MINUTE, np.float32)
    assert damage_taken(columns, "a") == 10.0
    columns["a_hitlag"][200] = 3
    assert damage_taken(columns, "a") == 11.0


def test_a_stock_lost_is_a_self_destruct_if_the_game_credits_nobody() -> None:
    columns = fight()
    columns["a_stocks"] = np.array([4, 4, 3, 3, 2, 1], np.uint8)
    columns["a_last_hit_by"] = np.array([2, 2, 6, 6, 2, 6], np.uint8)
    assert self_destructs(columns, "a") == 1


def test_self_destructs_cost_their_share_of_the_stocks() -> None:
    columns = fight()
    columns["b_last_hit_by"][:] = 6
    found = quality_of(columns, ROW)
    assert (found["sds_b"], found["quality_b"], found["quality_a"]) == (1, 0.75, 1.0)


@pytest.mark.parametrize(
    ("frames", "row", "ending", "is_handwarmer", "score"),
    [
        (MINUTE, {"end_method": "nocontest", "quitter": "a"}, "quit", False, 0.8),
        (MINUTE - 1, {"end_method": "nocontest", "quitter": "a"}, "quit", True, 0),
        (MINUTE, {"end_method": "nocontest"}, "disconnect", False, 0.8),
        (MINUTE - 1, {"end_method": None}, "disconnect", True, 0),
        (MINUTE - 1, {"end_method": "time"}, "time", False, 1),
        (MINUTE - 1, {"end_method": "resolved"}, "decided", False, 1),
    ],
)
def test_how_a_game_ended_and_whether_it_was_meant(
    frames: int, row: dict[str, object], ending: str, is_handwarmer: bool, score: float
) -> None:
    columns = fight(frames)
    columns["b_stocks"][-1] = 4
    found = quality_of(columns, ROW | row)
    assert (found["ending"], found["is_handwarmer"], found["quality_a"]) == (ending, is_handwarmer, score)


def test_a_game_without_a_hit_is_a_handwarmer_however_it_ended() -> None:
    columns = fight()
    for side in "ab":
        columns[f"{side}_percent"][:] = 0
    found = quality_of(columns, ROW)
    assert (found["ending"], found["is_handwarmer"], found["quality_a"]) == ("stocks", True, 0)


def test_re_simulated_frames_and_gaps_lower_the_score_by_their_share() -> None:
    found = quality_of(fight(7200), ROW | {"frames_resimulated": 720, "frame_gaps": 1800})
    assert (found["resimulated_share"], found["gap_share"]) == (0.1, 0.2)
    assert found["quality_a"] == pytest.approx(0.72)
