import numpy as np
import pytest
import torch

from train.measure.detailed.presses import Presses, match

TIMES = [
    ([3, 10, 20], [3, 11, 17], {0: 1, 1: 2, 3: 3}),
    ([5], [4, 5, 6], {0: 1, 1: 1, 3: 1}),  # pressing all the time gains nothing
    ([5, 6], [6, 7], {0: 1, 1: 2, 3: 2}),
    ([], [1, 2], {0: 0, 1: 0, 3: 0}),
]


@pytest.mark.parametrize(("true", "sampled", "pairs"), TIMES)
def test_each_press_is_matched_to_at_most_one_other(true: list[int], sampled: list[int], pairs: dict[int, int]) -> None:
    found = {k: match(np.array(true, np.int64), np.array(sampled, np.int64), k) for k in pairs}
    assert found == pairs
    assert {k: match(np.array(sampled, np.int64), np.array(true, np.int64), k) for k in pairs} == pairs


def test_matching_finds_as_many_pairs_as_there_can_be() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        true, sampled = (np.unique(random.integers(0, 20, 5)) for _ in range(2))
        assert match(true, sampled, 2) == most_pairs(true.tolist(), sampled.tolist(), 2)


def most_pairs(true: list[int], sampled: list[int], tolerance: int) -> int:
    """By trying everything."""
    if not true:
        return 0
    rest = most_pairs(true[1:], sampled, tolerance)
    for i, time in enumerate(sampled):
        if abs(time - true[0]) <= tolerance:
            rest = max(rest, 1 + most_pairs(true[1:], sampled[:i] + sampled[i + 1 :], tolerance))
    return rest


def bits(text: str) -> torch.Tensor:
    return torch.tensor([[letter == "x"] for letter in text])


def test_presses_and_releases_are_counted_across_batches_and_not_across_tracks() -> None:
    presses = Presses(("a",))
    #         the player: track 0, then track 1      the policy, on its own
    now, own_now = "..xx..xx", ".xx..x.."
    before, own_before = "...xx..x"[:8], "..xx..x."
    track, row = torch.tensor([0] * 6 + [1] * 2), torch.tensor([0, 1, 2, 3, 4, 5, 0, 1])
    for part in (slice(3, 8), slice(0, 3)):  # in any order
        given = [bits(text)[part] for text in (before, now, own_before, own_now)]
        presses.add(track[part], row[part], (given[0], given[1]), (given[2], given[3]))
    report = presses.report()
    a = report["buttons"]["a"]
    # presses: player at 0:2 and 1:0; policy at 0:1 and 0:5. releases: player at 0:4; policy at 0:3 and 1:0
    assert (a["held_true"], a["held_sampled"]) == (0.5, 0.375)
    assert (a["press"]["true"], a["press"]["sampled"]) == (2, 2)
    assert a["press"]["within"] == {
        "0": {"precision": 0.0, "recall": 0.0, "f1": 0.0},
        "1": {"precision": 0.5, "recall": 0.5, "f1": 0.5},
        "3": {"precision": 0.5, "recall": 0.5, "f1": 0.5},
    }
    assert (a["release"]["true"], a["release"]["sampled"]) == (1, 2)
    assert a["release"]["within"]["1"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)}
    assert report["all"]["press"] == a["press"]
