"""Kills ingests at random instants of their writing, and looks at what each kill left behind.

In: a folder of replays. Out: a tally of where the kills fell. One replay is a job, so that commits are dense, but from the third
on jobs wait for each other. A store is killed again and again until it is whole, then the next one begins; after every kill a
copy of it is finished.

    python -m tests.ingest.kills FOLDER --kills 100
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from dataset.io.atomic import sha256_of
from dataset.store.manifest import MANIFEST_NAME, Manifest
from dataset.store.replay_table import REPLAYS_NAME
from dataset.store.store import Store
from dataset.verify.verify import verify
from ingest.jobs import commit, pipeline
from ingest.jobs.pipeline import IngestReport, ingest
from ingest.options import IngestOptions

OPTIONS = IngestOptions(workers=1, min_frames=1)
STORE_FILES = {".lock", "README.md", "manifest.json", "replays.parquet", "replays.previous.parquet", "salt"}


@dataclass(frozen=True)
class Kill:
    """One run's end."""

    was_killed: bool
    seconds: float
    """From the moment at which the run began to write its first shard, by ``_clock``."""


def killed_ingest(source: Path, store: Path, after_s: float, workers: int = 1) -> Kill:
    """Run an ingest in a process of its own and kill it so long after it began to write."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["ingest.jobs.pipeline", "ingest.jobs.workers"]
    )  # start-up is paid once, not once a kill
    before = set(_files(store))
    process = context.Process(target=_ingest, args=(source, store, workers))
    process.start()
    assert process.pid is not None
    begun, now = None, 0.0
    while process.is_alive():
        now = _clock(process.pid, workers) or now
        if begun is None and any(name.startswith("frames/") for name in set(_files(store)) - before):
            begun = now
        if begun is not None and now - begun >= after_s:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        process.join(0.0005)
    return Kill(process.exitcode == -signal.SIGKILL, now - (now if begun is None else begun))


def _clock(process: int, workers: int) -> float:
    """Seconds that a process that works alone has had of a CPU, because a busy machine stops it at will; else of the day."""
    if workers > 1:
        return time.monotonic()
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return 0.0


def _ingest(source: Path, store: Path, workers: int) -> None:
    pipeline.MIN_JOB_BYTES = pipeline.MAX_JOB_BYTES = 1
    commit.COMMIT_SHARE = 1 / 2
    ingest([source], store, replace(OPTIONS, workers=workers))


def kill_often(source: Path, folder: Path, kills: int, seed: int, workers: tuple[int, ...] = (1,)) -> Counter[str]:
    """Kill ingests of ``source`` until so many died; where they fell. Asserts that none lost or doubled anything."""
    whole = ingest([source], folder / "whole", OPTIONS)
    draw, store = random.Random(seed), folder / "store"
    longest = {count: killed_ingest(source, folder / f"timed-{count}", 600, count).seconds for count in set(workers)}
    tally: Counter[str] = Counter()
    while tally.total() < kills:
        held, count = _replays(store), workers[tally.total() % len(workers)]
        after_s = draw.uniform(0, 1.1 * longest[count] * (1 - held / whole.store_replays))
        if not killed_ingest(source, store, after_s, count).was_killed:
            assert Manifest.load(store).digest == whole.digest
            shutil.rmtree(store)
            continue
        tally[place(store, held, whole.store_replays)] += 1
        check_left(store, held)
        check_finished(source, store, folder / "finished", whole)
    return tally


def _replays(store: Path) -> int:
    return Manifest.load(store).replays if (store / MANIFEST_NAME).exists() else 0


def place(store: Path, held: int, total: int) -> str:
    """Where a kill fell, by the files it left; ``held`` replays were in the store when the run began."""
    temporaries = list(store.rglob("*.tmp")) if store.exists() else []
    if any(path.parent == store and path.name.startswith((MANIFEST_NAME, "replays.")) for path in temporaries):
        return "inside a commit: a file half written"
    has_manifest = (store / MANIFEST_NAME).exists()
    table = store / REPLAYS_NAME
    if table.exists() and (not has_manifest or sha256_of(table) != Manifest.load(store).replays_sha256):
        return "inside a commit: between table and manifest"
    if _replays(store) == total:
        return "after the last commit"
    where = "before the run's first commit" if _replays(store) == held else "between commits"
    return f"{where}: {'a shard half written' if temporaries else 'no file open'}"


def check_left(store: Path, held: int) -> None:
    """What a killed run leaves is readable, sound and no less than before."""
    if not (store / MANIFEST_NAME).exists():
        return
    left = Store(store)
    rows = left.replays().filter(pl.col("status") == "ok").collect()
    assert rows.height == rows["id"].n_unique() == left.manifest.replays >= held
    assert sum(sample.num_frames for sample in left.samples("all")) == left.manifest.frames
    if left.manifest.replays:
        assert left.frames(["frame"]).collect().height == left.manifest.frames
    check_sound(store, quick=True)


def check_sound(store: Path, *, quick: bool) -> None:
    """Every check of ``exphil verify`` holds."""
    failed = {check.name: check.detail for check in verify(store, quick=quick).checks if not check.ok}
    assert not failed, failed


def check_finished(source: Path, store: Path, copy: Path, whole: IngestReport) -> None:
    """The next run brings a copy of the store to where a run that nobody killed comes, and leaves no litter."""
    shutil.rmtree(copy, ignore_errors=True)
    if store.exists():
        shutil.copytree(store, copy)
    finished = ingest([source], copy, OPTIONS)
    assert (finished.digest, finished.store_replays) == (whole.digest, whole.store_replays)
    listed = {shard.path for shard in Manifest.load(copy).shards}
    assert set(_files(copy)) - listed <= STORE_FILES
    check_sound(copy, quick=True)


def _files(store: Path) -> Iterator[str]:
    return (str(path.relative_to(store)) for path in store.rglob("*") if path.is_file())


def main() -> None:
    """Kill and print the tally as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path, help="an empty folder to work in")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1], help="of one kill after the other, in turn")
    options = parser.parse_args()
    tally = kill_often(options.source, options.folder, options.kills, options.seed, tuple(options.workers))
    print(json.dumps(dict(sorted(tally.items()))))  # noqa: T201


if __name__ == "__main__":
    main()
