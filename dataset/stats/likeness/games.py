"""Finds and measures the games that are compared: the bot's, in replays, a store or a run's folder, and people's in a store."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from dataset.errors import ConfigError
from dataset.io.child import run_child
from dataset.io.runs import find_run
from dataset.melee.ids import Character, character_from_name, character_name
from dataset.reporting.terminal import command_line
from dataset.schema import SIDES
from dataset.stats.games import Row, by_hash, in_batches
from dataset.stats.likeness.likeness import of_players
from dataset.stats.techniques.statistics import MEASURED_COLUMNS, Measured, measure
from dataset.store.manifest import MANIFEST_NAME
from dataset.store.replay_table import readable
from dataset.store.store import Store

RUN_REPLAYS = "replays"
"""In a run folder: the run's own games."""

MOST_GAMES = 200
"""Of people, unless more are asked for."""

AT_ONCE = 64
"""Games measured at a time, about 300 MB."""

CPU = "cpu"

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Played:
    """Some players' games."""

    measured: Measured
    """Of these players alone."""
    games: int
    games_there: int
    """That they were chosen from."""
    minutes: float
    """Of play by these players."""


def run_games(run: str) -> tuple[Path, Character | None]:
    """The folder of a run's own games, and whom it imitates.

    Raises:
        CheckpointError: there is no such run.
        ConfigError: it has no games of its own.
    """
    folder, _ = find_run(run)
    replays = folder / RUN_REPLAYS
    if next(replays.rglob("*.slp"), None) is None:
        command = command_line("arena", run, "--save-replays", replays)
        raise ConfigError(
            f"--run {run}: needs games that the run played, in {replays}, found none; play some with '{command}', or give "
            "games of it with --replays"
        )
    name = json.loads((folder / "config.json").read_text(encoding="utf-8"))["config"]["data"]["character"]
    return replays, None if name is None else character_from_name(name)


@contextmanager
def opened(replays: Path, say: Say) -> Iterator[Store]:
    """The store that ``replays`` is, or a temporary one that is made of its replays by a process of its own.

    No game is too short or too idle for it: how a bot plays is in all of its games.

    Raises:
        ConfigError: the folder is none, or no game in it can be read.
    """
    if (replays / MANIFEST_NAME).is_file():
        yield Store(replays)
        return
    if not replays.is_dir():
        raise ConfigError(f"--replays {replays}: must be a folder of replays or a store, found none; give another")
    with TemporaryDirectory(prefix="exphil-likeness-") as scratch:
        store = Path(scratch) / "store"
        answer, _ = run_child(
            "ingest", str(replays), "--store", str(store), "--include-cpu", "--keep-all", "--workers", "1", say=_quiet
        )
        if answer["replays_found"] == 0 or not (store / MANIFEST_NAME).is_file():
            raise ConfigError(f"--replays {replays}: needs replays of games (.slp), found none; give another folder")
        for reason, count in answer["failures"].items():
            say(f"{replays}: {count:,} replays cannot be read: {reason}")
        yield Store(store)


def _quiet(line: str) -> None:
    """The progress of reading some games is none of the user's business."""


def bot_players(
    store: Store, character: Character | None, port: int | None, say: Say
) -> tuple[pl.DataFrame, Character]:
    """The bot's sides in the games of a store, with the character that it plays.

    Of two players of the character, a CPU is not the bot; where neither is a CPU, both are.

    Args:
        store: of its games.
        character: the bot's; None: the one that is in all games.
        port: the bot's; None: any.
        say: takes a line about what is counted.

    Raises:
        ConfigError: the games do not tell which players the bot is.
    """
    players = _players(store, pl.col("shard").is_not_null() & (pl.col("status") != "duplicate"))
    if port is not None:
        players = players.filter(port=port)
    who = character or _only_character(players)
    own = players.filter(pl.col("character") == who.internal)
    is_cpu = pl.col("type") == CPU
    own = own.filter(~is_cpu | is_cpu.all().over("id"))
    if own.is_empty():
        raise ConfigError(
            f"--character {who.name}: must be played by the bot, found {_found(players)}; give the bot's character"
        )
    both = len(own) - own["id"].n_unique()
    if both:
        say(f"{both:,} games are between two {who.name}, and both are counted; --port counts one of them")
    return own, who


def people_players(store: Store, character: Character, split: str | None) -> pl.DataFrame:
    """The people's sides in the games of a store.

    Raises:
        ConfigError: nobody plays the character.
    """
    wanted = pl.col("status") == "ok"
    players = _players(store, wanted if split is None else wanted & (pl.col("split") == split))
    own = players.filter(pl.col("character") == character.internal, pl.col("type") != CPU)
    if own.is_empty():
        where = "" if split is None else f" in its {split} split"
        raise ConfigError(
            f"--against {store.path}: needs games of people who play {character.name}{where}, found {_found(players)}; give a "
            "store that has some"
        )
    return own


def measure_players(store: Store, players: pl.DataFrame, most_games: int | None) -> Played:
    """Measure some players (rows of ``bot_players`` or ``people_players``), in ``most_games`` chosen by hash, or in all."""
    rows: Sequence[Row] = players.unique("id", maintain_order=True).to_dicts()
    chosen = by_hash(rows)[:most_games]
    with readable(f"store {store.path}"):
        parts = [measure(frames) for _, frames in in_batches(store, chosen, MEASURED_COLUMNS, AT_ONCE)]
    whole = Measured(*(pl.concat(tables, how="vertical_relaxed") for tables in zip(*parts, strict=True)))
    measured = of_players(whole, players.select("side", replay="id"))
    minutes = float(measured.sums["minutes"].sum())
    return Played(measured=measured, games=len(chosen), games_there=len(rows), minutes=round(minutes, 2))


def _players(store: Store, wanted: pl.Expr) -> pl.DataFrame:
    """A row for each player of each game: ``id, frames, shard, row_start, side, character, port, type``."""
    games = store.replays().filter(wanted)
    sides = [
        games.select(
            *("id", "frames", "shard", "row_start"),
            side=pl.lit(side),
            **{name: f"{name}_{side}" for name in ("character", "port", "type")},
        )
        for side in SIDES
    ]
    with readable(f"store {store.path}"):
        return pl.concat(sides).sort("id", "side").collect()


def _only_character(players: pl.DataFrame) -> Character:
    """The character that is in every game."""
    games = players["id"].n_unique()
    counts = players.group_by("character").agg(pl.col("id").n_unique())
    always = counts.filter(id=games)["character"].to_list() if games else []
    if len(always) != 1:
        raise ConfigError(
            f"--replays: one character must be in all games to be the bot's, found {_found(players)}; give --character"
        )
    return character_from_name(character_name(always[0]))


def _found(players: pl.DataFrame) -> str:
    counts = players.group_by("character").len().sort("len", "character", descending=[True, False])
    return ", ".join(f"{character_name(number)} ({count})" for number, count in counts.iter_rows()) or "no game at all"
