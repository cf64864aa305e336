"""How near the order of windows and lanes is to a shuffle of everything, and how much memory it takes.

The benchmark walks an epoch that predicts every frame of the Falcos in the train split once from a window of its own
(lanes: 60 at a time), 256 per batch, over ``--copies`` times the store. It measures:

- replays per batch: how many different replays a batch holds.
- spread: how unevenly a replay's windows are distributed over the epoch, as the mean over replays of the
  Kolmogorov–Smirnov distance to an even distribution (0: all over the epoch, 1: all at once).
- echo: the correlation between the starts of two consecutive windows of one replay.

Each figure is compared with the same windows in a random order, which is a global shuffle, and with a shuffle buffer of
1 000 windows that is fed replays in random order. With ``--peak`` the benchmark walks an epoch of windows and one of
lanes, keeps nothing of them, and reports the peak resident memory of the process, packed replays included.

    python -m benchmarks.shuffle --store STORE [--copies 1] [--memory BYTES] [--peak]
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataset.melee.ids import character_from_name
from dataset.store.store import Store
from dataset.stream.bank import Bank
from dataset.stream.sampler import Lanes, Sampler
from dataset.stream.windows import MEMORY, Windows

FALCO = character_from_name("falco").internal
WINDOW, BATCH, BUFFER = 60, 256, 1000

Order = NDArray[np.int64]
"""[windows, 2] replay and first row of each window, in the order in which the windows come."""


def walked(sampler: Sampler) -> Order:
    """The order of one epoch."""
    replay_of = np.array([track.replay for track in sampler.bank.tracks])
    found = []
    for batch in sampler.batches(0):
        busy = batch.track >= 0
        found.append(np.stack([replay_of[batch.track[busy]], batch.start[busy]], axis=1))
    return np.concatenate(found)


def buffered(bank: Bank) -> Order:
    """The order from a shuffle buffer that is fed replays in random order, each cut into all its windows."""
    draw, buffer, found = random.Random(0), list[tuple[int, int]](), list[tuple[int, int]]()
    for place in np.random.default_rng(0).permutation(len(bank.tracks)).tolist():
        track = bank.tracks[place]
        for first in range(track.num_frames - WINDOW + 1):
            buffer.append((track.replay, first))
            if len(buffer) == BUFFER:
                at = draw.randrange(BUFFER)
                buffer[at], buffer[-1] = buffer[-1], buffer[at]
                found.append(buffer.pop())
    return np.array(found + buffer)


def replays_per_batch(order: Order) -> float:
    """Mean number of different replays in a batch."""
    whole = order[: len(order) // BATCH * BATCH, 0].reshape(-1, BATCH)
    return float(np.mean([len(np.unique(batch)) for batch in whole]))


def by_replay(order: Order) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """For each replay, when its windows come (0 to 1 in the epoch) and where they begin."""
    place = np.argsort(order[:, 0], kind="stable")
    cuts = np.flatnonzero(np.diff(order[place, 0])) + 1
    return [((own + 0.5) / len(order), order[own, 1]) for own in np.split(place, cuts) if len(own) > 2]


def spread(order: Order) -> float:
    """Mean over replays of the Kolmogorov–Smirnov distance to an even distribution."""
    distances = [np.abs(when - np.linspace(0, 1, len(when))).max() for when, _ in by_replay(order)]
    return float(np.mean(distances))


def echo(order: Order) -> float:
    """Mean over replays of the correlation between the first rows of consecutive windows."""
    return float(np.mean([np.corrcoef(start[:-1], start[1:])[0, 1] for _, start in by_replay(order)]))


def measured(order: Order) -> dict[str, float]:
    """The three figures of an order and of a global shuffle of the same windows."""
    shuffled = np.random.default_rng(0).permutation(order)
    figures = {"replays per batch": replays_per_batch, "spread": spread, "echo": echo}
    return {name: round(figure(order), 4) for name, figure in figures.items()} | {
        f"{name}, global shuffle": round(figure(shuffled), 4) for name, figure in figures.items()
    }


def peak_mb() -> float:
    """Peak resident memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)


def main() -> None:
    """Measure, and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--memory", type=int, default=MEMORY, help="bytes of decoded replays shuffled together")
    parser.add_argument("--peak", action="store_true", help="measure only memory")
    options = parser.parse_args()
    store = Store(options.store)
    bank = Bank((one for _ in range(options.copies) for one in store.packed("train")), FALCO)
    windows = Windows(bank, rows=BATCH, window=WINDOW, delay=0, burn_in=WINDOW - 1, memory=options.memory)
    lanes = Lanes(bank, rows=BATCH, window=WINDOW, delay=0)
    about = {"benchmark": "shuffle", "frames": bank.num_frames, "replays": len(bank.ids), "memory": options.memory}
    if options.peak:
        num_batches = {"windows": sum(1 for _ in windows.batches(0)), "lanes": sum(1 for _ in lanes.batches(0))}
        print(json.dumps(about | {"batches": num_batches, "packed_mb": bank.size_bytes / 1e6, "peak_mb": peak_mb()}))
        return
    found = {
        name: measured(order)
        for name, order in (("windows", walked(windows)), ("lanes", walked(lanes)), ("buffer", buffered(bank)))
    }
    for name, figures in found.items():
        print(f"{name:10}", "  ".join(f"{what} {value:g}" for what, value in figures.items()))
    print(json.dumps(about | {"found": found}))


if __name__ == "__main__":
    main()
