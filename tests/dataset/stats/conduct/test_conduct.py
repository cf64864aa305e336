"""Conduct as figures: whose games count, and what tables say of techniques."""

import json
from dataclasses import asdict

import numpy as np

from dataset.stats.bootstrap import Bootstrap
from dataset.stats.conduct.conduct import Conduct, TechniqueCounts, conduct_lines, conduct_of, joined_counts, sums_of
from dataset.stats.conduct.tally import Tally

NEVER = np.zeros((3, 2, 2), np.int64)
OWN = np.array([[True, False], [True, False]])


def counts(count: int, tries: int, rated: int) -> TechniqueCounts:
    """Of side a in the first of two games."""
    found = NEVER.copy()
    found[:, 0, 0] = count, tries, rated
    return {"tech roll": found, "l-cancel": NEVER, "teleport": NEVER}


def conduct(techniques: TechniqueCounts, who: np.ndarray = OWN) -> Conduct:
    """Of two games of a minute each."""
    tally = Tally(2)
    tally.frames[:], tally.controlled[:] = 3684, 3600
    tally.presses[:, :, 0] = [[10, 20], [30, 40]]
    tally.longest_freeze[:] = [[60, 120], [90, 0]]
    sums = sums_of(tally, who, techniques)
    return conduct_of(sums, Bootstrap(sums, seed=0))


def test_where_both_players_are_meant_both_count() -> None:
    one, both = conduct({}), conduct({}, np.array([[True, True], [True, False]]))
    assert (one.presses_per_minute["a"], one.longest_freeze_s) == (20.0, 1.5)
    assert (both.presses_per_minute["a"], both.longest_freeze_s) == (20.0, 2.0)


def test_a_technique_has_its_tries_share_and_rate() -> None:
    found = conduct(counts(3, 4, 4)).techniques["tech roll"]
    assert found is not None
    assert (found.count, found.tries, found.share.value, found.per_minute.value) == (3, 4, 0.75, 1.5)
    only_counted = conduct(counts(3, 3, 0)).techniques["tech roll"]
    assert only_counted is not None
    assert only_counted.share.value is None


def test_l_cancels_are_null_where_no_landing_tells_and_other_techniques_are_zero() -> None:
    found = conduct(counts(3, 4, 4)).techniques
    assert found["l-cancel"] is None
    assert found["teleport"] is not None
    assert found["teleport"].count == 0


def test_tables_leave_out_what_nobody_tried_and_tell_none_from_not_told() -> None:
    cancels = counts(1, 2, 2)
    told = cancels | {"l-cancel": cancels["tech roll"]}
    lines = conduct_lines([conduct(counts(0, 0, 0)), conduct(told), conduct({})])
    assert "teleport" not in lines
    assert lines["tech roll"] == ["none", "50 % of 2", "not told here"]
    assert lines["l-cancel"] == ["not told here", "50 % of 2", "not told here"]
    assert lines["A per minute"] == ["20.0"] * 3


def test_conduct_comes_back_from_json() -> None:
    found = conduct(counts(3, 4, 4))
    assert Conduct.from_json(json.loads(json.dumps(asdict(found)))) == found


def test_counts_of_several_parts_are_those_of_all_their_games() -> None:
    parts = [{"tech": np.full((3, num_games, 2), num_games)} for num_games in (1, 2)]
    assert joined_counts(parts)["tech"][0].tolist() == [[1, 1], [2, 2], [2, 2]]
    assert joined_counts([]) == {}
