import math

import pytest
import torch

from dataset.errors import CheckpointError
from tests.train.measure.builders import COMPONENTS, CONTROLS, FRAMES, logits_of
from train.measure.metrics import Calibration, Metrics
from train.measure.scored_frames import Controls, score_frames
from train.policy.components import Components, Persistence

PERSISTENCE = Persistence(stay=(0.5, 0.8), changes=((0.25, 0.25, 0.5), (0.5, 0.5)))


def report_of(shares: list[list[float]], target: list[list[int]], previous: list[list[int]]) -> dict[str, object]:
    metrics = Metrics(COMPONENTS, CONTROLS, PERSISTENCE)
    half = len(target) // 2
    for rows in (slice(0, half), slice(half, None)):
        classes = torch.tensor(target)[rows].to(torch.uint8)
        held = torch.tensor(previous)[rows].to(torch.uint8)
        metrics.add(score_frames(logits_of(shares)[rows], classes.long(), classes, held, COMPONENTS, CONTROLS))
    return metrics.report()


@pytest.mark.parametrize("logit", [float("nan"), float("inf")])
def test_logits_that_give_no_probabilities_are_refused(logit: float) -> None:
    logits, classes = logits_of(FRAMES["shares"]).clone(), torch.tensor(FRAMES["target"])
    logits[-1, 0] = logit
    with pytest.raises(CheckpointError, match="frames without any"):
        score_frames(logits, classes, classes, classes, COMPONENTS, CONTROLS)


@pytest.fixture
def report() -> dict[str, object]:
    return report_of(FRAMES["shares"], FRAMES["target"], FRAMES["previous"])  # type: ignore[arg-type]


def test_likelihoods_are_averaged_over_all_frames_and_over_change_frames(report: dict[str, object]) -> None:
    main = [-math.log(p) for p in (0.7, 0.3, 0.8, 0.5)]
    button = [-math.log(p) for p in (0.9, 0.6, 0.3, 0.2)]
    assert report["frames"] == 4
    assert report["change_frames"] == 2
    assert report["nll_by_component"] == pytest.approx({"main_x": sum(main) / 4, "a": sum(button) / 4})
    assert report["nll"] == pytest.approx((sum(main) + sum(button)) / 4)
    assert report["change_nll"] == pytest.approx((sum(main[2:]) + sum(button[2:])) / 2)


def test_accuracies_count_the_likeliest_class_and_whole_controllers(report: dict[str, object]) -> None:
    assert report["accuracy_by_component"] == {"main_x": 0.75, "a": 0.5}
    assert report["top3_by_component"] == {"main_x": 1.0, "a": 1.0}
    assert report["change_accuracy_by_component"] == {"main_x": 1.0, "a": 0.0}
    assert report["accuracy_by_control"] == {"main_x": 0.75, "a": 0.5}
    assert report["exact"] == 0.25
    assert report["change_exact"] == 0.0
    # main_x weighs 0.2; the one button has all that the absent components leave: 1 - 0.7
    assert report["accuracy"] == pytest.approx(0.2 * 0.75 + 0.3 * 0.5)


def test_persistence_stands_beside_every_number(report: dict[str, object]) -> None:
    persistence = report["persistence"]
    assert isinstance(persistence, dict)
    assert persistence["accuracy_by_component"] == {"main_x": 0.75, "a": 0.75}
    assert persistence["exact"] == 0.5
    assert persistence["change_exact"] == 0.0
    main = [-math.log(p) for p in (0.5, 0.5, 0.5 * 0.5 / 0.75, 0.5)]
    button = [-math.log(p) for p in (0.8, 0.8, 0.8, 0.2)]
    assert report["persistence_nll"] == pytest.approx((sum(main) + sum(button)) / 4)
    assert persistence["change_nll"] == pytest.approx((sum(main[2:]) + sum(button[2:])) / 2)


def test_buttons_have_precision_recall_and_press_rates(report: dict[str, object]) -> None:
    assert report["buttons"] == {
        "a": pytest.approx(
            {
                "precision": 0.5,  # called on frames 1 and 2, pressed on 1 and 3
                "recall": 0.5,
                "f1": 0.5,
                "press_true": 0.5,
                "press_predicted": (0.1 + 0.6 + 0.7 + 0.2) / 4,
            }
        )
    }


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    shares = [[0.9, 0.05, 0.05, 0.9, 0.1]] * 10
    wrong = report_of(shares, [[1, 1]] * 10, [[0, 0]] * 10)
    right = report_of(shares, [[0, 0]] * 10, [[0, 0]] * 10)
    mixed = report_of(shares, [[0, 0]] * 9 + [[1, 1]], [[0, 0]] * 10)
    assert wrong["ece"] == pytest.approx(0.9)
    assert right["ece"] == pytest.approx(0.1)
    assert mixed["ece"] == pytest.approx(0.0, abs=1e-6)


def test_diversity_counts_different_controllers_and_their_entropy(report: dict[str, object]) -> None:
    assert report["diversity"] == pytest.approx(
        {"distinct_true": 4, "entropy_true": math.log(4), "distinct_sampled": 4, "entropy_sampled": math.log(4)}
    )


def test_a_report_without_change_frames_has_zeros_there() -> None:
    still = report_of([[0.9, 0.05, 0.05, 0.9, 0.1]] * 2, [[0, 0]] * 2, [[0, 0]] * 2)
    assert (still["change_frames"], still["change_nll"], still["change_accuracy"]) == (0, 0.0, 0.0)


JOINED = Components(names=("both",), sizes=(4,), presses=((False, True, False, True),))
JOINED_CONTROLS = Controls(
    names=("main_x", "a"),
    owners=(0, 0),
    columns=(0,),
    values=torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]),
)


def test_controls_that_share_a_component_are_judged_one_by_one() -> None:
    metrics = Metrics(JOINED, JOINED_CONTROLS, Persistence(stay=(0.5,), changes=((0.25,) * 4,)))
    logits = logits_of([[0.1, 0.2, 0.3, 0.4], [0.6, 0.1, 0.2, 0.1]])  # likeliest: both, neither
    sampled, target, previous = torch.tensor([[3], [0]]), torch.tensor([[2], [1]]), torch.tensor([[3], [1]])
    metrics.add(score_frames(logits, sampled, target, previous, JOINED, JOINED_CONTROLS))
    report = metrics.report()
    assert report["exact"] == 0.0
    assert report["accuracy_by_component"] == {"both": 0.0}
    assert report["accuracy_by_control"] == {"main_x": 1.0, "a": 0.0}
    assert report["accuracy"] == pytest.approx(0.2)
    assert report["persistence"]["accuracy_by_control"] == {"main_x": 1.0, "a": 0.5}
    assert report["buttons"]["a"] == pytest.approx(
        {"precision": 0.0, "recall": 0.0, "f1": 0.0, "press_true": 0.5, "press_predicted": (0.6 + 0.2) / 2}
    )


def test_calibration_is_the_gap_between_what_is_said_and_what_comes_true_bin_by_bin() -> None:
    calibration = Calibration(("a", "b"))
    said = torch.tensor([[0.01, 0.9], [0.02, 0.9], [0.50, 0.9], [0.51, 0.9]])
    came = torch.tensor([[False, True], [True, True], [True, True], [True, False]])
    calibration.add(said[:1], came[:1])
    calibration.add(said[1:], came[1:])
    report = calibration.report()
    assert report["a"]["bins"] == [[2, pytest.approx(0.015), 0.5], [2, pytest.approx(0.505), 1.0]]
    assert report["a"]["ece"] == pytest.approx((2 * 0.485 + 2 * 0.495) / 4)
    assert report["b"] == {"ece": pytest.approx(0.15), "bins": [[4, pytest.approx(0.9), 0.75]]}
