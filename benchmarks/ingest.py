"""What ingest takes compared with the parser it uses, and how much disk space its store needs.

Every round runs each path once over the same replays in this process, in a random order, and counts CPU time. The paths
are: peppi alone (``peppi_py.read_slippi``, the floor), parsing to columns, and on top of that the frame table, the
window shards, or both, hashes included. The figure of a path is the median over rounds of its time divided by peppi's
in the same round.

Measured apart from that: how much unpacking a zip adds, what a second run over unchanged replays takes, and, on the
first replay, libmelee's file console and a Python loop over frames and items, which is how other projects read replays.

    python -m benchmarks.ingest FOLDER --replays 20 --rounds 7
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import count
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import melee
import peppi_py
from peppi_py import _peppi

from dataset.codecs.registry import get_codec
from dataset.features.layout import ALL, FEATURES, INDICES
from dataset.store.frame_table import ShardWriter, rows_digest, sample_of
from dataset.store.manifest import ShardInfo
from dataset.stream.track_memory import keep_freed_memory
from ingest.jobs.job import KEPT_BYTES
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions
from ingest.replay.parse import ParsedReplay, parse_columns
from ingest.sources.find import find_candidates
from ingest.sources.reader import Reader

CODEC = get_codec("axis17")


def main() -> None:
    """Measure, and print the figures and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of extracted .slp files")
    parser.add_argument("--replays", type=int, default=20, help="how many of them, in name order")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    keep_freed_memory(KEPT_BYTES)  # as every worker does
    paths = sorted(options.folder.glob("*.slp"))[: options.replays]
    if not paths:
        parser.error(f"FOLDER must hold extracted .slp files, found none in {options.folder}")
    with tempfile.TemporaryDirectory() as folder:
        rounds = Rounds(paths, Path(folder))
        ratios, peppi_seconds = rounds.run(options.rounds)
        row = {
            "replays": len(paths),
            "frames": rounds.frames,
            "rounds": options.rounds,
            "peppi_frames_per_cpu_s": round(rounds.frames / peppi_seconds),
            "times_peppi": ratios,
            "bytes_per_frame": rounds.sizes(),
            "unzip_times_peppi": round(unzip_seconds(paths, Path(folder)) / peppi_seconds, 3),
            "frames_per_cpu_s_on_one_replay": peers(paths[0]),
            "pipeline": pipeline(paths, Path(folder), peppi_seconds),
        }
    show(row)
    print(json.dumps(row | {"benchmark": "ingest"} | machine()))


class Rounds:
    """Runs each path over the same replays."""

    def __init__(self, paths: Sequence[Path], folder: Path) -> None:
        self._paths, self._folder = paths, folder
        self._candidates = find_candidates(paths)
        self._numbers = count()  # an ingest never replaces a shard, which costs as much as a fifth of peppi's time
        self.frames = 0

    def run(self, rounds: int) -> tuple[dict[str, dict[str, float]], float]:
        """Median, least and greatest ratio of each path to peppi, and peppi's median seconds; one round warms up."""
        ways: dict[str, Callable[[], object]] = {
            "peppi": self.peppi,
            "columns": lambda: self.ingest(False, False),
            "parquet": lambda: self.ingest(True, False),
            "windows": lambda: self.ingest(False, True),
            "both": lambda: self.ingest(True, True),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name in random.Random(number).sample(list(ways), len(ways)):
                took = cpu_seconds(ways[name])
                if number:
                    seconds[name].append(took)
        floor = seconds.pop("peppi")
        ratios = {name: [a / b for a, b in zip(taken, floor, strict=True)] for name, taken in seconds.items()}
        return {
            name: {"median": round(statistics.median(r), 2), "least": round(min(r), 2), "greatest": round(max(r), 2)}
            for name, r in ratios.items()
        }, statistics.median(floor)

    def peppi(self) -> None:
        """Parse with peppi alone, the floor."""
        for path in self._paths:
            peppi_py.read_slippi(str(path))

    def ingest(self, with_frames: bool, with_windows: bool) -> tuple[ShardInfo, ...]:
        """Hash, parse, and write what is asked for, as a job does."""
        with ShardWriter(self._folder, next(self._numbers)) as writer, Reader() as reader:
            self.frames = 0
            for candidate in self._candidates:
                id_ = reader.content_id(candidate)
                parsed: ParsedReplay = parse_columns(candidate.source, rollback="last")
                self.frames += parsed.num_frames
                if with_frames:
                    rows_digest(parsed.columns)
                    writer.add_frames(id_, parsed.columns)
                if with_windows:
                    sample = sample_of({"id": id_} | parsed.played, parsed.columns, CODEC, ALL)
                    writer.add_window(sample, "train")
        return writer.shards

    def sizes(self) -> dict[str, float]:
        """Bytes per frame of both files, and of windows also per feature."""
        shards = self.ingest(True, True)
        table, windows = (sum(one.bytes for one in shards if one.kind == kind) for kind in ("frames", "windows"))
        features = len(FEATURES) + len(INDICES) + 2 * len(CODEC.components)
        return {
            "frame_table": round(table / self.frames, 2),
            "windows": round(windows / self.frames, 2),
            "windows_per_feature": round(windows / self.frames / features, 4),
        }


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of ``work``."""
    start = time.process_time()
    work()
    return time.process_time() - start


def unzip_seconds(paths: Sequence[Path], folder: Path) -> float:
    """How much longer it takes to read the replays from a zip than from loose files."""
    archive = folder / "replays.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in paths:
            zipped.write(path, path.name)
    return cpu_seconds(lambda: read_all([archive])) - cpu_seconds(lambda: read_all(paths))


def read_all(sources: Sequence[Path]) -> None:
    """Read the bytes of every replay."""
    with Reader() as reader:
        for candidate in find_candidates(sources):
            reader.read(candidate)


def peers(path: Path) -> dict[str, int]:
    """Frames per CPU second of exphil, of libmelee's file console and of a Python loop."""
    frames = parse_columns(path, rollback="last").num_frames
    ways: dict[str, Callable[[], object]] = {
        "exphil_columns": lambda: parse_columns(path, rollback="last"),
        "libmelee": lambda: libmelee_loop(path),
        "python_item_loop": lambda: item_loop(path),
    }
    return {name: round(frames / cpu_seconds(work)) for name, work in ways.items()}


def libmelee_loop(path: Path) -> None:
    """Walk every game state that libmelee makes of a file."""
    console = melee.Console(path=str(path), is_dolphin=False, allow_old_version=True)
    console.connect()
    while console.step() is not None:
        pass


def item_loop(path: Path) -> list[object]:
    """Every frame and each of its items as Python values."""
    rows: list[object] = []
    for frame in _peppi.read_slippi(str(path), False).frames:
        record = frame.as_py()
        items = [(item["id"], item["type"], item["position"]["x"]) for item in record.get("item") or []]
        rows.append((record["id"], [port["leader"]["post"] for port in record["ports"].values()], items))
    return rows


def pipeline(paths: Sequence[Path], folder: Path, peppi_seconds: float) -> dict[str, float]:
    """Run ``exphil ingest`` itself in one process, then again with nothing new."""
    store, options = folder / "store", IngestOptions(workers=1, min_frames=1)
    first = cpu_seconds(lambda: ingest(paths, store, options))
    start = time.perf_counter()
    again = cpu_seconds(lambda: ingest(paths, store, options))
    return {
        "times_peppi": round(first / peppi_seconds, 2),
        "unchanged_cpu_s": round(again, 3),
        "unchanged_wall_s": round(time.perf_counter() - start, 3),
    }


def show(row: dict[str, object]) -> None:
    """Print one figure per line."""
    for name, value in row.items():
        print(f"{name}: {json.dumps(value) if isinstance(value, dict) else value}")


def machine() -> dict[str, object]:
    """Hardware, versions and commit."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    packages = ("numpy", "pyarrow", "peppi-py", "zstandard", "melee")
    return {
        "hardware": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "commit": commit.stdout.strip(),
    }


if __name__ == "__main__":
    main()
