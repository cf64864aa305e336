"""The interface between the training loop and whatever watches it, such as progress lines and logging services.

The loop calls each callback at a few moments with plain values. A callback never changes the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Step:
    """How far a run has come, and how it is doing."""

    epoch: int
    step: int
    """Steps done in this epoch."""
    steps_in_epoch: int
    """Steps that this epoch will have; ``--max-steps`` may end the last one early."""
    global_step: int
    """Steps done in the run."""
    loss: float
    """The training loss at this step."""
    lr: float
    frames_per_second: float
    """Supervised frames so far per second of training."""


class Callback:
    """Does nothing; override the methods of interest."""

    def on_start(self, run: Path, record: Mapping[str, Any]) -> None:
        """The run begins or resumes; ``record`` is its ``config.json``."""

    def on_note(self, note: str) -> None:
        """Something the user should read."""

    def on_step(self, step: Step) -> None:
        """A step was made; called for every step on the CPU, and for every twentieth on an accelerator."""

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """An epoch was trained and validated; ``record`` is its line of ``metrics.jsonl``."""

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """The run is complete, stopped early or interrupted."""

    def on_abort(self) -> None:
        """The run failed; the error is raised after this call."""
