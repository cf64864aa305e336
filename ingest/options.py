"""The settings of an ingest, checked once."""

from dataclasses import dataclass
from typing import Literal

from dataset.errors import ConfigError
from dataset.melee.ids import character_from_name

DEFAULT_CODEC = "axis17"

DEFAULT_MIN_FRAMES = 1800
"""Half a minute: shorter recordings are handshakes, disconnects and clips."""

Rollback = Literal["last", "first"]

_LARGEST = 2**31 - 1
"""More than any setting needs, and less than a manifest may hold."""


@dataclass(frozen=True, kw_only=True)
class IngestOptions:
    """How a store is made; all before ``codec`` are fixed for its life."""

    character: str | None = None
    """Only games in which someone picked this character."""
    include_cpu: bool = False
    """Let games with CPU players in."""
    keep_all: bool = False
    """Keep the frames of two-player games that are not let in; no window holds them."""
    min_frames: int = DEFAULT_MIN_FRAMES
    """Shortest game let in."""
    rollback: Rollback = "last"
    """Which copy of a re-simulated frame is kept."""
    split_seed: int = 0
    """Which replays fall into train, val and test."""
    keep_names: bool = False
    """Write names, connect codes and paths as they are, not as hashes."""
    codec: str | None = None
    """Of the window shards; ``None`` is the store's, ``DEFAULT_CODEC`` for a new one."""
    workers: int | None = None
    """Processes; ``None`` is one per CPU, 1 is this process."""
    ray: str | None = None
    """Address of a Ray cluster to work on instead, or ``local``."""
    rebuild: bool = False
    """Start the store over."""
    dry_run: bool = False
    """Parse and judge, write nothing."""
    is_verbose: bool = False
    """Let the parser's panics print."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_frames <= _LARGEST:
            raise ConfigError(
                f"--min-frames: must be 1 to {_LARGEST}, found {self.min_frames}; leave it out for the default"
            )
        if abs(self.split_seed) > _LARGEST:
            raise ConfigError(f"--split-seed: must be within ±{_LARGEST}, found {self.split_seed}; choose another")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"--workers: must be 1 or more, found {self.workers}; leave it out for one per CPU")
        if self.ray is not None and self.workers is not None:
            raise ConfigError("--workers: Ray has its own, so it cannot take effect beside --ray; drop one")
        if self.rollback not in ("last", "first"):
            raise ConfigError(f"--rollback: must be 'last' or 'first', found '{self.rollback}'")
        if self.codec is not None:
            from dataset.codecs.registry import get_codec  # loads numpy, which --help need not wait for

            get_codec(self.codec)
        if self.character is not None:
            character_from_name(self.character)
