"""Which differences between measured runs are real: each against the first, paired by replay.

In: reports of ``train.measure.evaluate.evaluate_run``. Out: rows of plain values. The surprise: runs of different codecs have
none, since a likelihood, and even what counts as a change, is of the codec's own classes; nor have runs measured on other
players or replays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from train.measure.intervals import paired_difference

Report = Mapping[str, Any]

OTHER_DELAYS = (
    "The delays differ: a longer delay is a harder task, so a higher NLL is no worse policy; see persistence beside it."
)
OTHER_PLAYERS = (
    "The characters differ: runs are measured on different players' frames, so their numbers do not compare."
)


def differences(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """A row a later run: ``run``, ``than`` (the first), and for every metric its difference, interval and ``is_real``."""
    first, *others = reports
    return [
        {"run": other["run"], "than": first["run"], **_metrics(other, first)}
        for other in others
        if _what(other) == _what(first)
    ]


def _metrics(other: Report, first: Report) -> dict[str, Any]:
    found = paired_difference(other["per_replay"], first["per_replay"])
    return {name: None if one is None else {**asdict(one), "is_real": one.is_real} for name, one in found.items()}


def _what(report: Report) -> tuple[Any, ...]:
    """What must be the same for two likelihoods to compare."""
    return report["codec"], report["character"], sorted(report["per_replay"]["ids"])
