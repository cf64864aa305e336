"""What happens around training without the loop knowing of it: progress, logging services.

The loop calls each callback at a few moments with plain values; a callback never changes the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Step:
    """Where a run stands."""

    epoch: int
    step: int
    """Steps done in this epoch."""
    steps_in_epoch: int
    """As many as it will have: fewer than its batches give where ``--max-steps`` ends the run."""
    global_step: int
    """Steps done in the run."""
    loss: float
    """What is minimised, at this step."""
    lr: float
    frames_per_second: float
    """Supervised frames of this process so far, by the time spent training."""


class Callback:
    """Does nothing; override what is of interest."""

    def on_start(self, run: Path, record: Mapping[str, Any]) -> None:
        """The run begins or resumes; ``record`` is its ``config.json``."""

    def on_note(self, note: str) -> None:
        """Something the user should read."""

    def on_step(self, step: Step) -> None:
        """Steps were made: called at every one on the CPU, at every twentieth on an accelerator."""

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """An epoch was trained and validated; ``record`` is its line of ``metrics.jsonl``."""

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """The run is over, stopped early or interrupted."""

    def on_abort(self) -> None:
        """The run ends with an error, which is raised after this."""
