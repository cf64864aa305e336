"""Where a run stands, as plain numbers that are saved and restored whole, and what it comes to in the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class Position:
    """Where a run stands; saved and restored whole."""

    epoch: int = 0
    step: int = 0
    """Steps done in this epoch."""
    global_step: int = 0
    loss_sum: float = 0.0
    """Of this epoch, weighted by frames."""
    frames: int = 0
    """Supervised in this epoch."""
    total_frames: int = 0
    """Supervised in the run."""
    seconds: float = 0.0
    """Spent training in the run, without validation."""
    cpu_seconds: float = 0.0
    """Of all threads of the process while it trained, the loader's too."""
    loader_seconds: float = 0.0
    """Of these, waiting for batches."""
    best_epoch: int = -1
    best_nll: float = float("inf")

    @property
    def frames_per_second(self) -> float:
        """Supervised frames a second of training."""
        return self.total_frames / max(self.seconds, 1e-9)

    def summary(self, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The val numbers of the best epoch among the lines of ``metrics.jsonl``; ``None`` before the first is done."""
        best: Mapping[str, Any] = next((r["val"] for r in records if r["epoch"] == self.best_epoch), {})
        persistence = best.get("persistence", {})
        return {
            "best_epoch": None if self.best_epoch < 0 else self.best_epoch + 1,
            "epochs": self.epoch,
            "val_nll": best.get("nll"),
            "val_accuracy": best.get("accuracy"),
            "val_change_accuracy": best.get("change_accuracy"),
            "val_change_nll": best.get("change_nll"),
            "val_change_exact": best.get("change_exact"),
            "persistence_nll": best.get("persistence_nll"),
            "persistence_accuracy": persistence.get("accuracy"),
            "persistence_change_accuracy": persistence.get("change_accuracy"),
            "frames_per_second": self.frames_per_second,
        }
