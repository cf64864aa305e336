"""How much slower a store is over loopback HTTP and S3 than from disk, with a cold and a warm cache.

The benchmark reads, verifies and decodes every window shard of a store, as a training run's first epoch does. It also
only reads and verifies them, which shows the transfer alone. The servers (Python's ``http.server``, moto's S3) run in
processes of their own. They share the client's cores, but their CPU time is counted separately (Linux). Rounds
interleave all ways. The figures are medians of wall and CPU time, and their ratio to the local read of the same round.

    python -m benchmarks.remote --store STORE [--rounds 7]
"""

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import fsspec

from dataset.store.store import Store
from dataset.stream.window_shards import read_shard

WAYS = ("local", "http cold", "http warm", "s3 cold", "s3 warm")


def read_all(url: str, is_decoded: bool) -> int:
    """Open a store and read all window shards; return their bytes, or their frames if decoded."""
    store, total = Store(url), 0
    for _, data in store.usable_shards(store.manifest.of_kind("windows")):
        total += sum(sample.num_frames for sample in read_shard(data)) if is_decoded else len(data)
    return total


Times = tuple[float, float, float]
"""Seconds of wall time, of CPU time of this process, and of CPU time of the server."""


def server_seconds(server: int | None) -> float:
    """CPU time of a process so far, over all its threads."""
    if server is None:
        return 0.0
    fields = Path(f"/proc/{server}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(work: Callable[[], int], server: int | None) -> tuple[Times, int]:
    """The times of a piece of work, and its result."""
    wall, cpu, served = time.perf_counter(), time.process_time(), server_seconds(server)
    found = work()
    return (time.perf_counter() - wall, time.process_time() - cpu, server_seconds(server) - served), found


@contextmanager
def running(*command: str, port: int) -> Iterator[int]:
    """Run a server in a process of its own until the block ends; yields its process id once it answers."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen([sys.executable, *command], stdout=quiet, stderr=quiet) as server:
        try:
            while server.poll() is None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield server.pid
        finally:
            server.terminate()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def addresses(folder: Path) -> Iterator[dict[str, tuple[str, int | None]]]:
    """The address of the store by each way, and the process id of its server."""
    http, s3 = free_port(), free_port()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3}",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_DEFAULT_REGION": "us-east-1",
        "no_proxy": "127.0.0.1",
    }
    with ExitStack() as stack:
        command = ("-m", "http.server", str(http), "--bind", "127.0.0.1", "--directory", str(folder))
        http_server = stack.enter_context(running(*command, port=http))
        s3_server = stack.enter_context(running("-m", "moto.server", "-H", "127.0.0.1", "-p", str(s3), port=s3))
        bucket = fsspec.filesystem("s3")
        bucket.mkdir("benchmark")
        bucket.put(f"{folder}/", "benchmark/store", recursive=True)
        yield {
            "local": (str(folder), None),
            "http": (f"http://127.0.0.1:{http}", http_server),
            "s3": ("s3://benchmark/store", s3_server),
        }


def measure(folder: Path, rounds: int) -> dict[str, dict[str, list[Times]]]:
    """Times of every round by kind of work and way, including opening the store."""
    found: dict[str, dict[str, list[Times]]] = {}
    with addresses(folder) as urls, tempfile.TemporaryDirectory() as cache:
        os.environ["EXPHIL_CACHE"] = cache
        for turn in range(rounds + 1):
            for kind, is_decoded in (("decoded", True), ("bytes", False)):
                shutil.rmtree(Path(cache) / "shards", ignore_errors=True)
                results = set()
                for way in WAYS:
                    url, server = urls[way.split()[0]]
                    times, total = timed(partial(read_all, url, is_decoded), server)
                    results.add(total)
                    if way == "http warm":  # S3 must begin cold and not find what HTTP cached
                        shutil.rmtree(Path(cache) / "shards")
                    if turn:  # the first round warms the page cache, the servers and the imports
                        found.setdefault(kind, {}).setdefault(way, []).append(times)
                assert len(results) == 1, f"ways disagree: {results}"
    return found


def main() -> None:
    """Measure, and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    shards = Store(options.store).manifest.of_kind("windows")
    size, frames = (sum(getattr(shard, name) for shard in shards) for name in ("bytes", "frames"))
    print(f"{len(shards)} window shards, {size / 1e6:.1f} MB, {frames:,} frames, {options.rounds} rounds")
    print(f"{'':10}{'way':12}{'wall ms':>9}{'cpu ms':>9}{'server':>9}{'wall ×':>9}{'cpu ×':>9}{'worst ×':>9}")
    rows = []
    for kind, ways in measure(options.store, options.rounds).items():
        for way, times in ways.items():
            ratios = [
                [one[part] / base[part] for one, base in zip(times, ways["local"], strict=True)] for part in (0, 1)
            ]
            row = {
                "kind": kind,
                "way": way,
                **{
                    f"{name}_ms": round(1000 * statistics.median(one[part] for one in times), 1)
                    for part, name in enumerate(("wall", "cpu", "server_cpu"))
                },
                "wall_ratio": round(statistics.median(ratios[0]), 2),
                "cpu_ratio": round(statistics.median(ratios[1]), 2),
                "wall_ratio_worst": round(max(ratios[0]), 2),
            }
            rows.append(row)
            print(
                f"{kind:10}{way:12}{row['wall_ms']:9}{row['cpu_ms']:9}{row['server_cpu_ms']:9}{row['wall_ratio']:9}{row['cpu_ratio']:9}"
                f"{row['wall_ratio_worst']:9}"
            )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    about = {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    print(json.dumps({**about, "commit": commit.stdout.strip(), "bytes": size, "frames": frames, "rows": rows}))


if __name__ == "__main__":
    main()
