"""How fast windows and lanes come from a store, against copying the same bytes in C and against naive loaders.

The benchmark measures CPU time of one process, decoding included, for 60-frame windows of all default features (240
bytes per frame), 256 per batch. An epoch of *windows* has one window ending at every frame of the Falcos in the train
split. Replays are packed in memory, decoded in each epoch, and gathered in shuffled order. *Lanes* pass every frame
once, so that a decoded frame is copied once and not 60 times. These run side by side, round after round:

- memcpy: the floor. A C loop, compiled here with ``cc -O2``, copies the same windows in random order from one decoded
  array into one buffer. It decodes nothing.
- memcpy in order: the same for consecutive windows, as in a lane.
- decode: decodes all tracks into rows and does nothing else.
- webdataset: the naive way. ``webdataset`` reads the shards. Each replay is decoded by exphil's own ``decode`` and cut
  into all its windows; these pass through its shuffle buffer of 1 000 and are stacked into batches. The first
  ``--peer-windows`` are timed.
- one-replay samples: a file of raw row-major replays with an index, read one at a time in random order, cut, shuffled
  within 1 000 windows and stacked. Nothing is decoded; this is the best that a format with random access could do.
- MDS: the ``streaming`` library itself, if it is installed (``pip install mosaicml-streaming``), with its own format,
  one window per sample, and its own shuffle; the same code stacks its batches.

``benchmarks.shuffle`` measures how near the order is to a shuffle of all frames.

    python -m benchmarks.loader --store STORE [--rounds 5]
"""

import argparse
import ctypes
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import webdataset
from numpy.typing import NDArray

from dataset.melee.ids import character_from_name
from dataset.store.store import Store
from dataset.stream.bank import PLAIN, Bank, decode
from dataset.stream.sampler import Lanes, Sampler
from dataset.stream.track_memory import Layout
from dataset.stream.window_shards import unpack
from dataset.stream.windows import Windows

FALCO = character_from_name("falco").internal
WINDOW, BATCH, BUFFER = 60, 256, 1000
FIELDS = ("continuous", "indices", "previous", "target")

GATHER = """
#include <string.h>
void gather(char *out, const char *rows, const long *first, long count, long bytes, long width) {
    for (long i = 0; i < count; i++) memcpy(out + i * bytes, rows + first[i] * width, bytes);
}
"""

Work = Callable[[], int]
"""Delivers windows and returns their number."""


def compiled() -> Any:
    """Compile ``GATHER`` and return its function."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "gather.c", Path(folder) / "gather.so"
        source.write_text(GATHER)
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
        gather = ctypes.CDLL(str(library)).gather
    gather.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_long] * 3]
    gather.restype = None
    return gather


def decoded(bank: Bank) -> NDArray[np.uint8]:
    """All tracks, decoded one after the other into one array."""
    rows = np.zeros((bank.num_frames + WINDOW, bank.layout.width), dtype=np.uint8)
    first = 0
    for track in bank.tracks:
        bank.decode(track, 0, PLAIN, rows[first : first + track.num_frames])
        first += track.num_frames
    return rows


def memcpy(gather: Any, rows: NDArray[np.uint8], order: NDArray[np.int64]) -> Work:
    """Copy the windows that begin at ``order``, batch by batch."""
    width = rows.shape[1]
    out = np.empty(BATCH * WINDOW * width, dtype=np.uint8)

    def work() -> int:
        for at in range(0, len(order) - BATCH + 1, BATCH):
            gather(out.ctypes.data, rows.ctypes.data, order[at:].ctypes.data, BATCH, WINDOW * width, width)
        return len(order) // BATCH * BATCH

    return work


def read_bank(store: str) -> Bank:
    """The train split, read from disk and verified."""
    return Bank(Store(store).packed("train"), FALCO)


def sampled(sampler: Sampler) -> Work:
    """A whole epoch, repeated by later calls, so that after the first one the system has already given out its memory."""
    return lambda: sum(int(np.count_nonzero(batch.track >= 0)) for batch in sampler.batches(0))


def decode_all(bank: Bank) -> Work:
    """Decode every track; each frame counts as one window."""
    out = np.zeros((max(track.num_frames for track in bank.tracks), bank.layout.width), dtype=np.uint8)

    def work() -> int:
        for track in bank.tracks:
            bank.decode(track, 0, PLAIN, out[: track.num_frames])
        return bank.num_frames

    return work


def cut(layout: Layout, rows: NDArray[np.uint8], mask: NDArray[np.bool_], stride: int) -> Iterator[dict[str, Any]]:
    """The windows of a decoded replay, one dict per window."""
    for first in range(0, len(rows) - WINDOW + 1, stride):
        window = rows[first : first + WINDOW]
        yield dict(zip(FIELDS, layout.views(window), strict=True)) | {"mask": mask[first : first + WINDOW]}


def stacked(windows: Iterable[dict[str, Any]], most: int) -> int:
    """Stack windows into batches, field by field, until there are ``most`` windows."""
    count, batch = 0, []
    for window in windows:
        batch.append(window)
        if len(batch) == BATCH:
            for name in batch[0]:
                np.stack([one[name] for one in batch])
            count, batch = count + BATCH, []
            if count >= most:
                break
    return count


def naive_webdataset(store: Store, layout: Layout, stride: int, most: int) -> Work:
    """Cut, shuffle and batch with the ``webdataset`` library."""
    urls = [str(store.shard_path(shard)) for shard in store.manifest.of_kind("windows", "train")]

    def windows(samples: Iterable[dict[str, bytes]]) -> Iterator[dict[str, Any]]:
        for packed in samples:
            sample = unpack(packed["json"], packed["zst"])
            for side in np.flatnonzero(np.array(sample.characters) == FALCO).tolist():
                rows = np.empty((sample.num_frames, layout.width), dtype=np.uint8)
                yield from cut(layout, rows, decode(sample, side, 0, PLAIN, layout, rows), stride)

    def work() -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipeline = webdataset.WebDataset(urls, shardshuffle=len(urls), seed=0).compose(windows).shuffle(BUFFER)
            return stacked(pipeline, most)

    return work


def one_replay_samples(bank: Bank, file: Path, stride: int, most: int) -> Work:
    """Read raw row-major replays from one file, one whole replay at a time."""
    ends, masks = [0], list[NDArray[np.bool_]]()
    with file.open("wb") as out:
        for track in bank.tracks:
            rows = np.zeros((track.num_frames, bank.layout.width), dtype=np.uint8)
            masks.append(bank.decode(track, 0, PLAIN, rows))
            out.write(rows.tobytes())
            ends.append(out.tell())

    def replays() -> Iterator[dict[str, Any]]:
        with file.open("rb") as source:
            for i in np.random.default_rng(0).permutation(len(bank.tracks)):
                source.seek(ends[i])
                rows = np.frombuffer(source.read(ends[i + 1] - ends[i]), dtype=np.uint8)
                yield from cut(bank.layout, rows.reshape(-1, bank.layout.width), masks[i], stride)

    def shuffled() -> Iterator[dict[str, Any]]:
        draw, buffer = random.Random(0), []
        for window in replays():
            buffer.append(window)
            if len(buffer) == BUFFER:
                place = draw.randrange(BUFFER)
                buffer[place], buffer[-1] = buffer[-1], buffer[place]
                yield buffer.pop()
        yield from buffer

    return lambda: stacked(shuffled(), most)


def mds(bank: Bank, folder: Path, most: int) -> Work:
    """Windows as MosaicML's ``streaming`` keeps and shuffles them, one per sample."""
    streaming = import_module("streaming")
    layout = bank.layout
    with streaming.MDSWriter(out=str(folder), columns={"frames": "bytes", "mask": "bytes"}) as out:
        for track in islice(cycle(bank.tracks), most // 1000 + 1):
            rows = np.empty((track.num_frames, layout.width), dtype=np.uint8)
            mask = bank.decode(track, 0, PLAIN, rows)
            for first in range(min(1000, track.num_frames - WINDOW)):
                window = slice(first, first + WINDOW)
                out.write({"frames": rows[window].tobytes(), "mask": mask[window].tobytes()})
    data = streaming.StreamingDataset(local=str(folder), shuffle=True, batch_size=BATCH)

    def windows() -> Iterator[dict[str, Any]]:
        for sample in data:
            frames = np.frombuffer(sample["frames"], dtype=np.uint8).reshape(WINDOW, -1)
            yield {"frames": frames, "mask": np.frombuffer(sample["mask"], dtype=np.bool_)}

    return lambda: stacked(windows(), most)


def measure(ways: dict[str, Work], rounds: int) -> dict[str, list[float]]:
    """CPU microseconds per window of every way, round by round, after one warm-up round."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, work in ways.items():
            began = time.process_time()
            windows = work()
            if number > 0:
                found[name].append((time.process_time() - began) / windows * 1e6)
        print(f"round {number} of {rounds}" + (" (warm-up)" if number == 0 else ""), file=sys.stderr)
    return found


def main() -> None:
    """Measure, and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-windows", type=int, default=10_000)
    options = parser.parse_args()
    store, bank = Store(options.store), read_bank(options.store)
    rows, gather = decoded(bank), compiled()
    everywhere = np.random.default_rng(0).permutation(bank.num_frames)
    after_each_other = np.arange(0, bank.num_frames, WINDOW)
    in_lanes = after_each_other[: len(after_each_other) // BATCH * BATCH].reshape(BATCH, -1).T.ravel().copy()
    most = options.peer_windows
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "replays.bin"
        few = min(most, bank.num_frames // WINDOW // BATCH * BATCH)
        ways = {
            "memcpy": memcpy(gather, rows, everywhere),
            "windows": sampled(Windows(bank, rows=BATCH, window=WINDOW, delay=0, burn_in=WINDOW - 1)),
            "webdataset": naive_webdataset(store, bank.layout, 1, most),
            "one-replay samples": one_replay_samples(bank, file, 1, most),
            "memcpy in order": memcpy(gather, rows, in_lanes),
            "lanes": sampled(Lanes(bank, rows=BATCH, window=WINDOW, delay=0)),
            "webdataset, each frame once": naive_webdataset(store, bank.layout, WINDOW, few),
            "one-replay samples, each frame once": one_replay_samples(bank, file, WINDOW, few),
            "decode (per frame)": decode_all(bank),
        }
        if find_spec("streaming"):
            ways["MDS"] = mds(bank, Path(folder) / "mds", most)
        found = measure(ways, options.rounds)
    report(found, bank, options.rounds)


def ratio(found: dict[str, list[float]], over: str, under: str) -> tuple[float, float, float]:
    """Median, minimum and maximum over the rounds of one way's time divided by another's."""
    ratios = [a / b for a, b in zip(found[over], found[under], strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def report(found: dict[str, list[float]], bank: Bank, rounds: int) -> None:
    """Print the table and one line of JSON."""
    median = {name: statistics.median(times) for name, times in found.items()}
    for name, times in found.items():
        print(f"{name:38} {median[name]:8.3f} µs per window  [{min(times):.3f} – {max(times):.3f}]")
    ratios = {
        "windows, share of memcpy's speed": ratio(found, "memcpy", "windows"),
        "windows over webdataset": ratio(found, "webdataset", "windows"),
        "windows over one-replay samples": ratio(found, "one-replay samples", "windows"),
        "lanes, share of memcpy's speed": ratio(found, "memcpy in order", "lanes"),
        "lanes over webdataset, each frame once": ratio(found, "webdataset, each frame once", "lanes"),
        "lanes over one-replay samples, each frame once": ratio(found, "one-replay samples, each frame once", "lanes"),
    }
    if "MDS" in found:
        ratios["windows over MDS"] = ratio(found, "MDS", "windows")
    once = [lanes - WINDOW * decode for lanes, decode in zip(found["lanes"], found["decode (per frame)"], strict=True)]
    shares = [floor / left for floor, left in zip(found["memcpy in order"], once, strict=True)]
    ratios["lanes without their decode, share of memcpy's speed"] = (
        statistics.median(shares),
        min(shares),
        max(shares),
    )
    for name, (middle, low, high) in ratios.items():
        print(f"{name:52} {middle:6.2f}  [{low:.2f} – {high:.2f}]")
    machine = {"processor": platform.processor() or platform.machine(), "cpus": os.cpu_count()}
    versions = {"python": platform.python_version()} | {
        name: version(name) for name in ("numpy", "zstandard", "webdataset")
    }
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    about = {"benchmark": "loader", "rounds": rounds, "frames": bank.num_frames, "frame_bytes": bank.layout.width}
    print(
        json.dumps(
            about
            | {"us_per_window": {name: round(value, 4) for name, value in median.items()}}
            | {"ratios": {name: [round(value, 3) for value in values] for name, values in ratios.items()}}
            | {"machine": machine, "versions": versions, "commit": commit.stdout.strip()}
        )
    )


if __name__ == "__main__":
    main()
