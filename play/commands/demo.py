"""``exphil demo``: every stage from replays to games in the arena, by the very commands a user gives.

Each stage is a child process; its table goes to the terminal as it comes, its JSON into the result.
"""

import io
import json
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dataset.errors import ConfigError, ExphilError
from dataset.io.child import run_child
from dataset.melee.ids import character_from_name
from dataset.reporting.terminal import command_line, examples
from play.commands.play import figures, rows_table

if TYPE_CHECKING:
    from rich.console import RenderableType

NUM_GENERATED = 24
GENERATED_CHARACTER = "mewtwo"
HIDDEN_SIZES = "128,128"
FRAMES_PER_MINUTE = 600_000
"""Frames per minute that a policy of this size trains on two server cores; turns ``--minutes`` into epochs."""
PLAY_SECONDS = 15
ARENA_GAMES, ARENA_SECONDS = 32, 30
TABLE_WIDTH = 120


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "exphil demo",
            "exphil demo --replays ~/Slippi --character mewtwo --minutes 5 --folder demo",
        ),
    )(demo)


def demo(
    replays: Annotated[
        Path | None, typer.Option(help="A folder or archive of replays; default: generated ones.", show_default=False)
    ] = None,
    character: Annotated[
        str | None, typer.Option(help="Whom to imitate; default: whoever was picked most often.", show_default=False)
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(min=0, help="About how long to train on two server cores; rounded to whole epochs, at least one."),
    ] = 1.0,
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder for everything it makes; must be new or empty.", show_default="a temporary folder"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")] = False,
) -> None:
    """Run every stage once: ingest, stats, train, eval, play against the stand-in, and duels in the arena."""

    def say(line: str) -> None:
        typer.echo(line, err=True)

    where = folder or Path(tempfile.mkdtemp(prefix="exphil-demo-"))
    stages = run_demo(folder=where, replays=replays, character=character, minutes=minutes, say=say)
    say("\n" + "\n".join(f"{stage.name:>10} {stage.seconds:7.1f} s" for stage in stages))
    if replays is None:
        say("The duels were generated: these figures show that every stage works, and nothing about Melee.")
    say(f"Everything is in {where}. Next: exphil ingest YOUR_REPLAYS --store data/mine")
    if as_json:
        typer.echo(json.dumps({"stages": [asdict(stage) for stage in stages]}))


@dataclass(frozen=True)
class Stage:
    """One finished stage: its name, wall seconds and the JSON its command printed."""

    name: str
    seconds: float
    result: dict[str, Any]


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
        ConfigError: the folder holds something, or there are no such replays.
        ExphilError: a stage failed; its own message is on stderr.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"--folder {folder}: must be new or empty, found files in it; give another")
    from ingest.sources.find import find_candidates

    if replays is not None and not find_candidates([replays]):
        raise ConfigError(f"--replays {replays}: must hold replays or archives of them, found none; correct the path")
    demo = _Demo(folder, say)
    is_generated = replays is None
    if replays is None:
        say(f"Generating {NUM_GENERATED} scripted duels: nobody played them, they only show that every stage works.")
        replays, character = demo.generate(), character or GENERATED_CHARACTER
    store = str(folder / "store")
    ingested = demo.run("ingest", "ingest", str(replays), "--store", store)
    characters = demo.run("stats", "stats", "--store", store, "--query", "characters")
    if not characters["rows"]:
        raise ExphilError(
            f"demo: needs games between two people, found none in {replays}; the first table says what was found instead"
        )
    say(_as_text(rows_table(characters["rows"])))
    picked = character or str(characters["rows"][0]["character"])
    ids = demo.ids_by_split(store, picked)
    if not (ids["train"] and ids["val"]):
        raise ExphilError(
            f"demo: training needs a game of {picked} in the train split and another in val, found {len(ids['train'])} and "
            f"{len(ids['val'])}; give more replays, say 20 or more, or another --character"
        )
    epochs = max(1, round(minutes * FRAMES_PER_MINUTE / max(1, ingested["frames"])))
    size = ("--backbone", "gru", "--hidden-sizes", HIDDEN_SIZES, "--epochs", str(epochs))
    runs = str(folder / "runs")
    trained = demo.run(
        "train", "train", "--store", store, "--train-character", picked, *size, "--name", "demo", "--runs", runs
    )
    split = "test" if ids["test"] else "val"
    if not ids["test"]:
        say("No test replay among so few: measuring on the val split, by which the weights were chosen.")
    demo.run("eval", "eval", "--policy", trained["run"], "--store", store, "--split", split)
    game = _copy_replay(replays, ids[split], folder / "stand-in.slp")
    policy = ("--policy", trained["run"])
    played = demo.run("play", "play", *policy, "--stand-in", str(game), "--seconds", str(PLAY_SECONDS))
    say(_as_text(*figures(played)))
    demo.duel(trained["run"], character_from_name(picked).name, is_imitated=is_generated)
    return demo.stages


class _Demo:
    """The stages so far."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self.stages: list[Stage] = []

    def generate(self) -> Path:
        """Write the generated duels."""
        from dataset.duels.generate import generate_replays

        began = time.perf_counter()
        paths = generate_replays(self._folder / "replays", NUM_GENERATED, seed=0)
        self.stages.append(Stage("generate", time.perf_counter() - began, {"replays": len(paths)}))
        return self._folder / "replays"

    def ids_by_split(self, store: str, character: str) -> dict[str, set[str]]:
        """Ids of the replays in which the character was picked."""
        from dataset.store.manifest import SPLITS

        internal = character_from_name(character).internal
        who = f"status = 'ok' AND {internal} IN (character_a, character_b)"
        found = self.run("find", "stats", "--store", store, "--sql", f"SELECT id, split FROM replays WHERE {who}")
        ids: dict[str, set[str]] = {
            name: {row["id"] for row in found["rows"] if row["split"] == name} for name in SPLITS
        }
        counts = ", ".join(f"{len(ids[name])} {name}" for name in SPLITS)
        self._say(f"{len(found['rows'])} replays of {character}: {counts}")
        return ids

    def duel(self, run: str, character: str, *, is_imitated: bool) -> None:
        """Let the run play against the scripted player of its character, and say how it did.

        Args:
            run: the policy's folder.
            character: whom it plays.
            is_imitated: whether the scripted player is who it learnt from.
        """
        from dataset.duels.moves import TRAITS

        if character not in TRAITS:
            self._say(f"\nNo games in the arena: its duels have {', '.join(TRAITS)}, and this run plays {character}.")
            return
        length = ("--games", str(ARENA_GAMES), "--seconds", str(ARENA_SECONDS))
        played = self.run("arena", "arena", run, "--world", "duel", "--opponent-character", character, *length)
        self._say(_as_sentence(played["rows"][0], character, is_imitated=is_imitated))

    def run(self, name: str, *arguments: str) -> dict[str, Any]:
        """Run one exphil command and return its JSON."""
        self._say(f"\n$ {command_line(*arguments)}")
        began = time.perf_counter()
        try:
            result, table = run_child(*arguments)
        except ExphilError as error:
            raise ExphilError(f"demo: ended at its stage '{name}'; the message above says why") from error
        if table:
            self._say("\n".join(table))
        self.stages.append(Stage(name, time.perf_counter() - began, result))
        return result


def _as_sentence(row: Mapping[str, Any], character: str, *, is_imitated: bool) -> str:
    """How a run did in the arena, from a row of its JSON."""
    whom = f"the scripted {character} that it imitates" if is_imitated else f"the arena's scripted {character}"
    interval = row["net_stocks_interval"]
    ends = "" if interval is None else f" (95 %: {interval[0]:+.2f} to {interval[1]:+.2f})"
    goal = "; a perfect imitation scores 0" if is_imitated else "; it learnt from people, who play otherwise"
    return (
        f"Against {whom}, in {row['games']} duels of {ARENA_SECONDS} seconds: {row['stocks_taken']} stocks taken, "
        f"{row['stocks_lost']} lost, {row['net_stocks_per_minute']:+.2f} net stocks per minute{ends}{goal}."
    )


def _as_text(*parts: "RenderableType") -> str:
    """Sentences and tables as text, wide enough that nothing wraps."""
    from rich.console import Console

    text = io.StringIO()
    console = Console(file=text, width=TABLE_WIDTH)
    for part in parts:
        console.print(part)
    return text.getvalue().rstrip()


def _copy_replay(replays: Path, ids: Collection[str], target: Path) -> Path:
    """The first of the replays with one of these ids, as a loose file: the stand-in plays no archive member."""
    from ingest.jobs.job import content_id
    from ingest.sources.find import find_candidates
    from ingest.sources.reader import Reader

    with Reader() as reader:
        for candidate in find_candidates([replays]):
            data = reader.read(candidate)
            if content_id(data) in ids:
                target.write_bytes(data)
                return target
    raise ExphilError(
        f"demo: playing needs a replay of the test split, found none among {replays}; give more replays, say 20 or more"
    )
