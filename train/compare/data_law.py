"""The power law of a data sweep: val NLL against the frames trained on, and what 500 and 2 000 replays should bring.

In: the measured runs of ``exphil sweep data``. Out: plain values for table and page. Each draw takes other val replays, the same
for every amount of data, and other seeds. The surprise: val and not test, whose intervals the matrix shows; the law is a guide to
what to record next, no claim about a policy.

Legend: R replays, D draws, P amounts.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.compare.matrix import Subject, labels
from train.compare.power_law import FittedLaw, fit_law

DRAWS, SEED = 1_000, 20_013

EXTRAPOLATED = (500, 2_000)
"""Replays."""

CURVE_POINTS = 40

Floats = NDArray[np.float64]


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
