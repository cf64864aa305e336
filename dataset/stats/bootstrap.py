"""Rates with their uncertainty, by drawing whole clusters of games again and again (Efron 1979, doi:10.1214/aos/1176344552)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A figure with its 95 % interval; None where the games do not give it."""

    value: float | None
    low: float | None
    high: float | None


def draw(num_clusters: int, size: int, seed: int, resamples: int = RESAMPLES) -> NDArray[np.float64]:
    """How often each cluster is drawn when ``size`` of them are, with replacement, again and again: [resamples, clusters]."""
    random = np.random.default_rng(seed)
    times = random.multinomial(size, np.full(num_clusters, 1 / num_clusters), size=resamples)
    return times.astype(np.float64)


class Bootstrap:
    """Sums over clusters of games, and the same sums over clusters drawn with replacement.

    Args:
        sums: by name, what each cluster came to, [clusters] each.
        seed: of the drawing.
    """

    def __init__(self, sums: Mapping[str, NDArray[np.float64]], seed: int) -> None:
        self._sums = sums
        num_clusters = len(next(iter(sums.values())))
        self._times = draw(num_clusters, num_clusters, seed)

    def total(self, name: str) -> float:
        """A sum over all clusters."""
        return float(self._sums[name].sum())

    def rate(self, over: str, under: str) -> Rate:
        """A ratio of two sums and its percentile interval; without one where only one cluster counts."""
        total, each = self.total(under), self._sums[under]
        if total == 0:
            return Rate(value=None, low=None, high=None)
        value = round(self.total(over) / total, 4)
        if np.count_nonzero(each) < 2:
            return Rate(value=value, low=None, high=None)
        drawn = self._times @ each
        usable = drawn > 0
        low, high = np.percentile((self._times @ self._sums[over])[usable] / drawn[usable], (2.5, 97.5))
        return Rate(value=value, low=round(float(low), 4), high=round(float(high), 4))


def shown_rate(rate: Rate, style: str, nothing: str) -> str:
    """A rate with its interval, for tables; ``nothing`` where there is none."""
    if rate.value is None:
        return nothing
    parts = [f"{value:{style}}".replace("%", " %") for value in (rate.value, rate.low, rate.high) if value is not None]
    return parts[0] if len(parts) == 1 else f"{parts[0]} ({parts[1]} to {parts[2]})"
