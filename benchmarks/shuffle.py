"""How near the order of windows and lanes is to a shuffle of everything, and in how much memory it is made.

Measured over an epoch that predicts every frame of the train split's Falcos once from a window of its own (lanes: 60 at a
time), 256 in a batch, ``--copies`` times the store:

- replays a batch: how many different ones a batch holds.
- spread: how unevenly a replay's windows lie over the epoch (Kolmogorov–Smirnov distance to evenly; 0 all over it, 1 all at
  once), the mean over replays.
- echo: the correlation of where in their replay two windows begin that follow each other in it.

Each is set beside the same windows in a random order, which is what a global shuffle gives, and beside a shuffle buffer of
1 000 windows that replays, in random order, are cut into. ``--peak`` walks an epoch of windows and one of lanes, keeps
nothing of them, and reports the peak resident memory of the process, the packed replays included.

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
"""[windows, 2] replay and first row of each window in the order in which they come."""


def walked(sampler: Sampler) -> Order:
    """The order of an epoch."""
    replay_of = np.array([track.replay for track in sampler.bank.tracks])
    found = []
    for batch in sampler.batches(0):
        busy = batch.track >= 0
        found.append(np.stack([replay_of[batch.track[busy]], batch.start[busy]], axis=1))
    return np.concatenate(found)


def buffered(bank: Bank) -> Order:
    """What a shuffle buffer makes of replays in random order, each cut into all its windows."""
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


def replays_a_batch(order: Order) -> float:
    """Different replays in a batch, the mean."""
    whole = order[: len(order) // BATCH * BATCH, 0].reshape(-1, BATCH)
    return float(np.mean([len(np.unique(batch)) for batch in whole]))


def by_replay(order: Order) -> list[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """When (0 to 1 in the epoch) each replay's windows come, and where they begin."""
    place = np.argsort(order[:, 0], kind="stable")
    cuts = np.flatnonzero(np.diff(order[place, 0])) + 1
    return [((own + 0.5) / len(order), order[own, 1]) for own in np.split(place, cuts) if len(own) > 2]


def spread(order: Order) -> float:
    """Kolmogorov–Smirnov distance to evenly, the mean over replays."""
    distances = [np.abs(when - np.linspace(0, 1, len(when))).max() for when, _ in by_replay(order)]
    return float(np.mean(distances))


def echo(order: Order) -> float:
    """Correlation of the first rows of windows that follow each other in their replay, the mean over replays."""
    return float(np.mean([np.corrcoef(start[:-1], start[1:])[0, 1] for _, start in by_replay(order)]))


def measured(order: Order) -> dict[str, float]:
    """The three figures of an order and of a global shuffle of the same windows."""
    shuffled = np.random.default_rng(0).permutation(order)
    figures = {"replays a batch": replays_a_batch, "spread": spread, "echo": echo}
    return {name: round(figure(order), 4) for name, figure in figures.items()} | {
        f"{name}, global shuffle": round(figure(shuffled), 4) for name, figure in figures.items()
    }


def peak_mb() -> float:
    """Peak resident memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)


def main() -> None:
    """Measure, and print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--memory", type=int, default=MEMORY, help="bytes of decoded replays shuffled together")
    parser.add_argument("--peak", action="store_true", help="measure memory alone")
    given = parser.parse_args()
    store = Store(given.store)
    bank = Bank((one for _ in range(given.copies) for one in store.packed("train")), FALCO)
    windows = Windows(bank, rows=BATCH, window=WINDOW, delay=0, burn_in=WINDOW - 1, memory=given.memory)
    lanes = Lanes(bank, rows=BATCH, window=WINDOW, delay=0)
    about = {"benchmark": "shuffle", "frames": bank.num_frames, "replays": len(bank.ids), "memory": given.memory}
    if given.peak:
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
