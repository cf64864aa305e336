from typing import Any

import numpy as np
import pytest

from dataset.errors import ConfigError
from train.measure.intervals import Difference, Luck, bootstrap, differences, paired_difference


def per_replay(ids: list[str], nll: list[float], frames: list[int]) -> dict[str, list[object]]:
    some: list[object] = [*[0.5] * len(ids)]
    return {
        "ids": [*ids],
        "frames": [*frames],
        "nll": [*nll],
        "accuracy": some,
        "change_frames": [*frames],
        "change_nll": [*nll],
        "change_accuracy": some,
        "stick_frames": [0] * len(ids),
        "stick_accuracy": [0.0] * len(ids),
    }


IDS, NLL, FRAMES = ["a", "b", "c", "d"], [1.0, 2.0, 4.0, 3.0], [100, 300, 100, 50]


def test_an_interval_is_that_of_whole_replays_drawn_with_replacement() -> None:
    found = bootstrap(per_replay(IDS, NLL, FRAMES))["nll"]
    random = np.random.default_rng(1)
    draws = []
    for _ in range(4_000):
        rows = random.integers(0, 4, 4)
        draws.append(sum(NLL[r] * FRAMES[r] for r in rows) / sum(FRAMES[r] for r in rows))
    assert found == pytest.approx(tuple(np.percentile(draws, (2.5, 97.5))), abs=0.05)
    assert bootstrap(per_replay(IDS, NLL, FRAMES))["nll"] == found


def test_equal_replays_leave_no_doubt_and_one_replay_says_nothing() -> None:
    assert bootstrap(per_replay(IDS, NLL, FRAMES))["accuracy"] == (0.5, 0.5)
    assert bootstrap(per_replay(IDS, NLL, FRAMES))["stick_accuracy"] is None
    alone = per_replay(["a"], [1.0], [10])
    assert set(bootstrap(alone).values()) == {None}
    assert set(paired_difference(alone, alone).values()) == {None}


def test_a_difference_is_paired_so_hard_replays_cancel() -> None:
    ours = per_replay(IDS, NLL, FRAMES)
    theirs = per_replay(IDS[::-1], [nll + 0.1 for nll in NLL[::-1]], FRAMES[::-1])
    found = paired_difference(ours, theirs)["nll"]
    assert found == Difference(pytest.approx(-0.1), pytest.approx(-0.1), pytest.approx(-0.1))  # type: ignore[arg-type]
    assert found is not None
    assert found.is_real
    low, high = bootstrap(ours)["nll"] or (0.0, 0.0)
    assert high - low > 1.0


def test_a_difference_that_changes_sign_between_replays_is_not_real() -> None:
    ours, theirs = per_replay(IDS, NLL, [100] * 4), per_replay(IDS, [1.5, 1.5, 4.5, 2.5], [100] * 4)
    found = paired_difference(ours, theirs)["nll"]
    assert found is not None
    assert (found.value, found.is_real) == (0.0, False)


def test_runs_measured_on_different_replays_are_refused() -> None:
    with pytest.raises(ConfigError, match="on the same replays, found 3 that 4 and 4 share"):
        paired_difference(per_replay(IDS, NLL, FRAMES), per_replay(["a", "b", "c", "e"], NLL, FRAMES))


def test_the_luck_of_a_seed_is_pooled_over_the_variants_that_have_several() -> None:
    luck = Luck.pooled([[1.0, 1.2], [5.0], [2.0, 2.3, 2.6]])
    assert luck == Luck(pytest.approx(((0.02 + 0.18) / 3) ** 0.5), 3)  # type: ignore[arg-type]
    assert Luck.pooled([[1.0], [2.0]]) is None


def test_what_seeds_may_add_is_students_t_of_both_means() -> None:
    drawn = Luck(0.1, 3).draw((1, 4), 200_000, seed=0)
    error = 0.1 * (1 + 1 / 4) ** 0.5
    assert np.percentile(drawn, (2.5, 97.5)) == pytest.approx((-3.182 * error, 3.182 * error), rel=0.03)


def test_a_difference_no_larger_than_what_seeds_make_is_not_real() -> None:
    ours, theirs = per_replay(IDS, NLL, FRAMES), per_replay(IDS, [nll + 0.1 for nll in NLL], FRAMES)
    few, many = (Luck(deviation, 3).draw((2, 2), 2_000, seed=0) for deviation in (0.01, 0.1))
    found = [paired_difference(ours, theirs, luck={"nll": luck})["nll"] for luck in (few, many)]
    assert [one.is_real for one in found if one is not None] == [True, False]
    assert [one.value for one in found if one is not None] == [pytest.approx(-0.1)] * 2


def report(
    run: str, nll: list[float], *, ids: list[str] = IDS, codec: str = "axis17", character: str | None = "falco"
) -> dict[str, Any]:
    return {"run": run, "codec": codec, "character": character, "per_replay": per_replay(ids, nll, FRAMES)}


def test_every_later_run_is_set_against_the_first() -> None:
    better, worse = [nll - 0.1 for nll in NLL], [nll + 0.2 for nll in NLL]
    rows = differences([report("one", NLL), report("two", better), report("three", worse)])
    assert [(row["run"], row["than"], round(row["nll"]["value"], 6), row["nll"]["is_real"]) for row in rows] == [
        ("two", "one", -0.1, True),
        ("three", "one", 0.2, True),
    ]
    assert rows[0]["accuracy"] == {"value": 0.0, "low": 0.0, "high": 0.0, "is_real": False}
    assert rows[0]["stick_accuracy"] is None


def test_runs_of_other_codecs_players_or_replays_have_no_differences() -> None:
    others = [
        report("joint", NLL, codec="joint"),
        report("everyone", NLL, character=None),
        report("elsewhere", NLL, ids=["a", "b", "c", "e"]),
    ]
    assert differences([report("one", NLL), *others]) == []
