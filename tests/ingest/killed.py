"""Run as a script: an ingest that kills itself at a chosen point, one replay a job, as a power cut would."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from dataset.store import frame_table
from dataset.store.manifest import Manifest
from ingest.jobs import pipeline
from ingest.jobs.pipeline import Progress, ingest
from ingest.options import IngestOptions


def _die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(source: str, store: str, point: str, rebuild: str) -> None:
    """Ingest ``source`` until ``point`` comes up after the second commit (the first for a manifest)."""
    pipeline.MIN_JOB_BYTES = pipeline.MAX_JOB_BYTES = 1

    def on_progress(progress: Progress) -> None:
        if progress.done < 2:
            return
        if point == "between two jobs":
            _die()
        elif point == "before the manifest":
            Manifest.save = _die  # type: ignore[method-assign]
        elif point == "within a shard":
            frame_table.add_sample = _die
        elif point == "before the shards are listed":
            frame_table.sha256_of = _die  # type: ignore[assignment]

    ingest(
        [source],
        Path(store),
        IngestOptions(workers=1, min_frames=1, rebuild=rebuild == "rebuild"),
        on_progress=on_progress,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
