"""The whole line in one go, by the very commands a user types: ingest, stats, train, eval, play against the stand-in.

Each stage is a child process; its table goes to the terminal as it comes, its JSON into the result. The surprise: without
replays of your own the demo plays with *generated* duels, which show that the line works and nothing about Melee.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dataset.duel import generate_replays
from dataset.errors import ConfigError, ExphilError
from dataset.ids import character_from_name
from ingest.archives import Reader
from ingest.job import content_id
from ingest.sources import find_candidates

NUM_GENERATED = 24
GENERATED_CHARACTER = "mewtwo"
HIDDEN_SIZES = "128,128"
FRAMES_PER_MINUTE = 600_000
"""Frames a minute that this size of policy trains on two server cores: what ``--minutes`` is turned into epochs by."""
PLAY_SECONDS = 15


@dataclass(frozen=True)
class Stage:
    """One finished stage: its name, wall seconds and the JSON its command printed."""

    name: str
    seconds: float
    result: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def run_demo(
    *, folder: Path, replays: Path | None, character: str | None, minutes: float, say: Callable[[str], None]
) -> list[Stage]:
    """Run every stage in ``folder``.

    Args:
        folder: where the store, the run and generated replays go; must be new or empty.
        replays: the user's own, or ``None`` to generate some.
        character: whom to imitate; ``None``: whoever was picked most often.
        minutes: about how long to train, rounded to whole epochs.
        say: takes the lines that introduce a stage.

    Raises:
        ExphilError: a stage failed; its own message stands above on stderr.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"demo folder {folder}: must be new or empty, found files; give another --folder")
    demo = _Demo(folder, say)
    if replays is None:
        say(f"Generating {NUM_GENERATED} scripted duels: nobody played them, they only show that the line works.")
        replays, character = demo.generate(), character or GENERATED_CHARACTER
    store = str(folder / "store")
    ingested = demo.run("ingest", "ingest", str(replays), "--store", store)
    characters = demo.run("stats", "stats", "--store", store, "--query", "characters")
    picked = character or str(characters["rows"][0]["character"])
    epochs = max(1, round(minutes * FRAMES_PER_MINUTE / max(1, ingested["frames"])))
    size = ("--backbone", "gru", "--hidden-sizes", HIDDEN_SIZES, "--epochs", str(epochs))
    runs = str(folder / "runs")
    trained = demo.run(
        "train", "train", "--store", store, "--train-character", picked, *size, "--name", "demo", "--runs", runs
    )
    ids = demo.unseen(store, picked, "test")
    split = "test" if ids else "val"
    if not ids:
        say("No test replay among so few: measuring on the val split, by which the weights were chosen.")
        ids = demo.unseen(store, picked, "val")
    demo.run("eval", "eval", "--policy", trained["run"], "--store", store, "--split", split)
    game = _copy_replay(replays, ids, folder / "stand-in.slp")
    demo.run("play", "play", "--policy", trained["run"], "--stand-in", str(game), "--seconds", str(PLAY_SECONDS))
    return demo.stages


class _Demo:
    """The stages so far."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self.stages: list[Stage] = []

    def generate(self) -> Path:
        """Write the generated duels."""
        began = time.perf_counter()
        paths = generate_replays(self._folder / "replays", NUM_GENERATED, seed=0)
        self.stages.append(Stage("generate", time.perf_counter() - began, {"replays": len(paths)}))
        return self._folder / "replays"

    def unseen(self, store: str, character: str, split: str) -> set[str]:
        """Ids of a split's replays in which the character was picked."""
        internal = character_from_name(character).internal
        who = f"status = 'ok' AND split = '{split}' AND {internal} IN (character_a, character_b)"
        found = self.run("find", "stats", "--store", store, "--sql", f"SELECT id FROM replays WHERE {who}")
        return {row["id"] for row in found["rows"]}

    def run(self, name: str, *arguments: str) -> dict[str, Any]:
        """Run one exphil command and return its JSON."""
        self._say(f"\n$ {shlex.join(('exphil', *arguments))}")
        began = time.perf_counter()
        command = [sys.executable, "-m", "exphil", *arguments, "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise ExphilError(f"demo stage '{name}': must exit 0, found {done.returncode}; the message above says why")
        *table, last = done.stdout.splitlines()
        if table:
            self._say("\n".join(table))
        result: dict[str, Any] = json.loads(last)
        self.stages.append(Stage(name, time.perf_counter() - began, result))
        return result


def _copy_replay(replays: Path, ids: Collection[str], target: Path) -> Path:
    """The first of the replays with one of these ids, as a loose file: the stand-in plays no archive member."""
    with Reader() as reader:
        for candidate in find_candidates([replays]):
            data = reader.read(candidate)
            if content_id(data) in ids:
                target.write_bytes(data)
                return target
    raise ExphilError(
        f"demo: playing needs a replay of the test split, found none among {replays}; give more replays, say 20 or more"
    )
