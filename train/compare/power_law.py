"""What more data is worth: the power law L(n) = a + b·n^−c through the losses of ``exphil sweep data``, with intervals.

For each exponent on a grid, a and b are linear least squares, neither below 0; the best exponent wins. The intervals come from
a bootstrap that draws other val replays, the same for every amount of data, and other seeds. Three numbers fit any three points,
so a law only counts as *identified* if there are more amounts and the draws agree on an exponent inside the grid (Hestness et
al. 2017, arXiv:1712.00409, for the form). It uses val and not test, because it only guides what to record next.

Legend: P points (amounts of data), D draws, E exponents, R replays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.compare.matrix import Subject, labels

EXPONENTS = np.geomspace(0.01, 4.0, 600)
"""Candidates for c."""

LEAST_AMOUNTS = 4
"""Different amounts of data below which the law has as many numbers as the points."""

MOST_SPREAD = 4.0
"""How many times its lower end the upper end of the exponent's interval may be; beyond that a law foretells little."""

PERCENTILES = (2.5, 97.5)

DRAWS, SEED = 1_000, 20_013

EXTRAPOLATED = (500, 2_000)
"""Replays."""

CURVE_POINTS = 40

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PowerLaw:
    """a + b·(n / unit)^−c, for each of D draws or for one."""

    a: Floats
    b: Floats
    c: Floats
    unit: float
    """The geometric mean of the amounts it was fitted to."""

    def at(self, amount: float) -> Floats:
        """The loss at an amount of data, [D]."""
        return self.a + self.b * (amount / self.unit) ** -self.c


@dataclass(frozen=True)
class FittedLaw:
    """The law of the measured losses and those of their draws."""

    law: PowerLaw
    drawn: PowerLaw
    doubt: str | None
    """Why the points do not identify the law; ``None``: they do."""

    def at(self, amount: float) -> tuple[float, float, float]:
        """The loss at an amount of data and its 95 % interval."""
        low, high = np.percentile(self.drawn.at(amount), PERCENTILES)
        return float(self.law.at(amount)[0]), float(low), float(high)

    @property
    def exponent(self) -> tuple[float, float, float]:
        """The exponent c and its 95 % interval."""
        low, high = np.percentile(self.drawn.c, PERCENTILES)
        return float(self.law.c[0]), float(low), float(high)


def fit_law(amounts: Sequence[float], losses: Sequence[float], draws: Floats, seed: int = 0) -> FittedLaw:
    """The law through P points.

    Args:
        amounts: of data, above 0.
        losses: what was measured at each.
        draws: [D, P] the losses in each draw of replays and seeds.
        seed: of the residuals that are laid on every draw, since points lie off the law for other reasons too.
    """
    measured = np.asarray(losses, dtype=np.float64)
    law = power_law(amounts, measured[None])
    residuals = measured - np.array([law.at(amount)[0] for amount in amounts])
    spare = len(amounts) - 3
    scale = (len(amounts) / spare) ** 0.5 if spare > 0 else 0.0
    random = np.random.default_rng(seed)
    drawn = power_law(amounts, draws + scale * random.choice(residuals, size=draws.shape))
    return FittedLaw(law, drawn, _doubt(amounts, law, drawn))


def power_law(amounts: Sequence[float], losses: Floats) -> PowerLaw:
    """The best law for each of D rows of losses [D, P]."""
    n = np.asarray(amounts, dtype=np.float64)
    unit = float(np.exp(np.log(n).mean()))
    x = (n / unit) ** -EXPONENTS[:, None]  # [E, P]
    centred = x - x.mean(axis=1, keepdims=True)
    spread = np.maximum((centred**2).sum(axis=1), 1e-300)
    b = np.maximum(losses @ centred.T / spread, 0.0)  # [D, E]
    a = losses.mean(axis=1, keepdims=True) - b * x.mean(axis=1)
    through_zero = losses @ x.T / (x**2).sum(axis=1)
    b, a = np.where(a < 0, through_zero, b), np.maximum(a, 0.0)
    errors = ((losses[:, None, :] - a[..., None] - b[..., None] * x) ** 2).sum(axis=2)
    best = errors.argmin(axis=1)
    rows = np.arange(len(losses))
    return PowerLaw(a[rows, best], b[rows, best], EXPONENTS[best], unit)


def _doubt(amounts: Sequence[float], law: PowerLaw, drawn: PowerLaw) -> str | None:
    if len(set(amounts)) < LEAST_AMOUNTS:
        return f"{len(set(amounts))} amounts of data fit any law of three numbers; measure at least {LEAST_AMOUNTS}"
    if law.b[0] <= 0:
        return "the loss does not fall with more data over these amounts"
    low, high = np.percentile(drawn.c, PERCENTILES)
    if low <= EXPONENTS[0] or high >= EXPONENTS[-1] or high > MOST_SPREAD * low:
        return f"the exponent could be anything from {low:.2g} to {high:.2g}; measure more amounts, or more seeds"
    return None


def data_law(subjects: Sequence[Subject]) -> dict[str, Any] | None:
    """The law with ``points``, ``curve``, ``extrapolated`` and ``doubt``; ``None`` where a run has no val report."""
    parts = [[one for one in subjects if one.label == label] for label in labels(subjects)]
    if any("per_replay" not in one.measured["val"] for one in subjects) or len(parts) < 2:
        return None
    frames = [float(np.mean([_trained_on(one)["frames"] for one in seeds])) for seeds in parts]
    replays = [float(np.mean([_trained_on(one)["replays"] for one in seeds])) for seeds in parts]
    losses = [float(np.mean([one.measured["val"]["nll"] for one in seeds])) for seeds in parts]
    draws = _draws([[_sums(one) for one in seeds] for seeds in parts])
    found = fit_law(frames, losses, draws)
    most = int(np.argmax(frames))
    length = frames[most] / replays[most]
    bounds = np.percentile(draws, [2.5, 97.5], axis=0)
    amounts = np.geomspace(min(frames), max(EXTRAPOLATED[-1] * length, max(frames)), CURVE_POINTS)
    return {
        "points": [
            {"frames": n, "replays": m, "val_nll": loss, "low": low, "high": high}
            for n, m, loss, low, high in zip(frames, replays, losses, *bounds.tolist(), strict=True)
        ],
        "curve": [_at(found, amount, length) for amount in amounts.tolist()],
        "extrapolated": [_at(found, wanted * length, length) for wanted in EXTRAPOLATED],
        "floor": float(found.law.a[0]),
        "exponent": dict(zip(("value", "low", "high"), found.exponent, strict=True)),
        "doubt": found.doubt,
    }


def _trained_on(subject: Subject) -> dict[str, Any]:
    trained: dict[str, Any] = subject.measured["record"]["data"]["train"]
    return trained


def _at(law: FittedLaw, frames: float, length: float) -> dict[str, float]:
    value, low, high = law.at(frames)
    return {"frames": frames, "replays": frames / length, "value": value, "low": low, "high": high}


def _sums(subject: Subject) -> Floats:
    """Of a run's val replays in the order of their ids, [R, 2]: nats, and frames."""
    part = subject.measured["val"]["per_replay"]
    order = np.argsort(part["ids"])
    frames = np.asarray(part["frames"], dtype=np.float64)
    return np.stack([np.asarray(part["nll"]) * frames, frames], axis=1)[order]


def _draws(sums: Sequence[Sequence[Floats]]) -> Floats:
    """[D, P] losses over replays and seeds drawn with replacement."""
    random = np.random.default_rng(SEED)
    num_replays = len(sums[0][0])
    times = random.multinomial(num_replays, np.full(num_replays, 1 / num_replays), size=DRAWS)
    columns = []
    for seeds in sums:
        totals = np.stack([times @ one for one in seeds])  # [seeds, D, 2]
        losses = totals[..., 0] / totals[..., 1]
        chosen = random.integers(len(seeds), size=(len(seeds), DRAWS))
        columns.append(np.take_along_axis(losses, chosen, axis=0).mean(axis=0))
    return np.stack(columns, axis=1)
