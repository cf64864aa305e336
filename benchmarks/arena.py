"""How many frames of games per CPU-second the arena plays in ``duel``, and where their time goes.

Without a policy two scripted players play each other. With one, the same run sits on both sides of every game; it is untrained
but starts at persistence, so its controllers change about as often as a player's, and to more different ones. Every cohort
plays as many frames from the start of its games, and the median of several rounds is taken. Times are CPU times of one
thread, since the machine may be shared.

At N = 64 the policy's time is compared with its floor, measured between the frames of the same games: the products of its
large matrices with as many rows, all at once, in the same library. Everything else is the world, the encoder, agents and
the tally.

    python -m benchmarks.arena --frames 400 --rounds 3
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.floor_graphs import weights_alone
from benchmarks.play import machine, make_run
from dataset.melee.ids import STAGES
from dataset.stats.conduct.tally import Tally
from play.agent.agent import PolicyInput, Stepper
from play.arena.cohort import Entrant, Pairing, plan, play_cohort, teams_of
from play.runtime.rows import load_rows
from play.worlds.duel import DuelWorld
from train.export.export import export_run

SIZES = (1, 16, 64, 256)
COMPARED = 64


class Timed:
    """A stepper that adds up its CPU time."""

    def __init__(self, stepper: Stepper) -> None:
        self.stepper, self.seconds = stepper, 0.0

    def reset(self) -> None:
        """Begin new games."""
        self.stepper.reset()

    def step(self, given: PolicyInput) -> Any:
        """Step, and count the time."""
        begin = time.thread_time()
        decided = self.stepper.step(given)
        self.seconds += time.thread_time() - begin
        return decided


def main() -> None:
    """Measure, and print a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=400, help="of every cohort; players enter in the first 123")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder, "gru"), "gru", (256, 256))
        graph = export_run(run).path.read_bytes()
        rows = [measured(run, graph, options.frames, number) for number in range(options.rounds)]
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    for name, value in medians.items():
        least, most = (choose(row[name] for row in rows) for choose in (min, max))
        print(f"{name:32} {value:10.3f}   {least:.3f} - {most:.3f}")
    print(json.dumps({"benchmark": "arena", **machine(), "frames": options.frames, "rows": medians}))


def measured(run: Path, graph: bytes, num_frames: int, seed: int) -> dict[str, float]:
    """All figures of one round."""
    found = {"world_alone": played(scripted(), COMPARED, num_frames, seed)[0]}
    for size in SIZES:
        found[f"gru_both_sides_{size}"], policy_s, floor_s, others_s = played(
            policies(run), size, num_frames, seed, graph if size == COMPARED else None
        )
        if size == COMPARED:
            found |= {"policy_ms": policy_s * 1000, "floor_ms": floor_s * 1000, "others_ms": others_s * 1000}
            found |= {"policy_over_floor": policy_s / floor_s, "others_over_policy": others_s / policy_s}
    for size in SIZES[1:]:
        found[f"ratio_to_1_{size}"] = found[f"gru_both_sides_{size}"] / found["gru_both_sides_1"]
    return found


def scripted() -> Pairing:
    """Two scripted players."""
    own, other = (Entrant(name=name, characters=(name,), level=3) for name in ("mewtwo", "fox"))
    return Pairing(own=own, other=other, number=0)


def policies(run: Path) -> Pairing:
    """One run on both sides."""
    loaded, rows = load_rows(str(run), 1.0, "onnx")
    own = Entrant(name="gru", characters=("mewtwo",), run=loaded, rows=lambda players: Timed(rows(players)))
    return Pairing(own=own, other=own, number=0)


def played(
    pairing: Pairing, size: int, num_frames: int, seed: int, graph: bytes | None = None
) -> tuple[float, float, float, float]:
    """Game frames per CPU-second; then CPU-seconds per frame of the cohort: of policy, floor and everything else."""
    games = plan(pairing, size, [stage.name for stage in STAGES], seed)
    tally, teams = Tally(size), teams_of(pairing, games)
    floor = None if graph is None else weights_alone(graph, 2 * size)[0]
    floor_s = spent_s = 0.0
    begin = time.thread_time()
    for frames in play_cohort(DuelWorld(num_frames), games, teams, num_frames):
        tally.add(frames)
        if floor is not None:
            spent_s += time.thread_time() - begin
            begin = time.thread_time()
            floor()
            floor_s += time.thread_time() - begin
            begin = time.thread_time()
    spent_s += time.thread_time() - begin
    policy_s = sum(team.stepper.seconds for team in teams if isinstance(team.stepper, Timed))
    each = [seconds / num_frames for seconds in (policy_s, floor_s, spent_s - policy_s)]
    return int(tally.frames.sum()) / spent_s, each[0], each[1], each[2]


if __name__ == "__main__":
    main()
