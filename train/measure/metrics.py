"""The main metrics of a policy, always beside those of persistence, and calibration.

A *change frame* is one whose target differs from the previous controller in any component: about a quarter of all frames,
and where all the difficulty lies. Accuracies of the autoregressive head are teacher-forced (each component is given the true
earlier ones); ``exact`` counts whole controllers and does not depend on that.

Likelihoods, and what counts as a change, are over a codec's own components, so they compare within one codec only. The
overall accuracy, accuracies by control and the buttons are over the controls of ``train.measure.scored_frames``, so they
compare across codecs.

Legend: N frames, K components, S class columns, J controls.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from train.measure.scored_frames import Controls, ScoredFrames
from train.policy.components import Components, Persistence

SUMMARY = ("nll", "accuracy", "change_nll", "change_accuracy", "change_exact", "persistence_nll")
"""The few metrics that progress lines show."""

BINS = 15
"""Bins of confidence."""


class Metrics:
    """Sums over frames, kept in float64 on the policy's device."""

    def __init__(
        self, components: Components, controls: Controls, persistence: Persistence, device: torch.device | str = "cpu"
    ) -> None:
        self.components, self.controls = components, controls.to(device)
        self._table = persistence.nll_table().to(device)
        self._sums: dict[str, Tensor] = {}
        self._controllers: dict[str, list[Tensor]] = {"true": [], "sampled": []}

    def add(self, frames: ScoredFrames) -> None:
        """Count N frames."""
        target, previous = frames.target, frames.previous
        parts = torch.arange(target.shape[1], device=target.device)
        copied = self._table[parts, previous, target]
        right, same = frames.best == target, previous == target
        controls_right = frames.best_values == frames.values
        controls_same = frames.previous_values == frames.values
        change, moved = frames.is_change, frames.is_stick_change
        self._count("top", frames.within_top)
        self._count("stick_frames", moved)
        self._count("stick_right", frames.is_stick_right[moved])
        for name, rows in (("all", torch.ones_like(change)), ("change", change)):
            self._count(f"{name}_frames", rows)
            self._count(f"{name}_nll", frames.nll[rows])
            self._count(f"{name}_right", right[rows])
            self._count(f"{name}_controls", controls_right[rows])
            self._count(f"{name}_copied_controls", controls_same[rows])
            self._count(f"{name}_exact", right[rows].all(dim=1))
            self._count(f"{name}_copied_nll", copied[rows])
            self._count(f"{name}_copied_right", same[rows])
            self._count(f"{name}_copied_exact", same[rows].all(dim=1))
        self._count_buttons(self.controls.pressed(frames.shares), frames.values[:, self.controls.buttons] > 0)
        no_bins = torch.zeros(BINS, 3, dtype=torch.float64, device=target.device)
        self._count("bins", _add_to_bins(no_bins, frames.confidence.flatten(), right.flatten()).unsqueeze(0))
        self._controllers["true"].append(self._keys(target))
        self._controllers["sampled"].append(self._keys(frames.sampled))

    def report(self) -> dict[str, Any]:
        """Every metric as plain values."""
        names, sums = self.components.names, self._sums
        persistence = self._rates("copied_") | {"stick_accuracy": 0.0}  # it never moves the stick
        return {
            "frames": int(sums["all_frames"]),
            "change_frames": int(sums["change_frames"]),
            "stick_frames": int(sums["stick_frames"]),
            **self._rates(""),
            "stick_accuracy": float(sums["stick_right"] / sums["stick_frames"].clamp(min=1)),
            "top3_by_component": self._by_name(names, sums["top"] / sums["all_frames"]),
            "persistence_nll": persistence["nll"],
            "persistence": persistence,
            "buttons": self._button_report(),
            "ece": _calibration_error(sums["bins"]),
            "diversity": {
                f"{measure}_{whose}": value
                for whose, keys in self._controllers.items()
                for measure, value in _diversity(torch.cat(keys)).items()
            },
        }

    def _count(self, name: str, rows: Tensor) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + rows.sum(dim=0, dtype=torch.float64)

    def _count_buttons(self, probability: Tensor, is_pressed: Tensor) -> None:
        predicted = probability > 0.5
        self._count("press_true", is_pressed)
        self._count("press_predicted", probability)
        self._count("press_hits", predicted & is_pressed)
        self._count("press_calls", predicted)

    def _keys(self, classes: Tensor) -> Tensor:
        """One whole number per controller, int64 [N] on the CPU."""
        key = torch.zeros(len(classes), dtype=torch.int64, device=classes.device)
        for k, size in enumerate(self.components.sizes):
            key = key * size + classes[:, k]
        return key.cpu()

    def _rates(self, whose: str) -> dict[str, Any]:
        """Averages over all frames, and over change frames under ``change_``."""
        out: dict[str, Any] = {}
        for prefix, rows in (("", "all"), ("change_", "change")):
            frames = self._sums[f"{rows}_frames"].clamp(min=1)
            nll = self._sums[f"{rows}_{whose}nll"] / frames
            right = self._sums[f"{rows}_{whose}right"] / frames
            out[f"{prefix}nll"] = float(nll.sum())
            out[f"{prefix}nll_by_component"] = self._by_name(self.components.names, nll)
            controls = self._sums[f"{rows}_{whose}controls"] / frames
            out[f"{prefix}accuracy"] = float((controls * self.controls.overall_weights).sum())
            out[f"{prefix}accuracy_by_component"] = self._by_name(self.components.names, right)
            out[f"{prefix}accuracy_by_control"] = self._by_name(self.controls.names, controls)
            out[f"{prefix}exact"] = float(self._sums[f"{rows}_{whose}exact"] / frames)
        return out

    def _button_report(self) -> dict[str, dict[str, float]]:
        frames = float(self._sums["all_frames"])
        report: dict[str, dict[str, float]] = {}
        for i, j in enumerate(self.controls.buttons):
            true, calls, hits = (float(self._sums[f"press_{n}"][i]) for n in ("true", "calls", "hits"))
            report[self.controls.names[j]] = {
                "precision": hits / max(calls, 1),
                "recall": hits / max(true, 1),
                "f1": 2 * hits / max(true + calls, 1),
                "press_true": true / frames,
                "press_predicted": float(self._sums["press_predicted"][i]) / frames,
            }
        return report

    @staticmethod
    def _by_name(names: tuple[str, ...], values: Tensor) -> dict[str, float]:
        return dict(zip(names, values.tolist(), strict=True))


class Calibration:
    """Whether probabilities are right: how often an event happens, by the probability that was predicted.

    Guo et al. 2017 (arXiv:1706.04599): frames are put into equal bins of confidence; the expected calibration error (ECE) is the
    mean over decisions of |confidence − accuracy| within the bins.
    """

    def __init__(self, names: tuple[str, ...], device: torch.device | str = "cpu") -> None:
        """Prepare for decisions of these names."""
        self.names = names
        self._bins = torch.zeros(len(names) * BINS, 3, dtype=torch.float64, device=device)

    def add(self, confidence: Tensor, is_right: Tensor) -> None:
        """Count N frames: the predicted probabilities [N, K] of events, and whether they happened, bool [N, K]."""
        decisions = torch.arange(len(self.names), device=confidence.device).expand(confidence.shape)
        _add_to_bins(self._bins, confidence.flatten(), is_right.flatten(), decisions.flatten())

    def report(self) -> dict[str, dict[str, Any]]:
        """Of every decision its ``ece``, and ``bins``: frames, mean confidence and share right of each bin that has frames."""
        return {
            name: {
                "ece": _calibration_error(bins),
                "bins": [[int(n), total / n, right / n] for n, total, right in bins.tolist() if n > 0],
            }
            for name, bins in zip(self.names, self._bins.reshape(-1, BINS, 3), strict=True)
        }


def _add_to_bins(bins: Tensor, confidence: Tensor, is_right: Tensor, decision: Tensor | int = 0) -> Tensor:
    """Add to ``bins`` [K · 15, 3] the count, confidence and rightness of decisions, all given as flat tensors."""
    place = (confidence * BINS).long().clamp(max=BINS - 1) + BINS * decision
    rows = torch.stack([torch.ones_like(confidence), confidence, is_right.to(confidence)], dim=-1)
    return bins.index_add_(0, place, rows.double())


def _calibration_error(bins: Tensor) -> float:
    counts, confidence, right = bins.unbind(dim=1)
    return float((confidence - right).abs().sum() / counts.sum().clamp(min=1))


def _diversity(keys: Tensor) -> dict[str, float]:
    """How many different controllers there are, and the entropy of their frequencies in nats."""
    _, counts = keys.unique(return_counts=True)  # type: ignore[no-untyped-call]
    shares = counts.double() / counts.sum()
    return {"distinct": len(counts), "entropy": float(-(shares * shares.log()).sum())}


def summary_line(report: Mapping[str, Any]) -> str:
    """The ``SUMMARY`` as one line of text."""
    return ", ".join(f"{name.replace('_', ' ')} {report[name]:.4f}" for name in SUMMARY)
