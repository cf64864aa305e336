"""What a question to a store of 50 million frames takes beside hand-written polars and DuckDB, and in how much memory.

All three scan the store's own frame shards many times over until they make up ``--frames`` rows. So the rows repeat,
and the bytes come from the page cache. The figures are CPU seconds of the process, threads included, as medians of
``--rounds`` interleaved rounds after one warm-up round. The ratio is exphil's time to the better of the other two. The
answers are compared before anything is timed. Peak resident memory is that of a child process that asks only this
question. ``exphil stats`` is timed as a command, beside a bare interpreter.

    python -m benchmarks.stats --store STORE --frames 50000000
"""

import argparse
import dataclasses
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "2")

try:
    import duckdb
except ModuleNotFoundError:
    raise SystemExit("duckdb is not installed, and this benchmark compares with it; pip install duckdb") from None
import polars as pl

from dataset.stats.queries import query, sql
from dataset.store.frame_table import scan_frames
from dataset.store.store import Store

THREADS = int(os.environ["POLARS_MAX_THREADS"])

SQL = {
    "damage by stage and matchup": (
        "select stage, a_character, b_character, count(*) as n, avg(a_percent) as a, avg(b_percent) as b from frames "
        "group by stage, a_character, b_character"
    ),
    "position on the ground": (
        "select a_character, avg(a_x) as x, avg(a_y) as y from frames where a_on_ground and a_stocks > 1 "
        "group by a_character"
    ),
    "l-cancels": (
        "select a_character, a_l_cancel, count(*) as n from frames where a_l_cancel > 0 group by a_character, a_l_cancel"
    ),
}
"""exphil answers these through ``--sql``; DuckDB answers the same text."""

ACTIONS_SQL = (
    "select character, action_state, count(*) as frames from ("
    "select a_character as character, a_action_state as action_state from frames union all "
    "select b_character, b_action_state from frames) group by character, action_state"
)


def tiled(path: str, frames: int) -> Store:
    """The store with its frame shards repeated until they hold ``frames`` rows."""
    store = Store(path)
    shards = store.manifest.of_kind("frames")
    tiles = -(-frames // store.manifest.frames)
    store.manifest = dataclasses.replace(
        store.manifest, shards=tuple(shards) * tiles, frames=store.manifest.frames * tiles
    )
    return store


def scan(store: Store) -> list[str]:
    """The path of every shard file, as often as it is scanned."""
    return [str(store.shard_path(shard)) for shard in store.manifest.of_kind("frames")]


def polars_actions(paths: list[str]) -> pl.DataFrame:
    """Both sides stacked, one group-by."""
    frames = scan_frames(paths)
    sides = [frames.select(character=f"{s}_character", action_state=f"{s}_action_state") for s in "ab"]
    return pl.concat(sides).group_by("character", "action_state").agg(pl.len()).collect(engine="streaming")


def polars_damage(paths: list[str]) -> pl.DataFrame:
    """The same query as its SQL."""
    keys = ["stage", "a_character", "b_character"]
    means = [pl.len(), pl.col("a_percent").mean(), pl.col("b_percent").mean()]
    return scan_frames(paths).group_by(keys).agg(means).collect(engine="streaming")


def polars_position(paths: list[str]) -> pl.DataFrame:
    """The same query as its SQL."""
    kept = scan_frames(paths).filter(pl.col("a_on_ground") & (pl.col("a_stocks") > 1))
    return kept.group_by("a_character").agg(pl.col("a_x", "a_y").mean()).collect(engine="streaming")


def polars_l_cancels(paths: list[str]) -> pl.DataFrame:
    """The same query as its SQL."""
    kept = scan_frames(paths).filter(pl.col("a_l_cancel") > 0)
    return kept.group_by("a_character", "a_l_cancel").agg(pl.len()).collect(engine="streaming")


BY_HAND = {
    "damage by stage and matchup": polars_damage,
    "position on the ground": polars_position,
    "l-cancels": polars_l_cancels,
}


def duck(paths: list[str], text: str) -> pl.DataFrame:
    """DuckDB's answer."""
    connection = duckdb.connect()
    connection.execute(f"set threads = {THREADS}")
    connection.execute(f"create view frames as select * from read_parquet({paths}, union_by_name=true)")
    found = connection.execute(text)
    return pl.DataFrame(found.fetchall(), schema=[column[0] for column in found.description], orient="row")


def contenders(store: Store) -> dict[str, dict[str, Callable[[], pl.DataFrame]]]:
    """For every question, the three ways to answer it."""
    paths = scan(store)
    asked: dict[str, dict[str, Callable[[], pl.DataFrame]]] = {
        "actions": {
            "exphil": lambda: query(store, "actions"),
            "polars": lambda: polars_actions(paths),
            "duckdb": lambda: duck(paths, ACTIONS_SQL),
        }
    }
    for name, text in SQL.items():
        asked[name] = {
            "exphil": lambda text=text: sql(store, text),  # type: ignore[misc]
            "polars": lambda by_hand=BY_HAND[name]: by_hand(paths),  # type: ignore[misc]
            "duckdb": lambda text=text: duck(paths, text),  # type: ignore[misc]
        }
    return asked


def numbers(frame: pl.DataFrame) -> list[float]:
    """All numbers of an answer, rounded and sorted, for comparing answers."""
    values = [v for column in frame.select(pl.selectors.numeric()).iter_columns() for v in column.to_list()]
    return sorted(round(float(v), 1) for v in values)


def agree(name: str, answers: dict[str, pl.DataFrame]) -> None:
    """Stop if the three answers differ; exphil's own has names instead of ids, and shares as well."""
    if name == "actions":
        answers["exphil"] = answers["exphil"].select("action_state", "frames")
        answers = {who: answer.select(pl.col(answer.columns[-2:])) for who, answer in answers.items()}
    found = {who: numbers(answer) for who, answer in answers.items()}
    different = [who for who in found if found[who] != found["exphil"]]
    if different:
        raise SystemExit(f"{name}: exphil and {', '.join(different)} give different answers")


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of the process during one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def peak_mb() -> float:
    """Peak resident memory of this process; ``ru_maxrss`` would be at least that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)


def child_peak_mb(store: str, frames: int, name: str) -> float:
    """Peak resident memory of a process that asks one question."""
    command = [sys.executable, "-m", "benchmarks.stats", "--store", store, "--frames", str(frames), "--only", name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def command_seconds(store: str, name: str) -> tuple[float, float]:
    """Wall and CPU seconds of ``exphil stats --query NAME`` less those of an interpreter that does nothing."""
    runs = []
    for command in (
        [sys.executable, "-c", ""],
        [sys.executable, "-m", "exphil", "stats", "--store", store, "--query", name],
    ):
        wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        runs.append((time.perf_counter() - wall, cpu))
    return runs[1][0] - runs[0][0], runs[1][1] - runs[0][1]


def measure(arguments: argparse.Namespace) -> dict[str, object]:
    """Measure every figure."""
    store = tiled(arguments.store, arguments.frames)
    rows = {}
    for name, askers in contenders(store).items():
        agree(name, {who: ask() for who, ask in askers.items()})
        times: dict[str, list[float]] = {who: [] for who in askers}
        for _ in range(arguments.rounds):
            for who, ask in askers.items():
                times[who].append(cpu_seconds(ask))
        medians = {who: statistics.median(values) for who, values in times.items()}
        ratio = medians["exphil"] / min(medians["polars"], medians["duckdb"])
        rows[name] = {who: round(value, 3) for who, value in medians.items()} | {"ratio": round(ratio, 2)}
        print(f"{name:30} {rows[name]}")
    techniques = [cpu_seconds(lambda: query(store, "techniques")) for _ in range(arguments.rounds)]
    peaks = {
        name: child_peak_mb(arguments.store, arguments.frames, name) for name in ("actions", "techniques", "quality")
    }
    commands = {}
    for name in ("summary", "actions", "techniques", "quality"):
        found = [command_seconds(arguments.store, name) for _ in range(arguments.rounds)]
        commands[name] = {
            "wall_s": round(statistics.median(wall for wall, _ in found), 3),
            "cpu_s": round(statistics.median(cpu for _, cpu in found), 3),
        }
    return {
        "frames": store.manifest.frames,
        "tiles": len(store.manifest.shards) // len(Store(arguments.store).manifest.of_kind("frames")),
        "cpu_s": rows,
        "techniques_cpu_s": round(statistics.median(techniques), 2),
        "peak_mb": peaks,
        "command_beyond_interpreter": commands,
    }


def main() -> None:
    """Measure everything, or ask one question and print the peak resident memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True)
    parser.add_argument("--frames", type=int, default=50_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        query(tiled(arguments.store, arguments.frames), arguments.only)
        print(peak_mb())
        return
    found = measure(arguments)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    machine = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "threads": THREADS}
    versions = {"python": platform.python_version(), "polars": pl.__version__, "duckdb": duckdb.__version__}
    print(json.dumps(found | {"machine": machine, "versions": versions, "commit": commit.stdout.strip()}))


if __name__ == "__main__":
    main()
