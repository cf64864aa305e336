"""How sure a measured number is, and whether two runs differ: bootstrap over replays (Efron 1979).

In: what ``train.measure.per_replay`` reports. Out: 95 % intervals of the means, and of the differences between two runs on
the same replays. Frames of one replay resemble each other, so whole replays are drawn, with replacement; a difference is
*paired*: both runs get the same draws, so that easy and hard replays cancel. The surprise: an interval covers the choice of
replays, and the luck of a training's seed only where ``Luck`` tells how much that is.

Legend: R replays, D draws.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
"""The metrics of a replay, and the frames that each is a mean over."""

DRAWS, SEED = 2_000, 20_011
PERCENTILES = (2.5, 97.5)

BLOCK = 250
"""Draws held at a time, so that memory does not grow with their number."""

LEAST_REPLAYS = 2
"""One replay says nothing about others."""

Interval = tuple[float, float]
PerReplayReport = Mapping[str, Sequence[Any]]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """How far the first run lies from the second."""

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
    """How much runs differ by nothing but their seed."""

    deviation: float
    """Standard deviation of one run, pooled over variants."""
    freedom: int
    """Degrees of freedom it was estimated with."""

    @classmethod
    def pooled(cls, groups: Sequence[Sequence[float]]) -> "Luck | None":
        """Out of the values of each variant's seeds; ``None`` where no variant has two."""
        several = [group for group in groups if len(group) > 1]
        freedom = sum(len(group) - 1 for group in several)
        squares = sum(statistics.variance(group) * (len(group) - 1) for group in several)
        return cls((squares / freedom) ** 0.5, freedom) if freedom else None

    def draw(self, seeds: tuple[int, int], draws: int, seed: int) -> Floats:
        """[D] what chance adds to the difference of two means over so many seeds: Student's t, the deviation being estimated."""
        error = self.deviation * (1 / seeds[0] + 1 / seeds[1]) ** 0.5
        drawn: Floats = error * np.random.default_rng(seed).standard_t(self.freedom, draws)
        return drawn


def bootstrap(per_replay: PerReplayReport, draws: int = DRAWS, seed: int = SEED) -> dict[str, Interval | None]:
    """The 95 % interval of every metric; ``None`` from a single replay, or where no replay has such frames."""
    sums = _sums(per_replay, range(len(per_replay["ids"])))
    return {name: _interval(values) for name, values in _resample(sums, draws, seed).items()}


def paired_difference(
    first: PerReplayReport,
    second: PerReplayReport,
    draws: int = DRAWS,
    seed: int = SEED,
    luck: Mapping[str, Floats] | None = None,
) -> dict[str, Difference | None]:
    """How every metric differs between two runs on the same replays, with its 95 % interval; ``None`` as in ``bootstrap``.

    Args:
        first: one run.
        second: the other.
        draws: D.
        seed: of the draws.
        luck: of some metrics, [D] what the runs' seeds may add.

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
    drawn = [_resample(sums, draws, seed) for sums in (ours, theirs)]
    found: dict[str, Difference | None] = {}
    for name in WEIGHTS:
        interval = _interval(drawn[0][name] - drawn[1][name] + (luck or {}).get(name, 0.0))
        value = _mean(ours[name]) - _mean(theirs[name])
        found[name] = None if interval is None else Difference(value, *interval)
    return found


def _sums(per_replay: PerReplayReport, order: Sequence[int] | NDArray[np.intp]) -> dict[str, Floats]:
    """Of every metric, [R, 2]: its sum over a replay's frames, and how many those are."""
    rows = list(order)
    sums: dict[str, Floats] = {}
    for name, weight in WEIGHTS.items():
        counts = np.asarray(per_replay[weight], dtype=np.float64)[rows]
        sums[name] = np.stack([np.asarray(per_replay[name], dtype=np.float64)[rows] * counts, counts], axis=1)
    return sums


def _mean(sums: Floats) -> float:
    total, count = sums.sum(axis=0)
    return float(total / max(count, 1.0))


def _resample(sums: Mapping[str, Floats], draws: int, seed: int) -> dict[str, Floats]:
    """Of every metric, its mean in each draw, [D]; NaN in draws without such frames."""
    random = np.random.default_rng(seed)
    num_replays = len(next(iter(sums.values())))
    means: dict[str, list[Floats]] = {name: [] for name in sums}
    for first in range(0, draws, BLOCK):
        size = min(BLOCK, draws - first)
        times = random.multinomial(num_replays, np.full(num_replays, 1 / max(num_replays, 1)), size=size)
        for name, pairs in sums.items():
            total = times @ pairs
            means[name].append(total[:, 0] / np.where(total[:, 1] > 0, total[:, 1], np.nan))
    return {
        name: np.concatenate(parts) if num_replays >= LEAST_REPLAYS else np.full(draws, np.nan)
        for name, parts in means.items()
    }


def _interval(values: Floats) -> Interval | None:
    """The middle 95 % of values [D]."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.percentile(known, PERCENTILES)
    return float(low), float(high)
