"""What it costs to ingest replays and count all techniques, compared with what slippi-js costs to count its own statistics.

Every round runs the commands over the same replays, one after the other: ``exphil ingest`` into a new store (frame table and
window shards included), ``exphil stats --query techniques`` on it, and slippi-js (``tests/dataset/stats/parity/slippi_js.mjs``).
The figures are CPU seconds that the system charged to the whole processes and their children, imports included, as medians over
rounds. The ratio is the median over rounds of slippi-js's to exphil's in the same round.

    npm install --prefix PACKAGE @slippi/slippi-js@9.1.2
    python -m benchmarks.slippi_js FOLDER PACKAGE
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "tests/dataset/stats/parity/slippi_js.mjs"


def main() -> None:
    """Measure, and print the figures and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of extracted .slp files that both can read")
    parser.add_argument("package", type=Path, help="folder whose node_modules hold @slippi/slippi-js")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1, help="of the ingest; each imports exphil anew")
    options = parser.parse_args()
    paths = sorted(options.folder.rglob("*.slp"))
    if not paths:
        parser.error(f"FOLDER must hold extracted .slp files, found none in {options.folder}")
    rounds = [one_round(options.folder, paths, options.package, options.workers) for _ in range(options.rounds + 1)]
    del rounds[0]  # it warms up the page cache
    seconds = {name: round(statistics.median(one[name] for one in rounds), 2) for name in rounds[0]}
    ratios = [one["slippi-js"] / (one["ingest"] + one["techniques"]) for one in rounds]
    row = {
        "replays": len(paths),
        "rounds": options.rounds,
        "workers": options.workers,
        "cpu_s": seconds,
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in sorted(ratios)],
    }
    for name, value in row.items():
        print(f"{name:10} {value}")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    about = json.loads((options.package / "node_modules/@slippi/slippi-js/package.json").read_text(encoding="utf-8"))
    versions = {
        "python": platform.python_version(),
        "node": node,
        "slippi-js": about["version"],
        "polars": version("polars"),
    }
    machine = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    print(json.dumps(row | {"benchmark": "slippi_js", "commit": commit.stdout.strip()} | versions | machine))


def one_round(folder: Path, paths: Sequence[Path], package: Path, workers: int) -> dict[str, float]:
    """CPU seconds of each command."""
    exphil = [sys.executable, "-m", "exphil"]
    with tempfile.TemporaryDirectory() as store:
        return {
            "ingest": cpu_seconds([*exphil, "ingest", str(folder), "--store", store, "--workers", str(workers)]),
            "techniques": cpu_seconds([*exphil, "stats", "--store", store, "--query", "techniques", "--json"]),
            "slippi-js": cpu_seconds(["node", str(PROGRAM), str(package)], "".join(f"{path}\n" for path in paths)),
        }


def cpu_seconds(command: Sequence[str], told: str = "") -> float:
    """CPU time that the system charges for a command and its children."""
    before = os.times()
    subprocess.run(command, input=told, capture_output=True, text=True, check=True, cwd=ROOT)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    main()
