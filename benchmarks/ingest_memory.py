"""Peak memory of an ingest by the number of frames, and what an unchanged or a moved source costs.

The benchmark ingests the same replays again and again as copies with another random seed in Game Start (and another
match id, where the version has one), so that every rule takes each copy for a new replay. One process with one worker
ingests one round of copies after the other into one store, and its peak resident memory is read after each round. A
copy is on the disk only during its round.

With ``--files N`` it ingests N copies of a generated replay cut to 8 KiB. They are refused as truncated and known from
then on like any other file. It then ingests the same source unchanged, and again after moving it to another folder.

    python -m benchmarks.ingest_memory FOLDER --rounds 8
    python -m benchmarks.ingest_memory --files 10000
"""

import argparse
import json
import resource
import struct
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from dataset.duels.generate import generate_replay
from dataset.slippi.slp import RAW_PREFIX
from dataset.stream.track_memory import keep_freed_memory
from ingest.jobs.job import KEPT_BYTES
from ingest.jobs.pipeline import IngestReport, ingest
from ingest.options import IngestOptions

OPTIONS = IngestOptions(workers=1, min_frames=1)
EVENT_PAYLOADS, GAME_START = 0x35, 0x36
RANDOM_SEED, MATCH_ID, MATCH_ID_BYTES = 0x13D, 0x2BE, 51
"""Offsets in Game Start, counted from its command byte (Slippi's replay file specification)."""
SMALL_BYTES = 8192


def main() -> None:
    """Measure, and print one line of JSON per round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="folder of extracted .slp files")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=60, help="start no round later than this")
    parser.add_argument("--files", type=int, help="measure runs over this many small files instead")
    options = parser.parse_args()
    keep_freed_memory(KEPT_BYTES)  # as every worker does
    with tempfile.TemporaryDirectory() as folder:
        if options.files is not None:
            many_files(Path(folder), options.files)
        else:
            rounds(sorted(options.folder.glob("*.slp")), Path(folder), options.rounds, options.minutes * 60)


def rounds(replays: list[Path], folder: Path, count: int, limit_s: float) -> None:
    """Ingest up to ``count`` rounds of copies within the time limit."""
    start = time.monotonic()
    for number in range(count):
        if time.monotonic() - start > limit_s:
            return
        source = folder / f"round-{number}"
        copy_all(replays, source, number)
        report, cpu_s, wall_s = timed(lambda source=source: ingest([source], folder / "store", OPTIONS))  # type: ignore[misc]
        for path in source.iterdir():
            path.unlink()
        show(
            round=number,
            store_replays=report.store_replays,
            store_frames=report.store_frames,
            peak_rss_mib=peak_mib(),
            cpu_s=cpu_s,
            wall_s=wall_s,
        )


def many_files(folder: Path, count: int) -> None:
    """Ingest many small files, then again unchanged, then from another folder."""
    generate_replay(folder / "one.slp", seed=0, frames=60)
    (folder / "one.slp").write_bytes((folder / "one.slp").read_bytes()[:SMALL_BYTES])
    source, moved = folder / "source", folder / "moved"
    for number in range(count):
        copy_all([folder / "one.slp"], source, number)

    def run(what: str, at: Path) -> None:
        report, cpu_s, wall_s = timed(lambda: ingest([at], folder / "store", OPTIONS))
        show(
            what=what,
            files=count,
            new=report.replays_new,
            failed=report.replays_failed,
            duplicates=report.replays_duplicate,
            peak_rss_mib=peak_mib(),
            cpu_s=cpu_s,
            wall_s=wall_s,
        )

    run("first", source)
    run("unchanged", source)
    source.rename(moved)
    run("moved", moved)
    run("moved, unchanged", moved)


def copy_all(replays: Iterable[Path], folder: Path, number: int) -> None:
    """Write copies that count as new replays, different from the originals and from the copies of other numbers."""
    folder.mkdir(exist_ok=True)
    for path in replays:
        data = bytearray(path.read_bytes())
        payloads = len(RAW_PREFIX) + 4
        assert data[payloads] == EVENT_PAYLOADS, f"{path} does not begin with its event payloads"
        sizes = payloads + 1 + data[payloads + 1]
        assert data[sizes] == GAME_START, f"{path} has no Game Start after its event payloads"
        data[sizes + RANDOM_SEED : sizes + RANDOM_SEED + 4] = struct.pack(">I", number)
        (length,) = (
            size
            for command, size in struct.iter_unpack(">BH", bytes(data[payloads + 2 : sizes]))
            if command == GAME_START
        )
        if length >= MATCH_ID + MATCH_ID_BYTES:
            match = f"copy-{number}-{path.stem}".encode().ljust(MATCH_ID_BYTES, b"\0")[:MATCH_ID_BYTES]
            data[sizes + MATCH_ID : sizes + MATCH_ID + MATCH_ID_BYTES] = match
        (folder / f"{number:06d}-{path.name}").write_bytes(data)


def timed(work: Callable[[], IngestReport]) -> tuple[IngestReport, float, float]:
    """The report, CPU seconds and wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    report = work()
    return report, round(time.process_time() - cpu, 2), round(time.perf_counter() - wall, 2)


def peak_mib() -> int:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def show(**found: object) -> None:
    """Print one finding immediately, so that an interrupted run has printed what it measured."""
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
