"""Run as a script: two replays on a Ray cluster of this machine, the second of which never comes to an end."""

import json
import sys
from pathlib import Path

from dataset.duels.generate import generate_replay
from ingest.jobs import workers
from ingest.jobs.job import Job, Known, Settings
from ingest.jobs.workers import LOCAL_RAY, run_jobs_on_ray
from ingest.options import IngestOptions
from ingest.sources.find import find_candidates
from tests.ingest.hanging import HangingNames


def main(folder: Path) -> None:
    """Print the status and reason of each replay as JSON."""
    workers.TIME_LIMIT_S = 60.0  # for a replay that does not hang, on a busy machine too
    for seed, ports in enumerate(((1, 2), (3, 4))):  # duelists are named after their ports
        generate_replay(folder / f"{seed}.slp", seed=seed, frames=300, ports=ports)
    settings = Settings(
        store=folder / "store",
        options=IngestOptions(min_frames=1),
        names=HangingNames(b"", True, "Duelist 4"),
    )
    jobs = [Job(index=i, groups=((candidate,),)) for i, candidate in enumerate(find_candidates([folder]))]
    rows = [row for result in run_jobs_on_ray(jobs, settings, Known(), LOCAL_RAY) for row in result.rows]
    print(json.dumps({Path(row["source"]).name: (row["status"], row.get("reason")) for row in rows}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
