"""How a run plays, wherever it does: what ``exphil play`` was told of the run, and of the session around it."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

NO_VIEW = Console(quiet=True)
"""Shows nothing of a match."""


@dataclass(frozen=True, kw_only=True)
class PlayOptions:
    """How a run plays; where it plays is a ``MatchOptions``, or a replay."""

    run: str
    opponent: str | None = None
    """The run that plays the other side; None if that is nobody of ours."""
    is_sync: bool = False
    temperature: float = 1.0
    seed: int = 0
    seconds: float | None = None
    """Of play; None has no limit."""
    delay: int | None = None
    """Frames; None takes the run's."""
    runtime: str = "auto"
    """``auto``, ``onnx``, ``openvino`` or ``torch``."""
    openvino_device: str | None = None
    """``CPU``, ``GPU`` or ``AUTO``; None is the CPU."""
    console: Console = NO_VIEW
    """Where the match is shown while it lasts."""
    log_dir: Path | None = None
    """Where the folders of session logs lie; None is beside the replays that Dolphin keeps, and nowhere without Dolphin."""
