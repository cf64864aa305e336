"""What one commit of an ingest takes, by the number of replays in the store; each commit rewrites the table of replays.

``ingest.jobs.commit.COMMIT_SHARE`` decides how many commits there are, and ``scripts/scale`` computes with it.

The rows are those of a real store, repeated in a new store without shards. Where every row had its own text, the copies
get new text. Each size runs in a process of its own, because peak memory is read too.

    python -m benchmarks.commit --store STORE --replays 1000 10000 50000
"""

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from pathlib import Path

import polars as pl

from dataset.store.replay_table import ReplayRow
from dataset.store.store import Store
from ingest.jobs.commit import open_store
from ingest.options import IngestOptions


def main() -> None:
    """Measure, and print one line of JSON per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--replays", type=int, nargs="+", default=[1_000, 10_000, 50_000])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for count in options.replays:
        process = context.Process(target=measure, args=(options.store, count, options.rounds))
        process.start()
        process.join()


def measure(store: Path, count: int, rounds: int) -> None:
    """Repeat a commit of nothing new to a store of ``count`` replays."""
    table = Store(store).replays().filter(pl.col("status") == "ok").collect()
    own = [name for name in table.columns if table[name].dtype == pl.String and table[name].n_unique() == len(table)]
    rows: list[ReplayRow] = table.to_dicts() * (count // len(table) + 1)
    rows = [row | {name: f"{row[name]}-{i}" for name in own} for i, row in enumerate(rows[:count])]
    seconds = []
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder), IngestOptions()) as opened:
        opened.rows = rows
        for _ in range(rounds):
            start = time.process_time()
            opened.commit()
            seconds.append(time.process_time() - start)
        size = (Path(folder) / "replays.parquet").stat().st_size
    found = {
        "replays": count,
        "commit_cpu_s": round(statistics.median(seconds), 3),
        "bytes_per_replay": round(size / count, 1),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
