"""The conduct of people: games of a store counted as the arena counts its own, a few at a time and frame by frame in lock step.

As in the arena a game is over once a side has no stocks left; what a replay records after that does not count.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataset.errors import ConfigError
from dataset.features.layout import RAW_NAMES, RAW_ROW
from dataset.melee.ids import Character
from dataset.schema import COLUMNS, CONTROLLER_NAMES, SIDES
from dataset.stats.bootstrap import Bootstrap
from dataset.stats.conduct.conduct import Conduct, Sums, conduct_of, sums_of
from dataset.stats.conduct.tally import SEEN, Tally
from dataset.stats.conduct.techniques import count_techniques
from dataset.stats.games import Row, by_hash, in_batches
from dataset.stats.techniques.spans import FRAME_COLUMNS
from dataset.store.store import Store

MOST_GAMES = 50
"""Games measured unless more are asked for: some seconds of work, and half an hour to several hours of play."""

_AT_ONCE = 32
"""Games in memory, about 30 MB."""

_STATE = ["frame", "stage", *(f"{side}_{name}" for side in SIDES for name in SEEN)]
_CONTROLLERS = [f"{side}_{name}" for side in SIDES for name in CONTROLLER_NAMES]
_COLUMNS = list(dict.fromkeys([*FRAME_COLUMNS, *_STATE, *_CONTROLLERS]))
_SINCE = max(column.since for column in COLUMNS if column.name in _STATE)
_ROWS = np.array([RAW_ROW[name] for name in _STATE])


@dataclass(frozen=True, kw_only=True)
class People:
    """How some players of a store behave."""

    conduct: Conduct
    games: list[str]
    """Ids of the replays measured."""
    games_there: int
    """Games that they were chosen from."""
    games_older: int
    """Games left out because their Slippi version does not record all that is counted."""
    minutes: float
    """Of play by these players, entrances included."""


class _Frames(NamedTuple):
    """One frame of each game (``dataset.stats.conduct.tally.Frames``)."""

    raw: NDArray[np.float32]
    controllers: NDArray[np.int32]
    is_over: NDArray[np.bool_]


def measure_people(
    store: Store, character: Character | None = None, *, split: str | None = None, most_games: int = MOST_GAMES
) -> People:
    """Measure the players of a character, or all players, in some games of a store.

    The games whose ids have the lowest hashes are measured, so the same store gives the same games and more games include
    fewer.

    Raises:
        ConfigError: there is no such game.
    """
    chosen, games_there, games_older = _choose(store, character, split, most_games)
    if not chosen:
        whose = "" if character is None else f" with {character.name}"
        where = "" if split is None else f" in its {split} split"
        older = f"; {games_older} are of a Slippi version before {'.'.join(map(str, _SINCE))}" if games_older else ""
        raise ConfigError(
            f"store {store.path}: needs a game{whose}{where} to measure conduct, found none{older}; "
            "see 'exphil stats --query characters'"
        )
    parts = [_sums(frames.collect(), rows, character) for rows, frames in in_batches(store, chosen, _COLUMNS, _AT_ONCE)]
    sums: Sums = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return People(
        conduct=conduct_of(sums, Bootstrap(sums, seed=0)),
        games=[row["id"] for row in chosen],
        games_there=games_there,
        games_older=games_older,
        minutes=round(float(sums["minutes"].sum()), 2),
    )


def _choose(
    store: Store, character: Character | None, split: str | None, most_games: int
) -> tuple[list[Row], int, int]:
    """Rows of the table of replays, the shortest games first; from how many; and how many more are too old."""
    wanted = [pl.col("status") == "ok"]
    if split is not None:
        wanted.append(pl.col("split") == split)
    if character is not None:
        wanted.append(pl.any_horizontal(pl.col(f"character_{side}") == character.internal for side in SIDES))
    names = ("id", "version", "frames", "shard", "row_start", *(f"character_{side}" for side in SIDES))
    found = store.replays().filter(*wanted).select(names).collect().to_dicts()
    told = [row for row in found if tuple(map(int, row["version"].split("."))) >= _SINCE]
    chosen = sorted(by_hash(told)[:most_games], key=lambda row: row["frames"])
    return chosen, len(told), len(found) - len(told)


def _sums(frames: pl.DataFrame, rows: Sequence[Row], character: Character | None) -> Sums:
    """What each of some games counted for the players of a character."""
    games = [_played(game) for game in frames.partition_by("replay", maintain_order=True)]
    tally = Tally(len(games))
    for frame in _in_lock_step(games):
        tally.add(frame)
    picked = np.array([[row[f"character_{side}"] for side in SIDES] for row in rows])
    who = np.ones_like(picked, np.bool_) if character is None else picked == character.internal
    techniques = count_techniques(pl.concat(games).lazy(), [row["id"] for row in rows])
    return sums_of(tally, who, techniques)


def _played(game: pl.DataFrame) -> pl.DataFrame:
    """The frames of a game until a side has no stocks left, that one included."""
    is_out = ((game["a_stocks"] == 0) | (game["b_stocks"] == 0)).fill_null(value=False)
    first = is_out.arg_max()
    return game[: first + 1] if is_out.any() and first is not None else game


def _in_lock_step(games: Sequence[pl.DataFrame]) -> Iterator[_Frames]:
    """Frame t of every game; a game that is over keeps its last."""
    lengths = np.array([len(game) for game in games])
    state = np.zeros((lengths.max(), len(games), len(_STATE)), np.float32)
    pads = np.zeros((lengths.max(), len(games), len(_CONTROLLERS)), np.int16)
    for number, game in enumerate(games):
        for columns, values in ((_STATE, state), (_CONTROLLERS, pads)):
            for place, name in enumerate(columns):
                values[: len(game), number, place] = game[name].cast(pl.Float32).fill_null(0.0).to_numpy()
    raw = np.zeros((len(games), len(RAW_NAMES)), np.float32)
    for t in range(lengths.max()):
        raw[:, _ROWS] = state[t]
        controllers = pads[t].astype(np.int32).reshape(len(games), len(SIDES), len(CONTROLLER_NAMES))
        yield _Frames(raw, controllers, lengths <= t + 1)
