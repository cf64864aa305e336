from typing import Any

from train.measure.detailed.gather import judge_criteria


def part(held: dict[str, tuple[float, float]], rest: tuple[float, float]) -> dict[str, Any]:
    return {
        "presses": {"buttons": {name: {"held_true": true, "held_sampled": own} for name, (true, own) in held.items()}},
        "main_stick": {"rest_true": rest[0], "rest_sampled": rest[1]},
    }


def test_criteria_ask_for_stick_moves_press_rates_and_rest() -> None:
    given = part({"a": (0.02, 0.024), "b": (0.01, 0.0126), "z": (0.004, 0.0)}, (0.5, 0.45))
    own = part({"a": (0.02, 0.01), "b": (0.01, 0.01), "z": (0.004, 0.0)}, (0.5, 0.61))
    report = {"stick_accuracy": 0.3, "lookup": {"stick_accuracy": 0.12}, "detailed": {**given, "self_fed": own}}
    rows = judge_criteria(report)
    assert [(row["criterion"].split(",")[0], round(row["found"], 3), row["is_met"]) for row in rows] == [
        ("main stick right where it moves", 2.5, True),
        ("a held", 1.2, True),
        ("b held", 1.26, False),
        ("main stick at rest", -0.05, True),
        ("a held", 0.5, False),
        ("b held", 1.0, True),
        ("main stick at rest", 0.11, False),
    ]
    assert [row["given"] for row in rows] == ["the player's"] * 4 + ["its own"] * 3


def test_without_a_lookup_or_play_outs_their_criteria_are_left_out() -> None:
    given = part({"a": (0.02, 0.024)}, (0.5, 0.45))
    rows = judge_criteria({"stick_accuracy": 0.3, "lookup": None, "detailed": {**given, "self_fed": None}})
    assert len(rows) == 2
