"""Ratings of all who met in an arena: a Bradley–Terry model of who wins, fitted to all games at once.

choix fits it (Maystre and Grossglauser, NIPS 2015). A drawn game is half a game won and half a game lost, and every
entrant is given one more of these, shared among those it met, so that also who won or lost every game has a rating. Intervals
come from a Bayesian bootstrap over the games (Rubin 1981, doi:10.1214/aos/1176345338), which weights them at random: drawing them
with replacement would give an entrant that lost every game an interval of width 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from play.arena.results import Row

POINTS = 400 / log(10)
"""Elo's scale: at 400 points more, one wins ten games for each that one loses."""
RESAMPLES = 500
"""How often the games are weighted at random."""
MISSING = "ratings: need choix, which is not installed; everything else comes without it: pip install 'exphil[arena]'"

_TOLERANCE, _MOST_STEPS = 1e-5, 10_000
"""Of a fit: a hundredth of a point at most. It takes about five steps, and some hundred where everybody loses to somebody."""


@dataclass(frozen=True, kw_only=True)
class Rating:
    """How strong an entrant is, in points on Elo's scale."""

    run: str
    rating: float
    low: float | None
    """Of its 95 % interval; None for the anchor, whose rating is 0 by definition."""
    high: float | None

    def as_json(self) -> dict[str, Any]:
        """The rating for ``--json``."""
        return {"run": self.run, "rating": self.rating, "interval": None if self.low is None else [self.low, self.high]}


def is_installed() -> bool:
    """Whether choix, which fits them, is there."""
    return find_spec("choix") is not None


def rate(rows: Sequence[Row], anchor: str | None, seed: int) -> list[Rating]:
    """Rate everybody in ``rows``, the strongest first.

    Args:
        rows: pairings of two different entrants; each of them met all others, or all of them met one.
        anchor: whose rating is 0; None: the mean of all is.
        seed: of the weights.
    """
    import choix

    names = list(dict.fromkeys(name for row in rows for name in (row.run, row.against)))
    fits: list[NDArray[np.float64]] = []
    for wins in _wins(rows, names, seed):
        start = fits[0] if fits else None
        fits.append(choix.ilsr_pairwise_dense(wins, initial_params=start, tol=_TOLERANCE, max_iter=_MOST_STEPS))
    found = POINTS * np.array(fits)
    found -= found.mean(axis=1, keepdims=True) if anchor is None else found[:, [names.index(anchor)]]
    low, high = np.percentile(found[1:], (2.5, 97.5), axis=0)
    ratings = [
        Rating(
            run=name,
            rating=round(float(found[0, place]), 1),
            low=None if name == anchor else round(float(low[place]), 1),
            high=None if name == anchor else round(float(high[place]), 1),
        )
        for place, name in enumerate(names)
    ]
    return sorted(ratings, key=lambda each: -each.rating)


def _wins(rows: Sequence[Row], names: Sequence[str], seed: int) -> NDArray[np.float64]:
    """[RESAMPLES + 1, names, names] games won by each name against each: as they were played, then weighted at random."""
    random, added = np.random.default_rng(seed), 0.5 / (len(names) - 1)
    wins = np.zeros((RESAMPLES + 1, len(names), len(names)))
    for row in rows:
        own, other = names.index(row.run), names.index(row.against)
        played = np.array([row.won + added, row.games - row.decided, row.decided - row.won + added])  # won, drawn, lost
        weighted = np.vstack([played, random.gamma(played, size=(RESAMPLES, 3))])
        weighted *= played.sum() / weighted.sum(axis=1, keepdims=True)
        wins[:, own, other] += weighted[:, 0] + weighted[:, 1] / 2
        wins[:, other, own] += weighted[:, 2] + weighted[:, 1] / 2
    return wins
