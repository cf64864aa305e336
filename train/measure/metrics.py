"""What is measured of a policy, always together and always beside persistence.

``Metrics.add`` takes judged frames (``train.measure.judged``); ``report`` gives plain values. A *change frame* is one whose
target differs from the previous controller in any component: about a quarter of all frames, and where all the difficulty
lies. The surprise: accuracies of the autoregressive head are teacher-forced (each component given the true earlier ones);
``exact`` counts whole controllers and is the same either way.

Components are a codec's own, so their likelihoods, and what counts as a change, compare within one codec only. The overall
accuracy, accuracies by control and the buttons are taken from what classes do to a controller (``train.measure.controls``).

Legend: N frames, K components, S class columns, J controls.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from train.measure.controls import Controls
from train.measure.judged import Judged, overall_weights
from train.policy.components import Components, Persistence

ECE_BINS = 15


class Metrics:
    """Sums over frames, kept in float64 on the policy's device."""

    def __init__(
        self, components: Components, controls: Controls, persistence: Persistence, device: torch.device | str = "cpu"
    ) -> None:
        self.components, self.controls = components, controls.to(device)
        self._table = persistence.nll_table().to(device)
        self._sums: dict[str, Tensor] = {}
        self._controllers: dict[str, list[Tensor]] = {"true": [], "sampled": []}

    def add(self, frames: Judged) -> None:
        """Count N frames."""
        target, previous = frames.target, frames.previous
        parts = torch.arange(target.shape[1], device=target.device)
        copied = self._table[parts, previous, target]
        right, same = frames.best == target, previous == target
        controls_right = frames.best_values == frames.values
        controls_same = frames.previous_values == frames.values
        change, moved = frames.is_change, frames.is_stick_change
        self._count("stick_frames", moved)
        self._count("stick_right", frames.is_stick_right[moved])
        for name, rows in (("all", torch.ones_like(change)), ("change", change)):
            self._count(f"{name}_frames", rows)
            self._count(f"{name}_nll", frames.nll[rows])
            self._count(f"{name}_right", right[rows])
            self._count(f"{name}_top", frames.within_top[rows])
            self._count(f"{name}_controls", controls_right[rows])
            self._count(f"{name}_copied_controls", controls_same[rows])
            self._count(f"{name}_exact", right[rows].all(dim=1))
            self._count(f"{name}_copied_nll", copied[rows])
            self._count(f"{name}_copied_right", same[rows])
            self._count(f"{name}_copied_exact", same[rows].all(dim=1))
        self._count_buttons(self.controls.pressed(frames.shares), frames.values[:, self.controls.buttons] > 0)
        self._count_calibration(frames.confidence, right)
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
            "top3_by_component": self._by_name(names, sums["all_top"] / sums["all_frames"]),
            "persistence_nll": persistence["nll"],
            "persistence": persistence,
            "buttons": self._button_report(),
            "ece": self._calibration_error(),
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

    def _count_calibration(self, confidence: Tensor, right: Tensor) -> None:
        bins = (confidence * ECE_BINS).long().clamp(max=ECE_BINS - 1).flatten()
        rows = torch.stack([torch.ones_like(confidence), confidence, right.float()], dim=-1).flatten(0, 1).double()
        table = torch.zeros(ECE_BINS, 3, dtype=torch.float64, device=rows.device).index_add_(0, bins, rows)
        self._count("calibration", table.unsqueeze(0))

    def _keys(self, classes: Tensor) -> Tensor:
        """One whole number a controller, int64 [N] on the CPU."""
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
            out[f"{prefix}accuracy"] = float((controls * overall_weights(self.controls)).sum())
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

    def _calibration_error(self) -> float:
        """Mean over decisions of |confidence − accuracy| within equal bins of confidence (Guo et al. 2017)."""
        counts, confidence, right = self._sums["calibration"].unbind(dim=1)
        return float((confidence - right).abs().sum() / counts.sum())

    @staticmethod
    def _by_name(names: tuple[str, ...], values: Tensor) -> dict[str, float]:
        return dict(zip(names, values.tolist(), strict=True))


def _diversity(keys: Tensor) -> dict[str, float]:
    """How many different controllers there are, and the entropy of their frequencies in nats."""
    _, counts = keys.unique(return_counts=True)  # type: ignore[no-untyped-call]
    shares = counts.double() / counts.sum()
    return {"distinct": len(counts), "entropy": float(-(shares * shares.log()).sum())}


SUMMARY = ("nll", "accuracy", "change_nll", "change_accuracy", "change_exact", "persistence_nll")
"""The few numbers that progress lines show."""


def summary_line(report: Mapping[str, Any]) -> str:
    """One line for people."""
    return ", ".join(f"{name.replace('_', ' ')} {report[name]:.4f}" for name in SUMMARY)
