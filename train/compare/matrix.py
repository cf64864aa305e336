"""The results matrix: a row for every variant, averaged over its seeds, and which differences between variants are real.

Rows keep two kinds of doubt apart: a *spread* is the standard deviation over seeds, an *interval* the bootstrap over replays of
the mean over seeds. A difference counts both, once any variant has two seeds. Values that were not measured are ``None``, and
one seed has no spread.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from train.compare.arena import net_stocks
from train.compare.measured import SPLITS, Measured
from train.measure.intervals import (
    DRAWS,
    SEED,
    WEIGHTS,
    Difference,
    Luck,
    PerReplayReport,
    bootstrap,
    paired_difference,
)

METRICS = ("nll", "accuracy", "change_accuracy", "change_nll", "change_exact", "exact", "ece")
"""Averaged over seeds for each split."""

SHARED = ("ids", *dict.fromkeys(WEIGHTS.values()))
"""Parts of a report by replay that are the same for all seeds."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One finished run."""

    label: str
    """The variant it is a seed of."""
    seed: int
    run: str
    measured: Measured


def build_rows(subjects: Sequence[Subject]) -> list[Row]:
    """One row per variant, in the order of their first runs."""
    return [_row(label, [one for one in subjects if one.label == label]) for label in labels(subjects)]


def labels(subjects: Sequence[Subject]) -> list[str]:
    """The variants, in order."""
    return list(dict.fromkeys(one.label for one in subjects))


def baseline_row(label: str, reports: Mapping[str, Mapping[str, Any]]) -> Row:
    """A baseline beside them: reports by split."""
    return {"label": label, **_metrics([reports]), "intervals": _intervals([reports])}


def find_split(rows: Sequence[Row]) -> str:
    """Where claims are made: test, or val where a row lacks it."""
    return "val" if any(row["test_nll"] is None for row in rows) else "test"


def find_differences(subjects: Sequence[Subject], split: str, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Every pair of variants, first minus second, each metric with the paired interval over replays and over seeds."""
    groups = {label: [one.measured for one in subjects if one.label == label] for label in labels(subjects)}
    per_replay = {label: _mean_by_replay(group, split) for label, group in groups.items()}
    luck = {name: find_luck(subjects, split, name) for name in WEIGHTS}
    found: list[dict[str, Any]] = []
    for first, second in combinations(per_replay, 2):
        ours, theirs = per_replay[first], per_replay[second]
        if ours is None or theirs is None:
            continue
        seeds = len(groups[first]), len(groups[second])
        drawn = {name: one.draw(seeds, DRAWS, SEED) for name, one in luck.items() if one is not None}
        differences = paired_difference(ours, theirs, luck=drawn)
        found += [_plain(first, second, name, difference) for name in metrics if (difference := differences[name])]
    return found


def find_luck(subjects: Sequence[Subject], split: str, metric: str) -> Luck | None:
    """How much a metric owes to the seed, out of all variants that have several; ``None`` where none has."""
    reports: list[tuple[str, Mapping[str, Any]]] = [(one.label, dict(one.measured)[split]) for one in subjects]
    values = [[report.get(metric) for name, report in reports if name == label] for label in labels(subjects)]
    return Luck.pooled([[value for value in group if value is not None] for group in values])


def _plain(first: str, second: str, metric: str, difference: Difference) -> dict[str, Any]:
    return {
        "first": first,
        "second": second,
        "metric": metric,
        "value": difference.value,
        "low": difference.low,
        "high": difference.high,
        "is_real": difference.is_real,
    }


def _row(label: str, seeds: Sequence[Subject]) -> Row:
    measured = [one.measured for one in seeds]
    records, curves = [one["record"] for one in measured], [one["curve"] for one in measured]
    ends = [curve[-1] for curve in curves]
    return {
        "label": label,
        "backbone": records[0]["config"]["policy"]["backbone"],
        "seeds": len(seeds),
        "runs": [one.run for one in seeds],
        "parameters": records[0]["parameters"],
        "train_replays": records[0]["data"]["train"]["replays"],
        "train_frames": records[0]["data"]["train"]["frames"],
        **_metrics(measured),
        "intervals": _intervals(measured),
        "epochs": _mean([end["epoch"] for end in ends]),
        "frames_trained": _mean([end["frames"] for end in ends]),
        "train_seconds": _mean([end["seconds"] for end in ends]),
        "cpu_seconds": _mean([end["cpu_seconds"] for end in ends]),
        "frames_per_second": _mean([end["frames"] / end["seconds"] for end in ends]),
        "step_ms_p50": _mean([one["latency"].get("step_ms_p50") for one in measured]),
        "step_ms_p99": _mean([one["latency"].get("step_ms_p99") for one in measured]),
        **net_stocks([one.run for one in seeds], [one["arena"] for one in measured]),
    }


def _metrics(measured: Sequence[Mapping[str, Any]]) -> Row:
    values: Row = {}
    for split in SPLITS:
        for metric in METRICS:
            found = [one[split].get(metric) for one in measured]
            values[f"{split}_{metric}"] = _mean(found)
            values[f"{split}_{metric}_spread"] = (
                statistics.stdev(found) if len(found) > 1 and None not in found else None
            )
    return values


def _intervals(measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    means = {split: _mean_by_replay(measured, split) for split in SPLITS}
    return {split: None if mean is None else bootstrap(mean) for split, mean in means.items()}


def _mean_by_replay(measured: Sequence[Mapping[str, Any]], split: str) -> PerReplayReport | None:
    """The mean over seeds of every metric of every replay; ``None`` where a seed was not measured."""
    parts = [one[split].get("per_replay") for one in measured]
    if None in parts:
        return None
    averaged = {
        name: [statistics.fmean(values) for values in zip(*(part[name] for part in parts), strict=True)]
        for name in WEIGHTS
    }
    return {name: parts[0][name] for name in SHARED} | averaged


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if len(known) == len(values) else None
