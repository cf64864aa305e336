"""How sure a measured number is, and whether two runs differ: bootstrap over replays (Efron 1979).

Frames of one replay resemble each other, so whole replays are drawn, with replacement. A difference is *paired*: both runs
get the same draws, so that easy and hard replays cancel. An interval covers the choice of replays; it covers the luck of a
training's seed only where ``Luck`` says how large that is.

Legend: R replays, D draws.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.errors import ConfigError

WEIGHTS = {
    "nll": "frames",
    "accuracy": "frames",
    "change_nll": "change_frames",
    "change_accuracy": "change_frames",
    "stick_accuracy": "stick_frames",
}
"""The metrics of a replay, and the number of frames that each is a mean over."""

DRAWS, SEED = 2_000, 20_011
PERCENTILES = (2.5, 97.5)

BLOCK = 250
"""Draws held in memory at a time."""

LEAST_REPLAYS = 2
"""With fewer there is no interval, because one replay says nothing about others."""

OTHER_DELAYS = (
    "The delays differ: a longer delay is a harder task, so a higher NLL is no worse policy; see persistence beside it."
)
OTHER_PLAYERS = (
    "The characters differ: runs are measured on different players' frames, so their numbers do not compare."
)

Interval = tuple[float, float]
Report = Mapping[str, Any]
PerReplayReport = Mapping[str, Sequence[Any]]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """How far the first of two runs lies from the second."""

    value: float
    """First minus second, over all replays."""
    low: float
    high: float

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Luck:
    """How much runs differ that differ in nothing but their seed."""

    deviation: float
    """Standard deviation of one run, pooled over variants."""
    freedom: int
    """Degrees of freedom it was estimated with."""

    @classmethod
    def pooled(cls, groups: Sequence[Sequence[float]]) -> "Luck | None":
        """Estimate from the values of each variant's seeds; ``None`` if no variant has two."""
        several = [group for group in groups if len(group) > 1]
        freedom = sum(len(group) - 1 for group in several)
        squares = sum(statistics.variance(group) * (len(group) - 1) for group in several)
        return cls((squares / freedom) ** 0.5, freedom) if freedom else None

    def draw(self, seeds: tuple[int, int], draws: int, seed: int) -> Floats:
        """[D] draws of what chance adds to the difference of two means over so many seeds, from Student's t distribution."""
        error = self.deviation * (1 / seeds[0] + 1 / seeds[1]) ** 0.5
        drawn: Floats = error * np.random.default_rng(seed).standard_t(self.freedom, draws)
        return drawn


def bootstrap(per_replay: PerReplayReport) -> dict[str, Interval | None]:
    """The 95 % interval of every metric; ``None`` from a single replay, or where no replay has such frames."""
    sums = _sums(per_replay, range(len(per_replay["ids"])))
    return {name: _interval(values) for name, values in _resample(sums).items()}


def paired_difference(
    first: PerReplayReport, second: PerReplayReport, luck: Mapping[str, Floats] | None = None
) -> dict[str, Difference | None]:
    """How every metric differs between two runs on the same replays, with its 95 % interval; ``None`` as in ``bootstrap``.

    Args:
        first: one run.
        second: the other.
        luck: for some metrics, [D] what the seeds of the runs may add.

    Raises:
        ConfigError: they were measured on different replays.
    """
    ours, theirs = (_sums(one, np.argsort(one["ids"])) for one in (first, second))
    if sorted(first["ids"]) != sorted(second["ids"]):
        shared = len(set(first["ids"]) & set(second["ids"]))
        raise ConfigError(
            f"runs to compare: must be measured on the same replays, found {shared} that {len(first['ids'])} and "
            f"{len(second['ids'])} share; measure both on one store and split"
        )
    drawn = [_resample(sums) for sums in (ours, theirs)]
    found: dict[str, Difference | None] = {}
    for name in WEIGHTS:
        interval = _interval(drawn[0][name] - drawn[1][name] + (luck or {}).get(name, 0.0))
        value = _mean(ours[name]) - _mean(theirs[name])
        found[name] = None if interval is None else Difference(value, *interval)
    return found


def differences(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """A row for each run after the first: ``run``, ``than`` (the first), and each metric's difference, interval and ``is_real``.

    A run is left out if its likelihood does not compare with the first's: one of another codec, or of other players or replays.
    """

    def measured_on(report: Report) -> tuple[Any, ...]:
        return report["codec"], report["character"], sorted(report["per_replay"]["ids"])

    first, *others = reports
    rows = []
    for other in others:
        if measured_on(other) == measured_on(first):
            found = paired_difference(other["per_replay"], first["per_replay"])
            metrics = {
                name: None if one is None else {**asdict(one), "is_real": one.is_real} for name, one in found.items()
            }
            rows.append({"run": other["run"], "than": first["run"], **metrics})
    return rows


def _sums(per_replay: PerReplayReport, order: Sequence[int] | NDArray[np.intp]) -> dict[str, Floats]:
    """For every metric, [R, 2]: its sum over each replay's frames, and how many frames those are."""
    rows = list(order)
    sums: dict[str, Floats] = {}
    for name, weight in WEIGHTS.items():
        counts = np.asarray(per_replay[weight], dtype=np.float64)[rows]
        sums[name] = np.stack([np.asarray(per_replay[name], dtype=np.float64)[rows] * counts, counts], axis=1)
    return sums


def _mean(sums: Floats) -> float:
    total, count = sums.sum(axis=0)
    return float(total / max(count, 1.0))


def _resample(sums: Mapping[str, Floats]) -> dict[str, Floats]:
    """For every metric, its mean in each draw, [D]; NaN in draws without such frames."""
    random = np.random.default_rng(SEED)
    num_replays = len(next(iter(sums.values())))
    means: dict[str, list[Floats]] = {name: [] for name in sums}
    for first in range(0, DRAWS, BLOCK):
        size = min(BLOCK, DRAWS - first)
        times = random.multinomial(num_replays, np.full(num_replays, 1 / max(num_replays, 1)), size=size)
        for name, pairs in sums.items():
            total = times @ pairs
            means[name].append(total[:, 0] / np.where(total[:, 1] > 0, total[:, 1], np.nan))
    return {
        name: np.concatenate(parts) if num_replays >= LEAST_REPLAYS else np.full(DRAWS, np.nan)
        for name, parts in means.items()
    }


def _interval(values: Floats) -> Interval | None:
    """The middle 95 % of values [D]."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.percentile(known, PERCENTILES)
    return float(low), float(high)
