"""Whether a policy does what an imitation should: moves the stick when players do, presses as often, and rests as much.

In: a report of ``exphil eval --detailed``. Out: a row a criterion with what is wanted, what was found and whether it is met. The
surprise: a policy may meet them all given the player's controllers and fail once it is fed its own; both are asked.
"""

from collections.abc import Iterator, Mapping
from typing import Any

TIMES_LOOKUP = 2.0
"""The main stick's accuracy where it moves, beside the look-up's."""

RATE_TOLERANCE, LEAST_RATE = 0.25, 0.005
"""A press rate may be off by this share of the players'; buttons held in fewer frames are not asked about."""

REST_TOLERANCE = 0.10
"""The share of frames with the main stick at rest may be off by this much."""


def judge_criteria(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows ``criterion``, ``given`` (whose controllers), ``wanted``, ``found``, ``is_met``; what cannot be asked is left out."""
    detailed = report["detailed"]
    rows = [*_stick(report), *_samples("the player's", detailed)]
    if detailed["self_fed"] is not None:
        rows += _samples("its own", detailed["self_fed"])
    return rows


def _stick(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if report["lookup"] is None:
        return
    times = report["stick_accuracy"] / max(report["lookup"]["stick_accuracy"], 1e-9)
    yield {
        "criterion": "main stick right where it moves, times the look-up's",
        "given": "the player's",
        "wanted": f"at least {TIMES_LOOKUP:g}",
        "found": times,
        "is_met": times >= TIMES_LOOKUP,
    }


def _samples(given: str, part: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, rates in part["presses"]["buttons"].items():
        if rates["held_true"] > LEAST_RATE:
            ratio = rates["held_sampled"] / rates["held_true"]
            yield {
                "criterion": f"{name} held, times the players'",
                "given": given,
                "wanted": f"{1 - RATE_TOLERANCE:g} to {1 + RATE_TOLERANCE:g}",
                "found": ratio,
                "is_met": abs(ratio - 1) <= RATE_TOLERANCE,
            }
    stick = part["main_stick"]
    gap = stick["rest_sampled"] - stick["rest_true"]
    yield {
        "criterion": "main stick at rest, less the players'",
        "given": given,
        "wanted": f"within {REST_TOLERANCE:g}",
        "found": gap,
        "is_met": abs(gap) <= REST_TOLERANCE,
    }
