"""How many of our files a frame passes through on its way from a replay to a controller.

Three pieces of the way are profiled: one ``exphil ingest`` of one replay, one step of ``exphil train`` (from one
optimizer step to the next, so that it includes reading the next batch), and one frame of ``exphil play`` (from one
inference to the next). A file counts where one of its functions was called; what runs only because a module is imported
does not count. The stand-in, which plays Dolphin here, does not count either. The figure is the number of files that a
reader must open to follow a frame.

    python -m benchmarks.journey [--replay GAME.slp] [--list]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("dataset", "ingest", "train", "play")
FOREVER = 1_000_000

PROFILE = """
import atexit, os, sys, threading

folder, root = os.environ["JOURNEY_TO"], os.environ["JOURNEY_ROOT"] + os.sep
marker, first, last = os.environ["JOURNEY_MARKER"], int(os.environ["JOURNEY_FIRST"]), int(os.environ["JOURNEY_LAST"])
prefixes = tuple(root + name + os.sep for name in os.environ["JOURNEY_PACKAGES"].split(","))
seen, local, marks = set(), threading.local(), 0

def profile(frame, event, argument):
    global marks
    if event not in ("call", "return"):
        return
    code = frame.f_code
    if code.co_name == "<module>":
        if frame.f_globals.get("__name__") not in ("__main__", "sitecustomize", "site"):
            local.importing = getattr(local, "importing", 0) + (1 if event == "call" else -1)
        return
    if event == "call":
        if code.co_qualname == marker:
            marks += 1
            os.environ["JOURNEY_FIRST"] = "0"  # processes that are started from here on belong to the piece
        is_ours = code.co_filename.startswith(prefixes)
        if is_ours and first <= marks <= last and not getattr(local, "importing", 0):
            seen.add(code.co_filename[len(root):])

def save():
    sys.setprofile(None)
    with open(os.path.join(folder, str(os.getpid())), "w") as file:
        file.write("\\n".join(sorted(seen)))

atexit.register(save)
threading.setprofile(profile)
sys.setprofile(profile)
"""
"""Put on the path as ``sitecustomize``, so that worker processes are profiled too."""


def main() -> None:
    """Profile the three pieces and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replay", type=Path, help="A two-player .slp file; default: a generated one.")
    parser.add_argument("--list", action="store_true", help="Name the files of each piece on stderr.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        pieces = profile_pieces(Path(name), options.replay)
    files = sorted(file for file in set().union(*pieces.values()) if not file.startswith("play/stand_in/"))
    if options.list:
        for file in files:
            pieces_of = ", ".join(piece for piece, found in pieces.items() if file in found)
            print(f"{count_lines([file]):5d}  {file}  ({pieces_of})", file=sys.stderr)
    found = {piece: len(entered) for piece, entered in pieces.items()}
    to_logits = len(pieces["ingest"] | pieces["train"])
    print(json.dumps({**found, "to_logits": to_logits, "files": len(files), "lines": count_lines(files)}))


def profile_pieces(folder: Path, replay: Path | None) -> Mapping[str, set[str]]:
    """The files entered in each piece of the way, as paths below the repository."""
    games = folder / "games"
    if replay is None:
        sys.path.insert(0, str(ROOT))
        from dataset.duels.generate import generate_replays

        replay = generate_replays(games, 12, seed=1)[0]
    else:
        games = replay.parent
    ingested = run(folder, ["ingest", str(replay), "--store", "one", "--workers", "1"], "ingest", 1, FOREVER)
    run(folder, ["ingest", str(games), "--store", "store"])
    small = [
        "--hidden-sizes",
        "32,32",
        "--batch-size",
        "4",
        "--max-steps",
        "8",
        "--num-workers",
        "0",
        "--device",
        "cpu",
    ]
    train = ["train", "--store", "store", "--name", "run", "--backbone", "gru", *small]
    trained = run(folder, train, "Adam.step", 4, 4)
    run(folder, ["export", "run"])
    play = ["play", "--policy", "run", "--stand-in", str(replay), "--sync"]
    return {"ingest": ingested, "train": trained, "play": run(folder, play, "Session.run_with_iobinding", 200, 200)}


def run(folder: Path, arguments: list[str], marker: str = "", first: int = 0, last: int = 0) -> set[str]:
    """Run one command under the profile, recording from call ``first`` of the marked function to the end of ``last``."""
    site, to = folder / "site", folder / "entered" / str(len(list(folder.glob("entered/*"))))
    site.mkdir(exist_ok=True)
    to.mkdir(parents=True)
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    if marker:
        (site / "sitecustomize.py").write_text(PROFILE, encoding="utf-8")
        environment |= {
            "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
            "JOURNEY_TO": str(to),
            "JOURNEY_ROOT": str(ROOT),
            "JOURNEY_PACKAGES": ",".join(PACKAGES),
            "JOURNEY_MARKER": marker,
            "JOURNEY_FIRST": str(first),
            "JOURNEY_LAST": str(last),
        }
    command = [sys.executable, "-m", "exphil", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"exphil {' '.join(arguments)}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return {line for path in to.iterdir() for line in path.read_text(encoding="utf-8").splitlines()}


def count_lines(files: Iterable[str]) -> int:
    """Lines of these files together."""
    return sum(len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in files)


if __name__ == "__main__":
    main()
