"""Lets finished runs play: ``exphil arena`` in a process of its own, and how well NLL ranked what they came to.

All runs play the same games, in PyTorch, so that what plays is what NLL was measured of, whatever graph was exported. What a run
came to is kept in ``arena/RUN.json`` beside the comparison and played again when the weights or the games are others.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from dataset.errors import ConfigError, ExphilError
from dataset.io.atomic import sha256_of
from dataset.io.child import run_child
from train.compare.measured import keep, kept

WORLDS = ("duel",)
"""Worlds with a player of their own, whom all runs can meet."""

VERSION = 1
"""Changes whenever what is kept means something else."""

LEAST_RUNS = 3
"""With fewer there is no rank correlation."""

Played = dict[str, Any]
"""A row of ``exphil arena --json``, or the reason why there is none, under ``error``."""


@dataclass(frozen=True, kw_only=True)
class Arena:
    """What every run plays, against the world's own player at its strongest."""

    world: str
    games: int = 32
    seconds: float = 120.0
    """A game ends after so many, if nobody has won before."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.world not in WORLDS:
            raise ConfigError(
                f"--arena {self.world}: every run meets the world's own player, so it must be {' or '.join(WORLDS)}; elsewhere, "
                f"let runs meet each other: exphil arena RUN RUN --world {self.world}"
            )


def arena_of(world: str | None, games: int | None) -> Arena | None:
    """The arena that ``--arena`` and ``--games`` ask for, if any.

    Raises:
        ConfigError: the world has no player of its own, or there are games without a world.
    """
    if world is None:
        if games is not None:
            raise ConfigError(
                f"--games {games}: games are played with --arena WORLD, found none; give --arena {WORLDS[0]}"
            )
        return None
    return Arena(world=world) if games is None else Arena(world=world, games=games)


def play_run(run: Path, arena: Arena, folder: Path, say: Callable[[str], None]) -> Played:
    """What the run came to, from what is kept in ``folder`` or else from new games.

    Args:
        run: the run's folder.
        arena: what it plays.
        folder: where it is kept; a failure is not.
        say: receives lines about progress.
    """
    key = {"version": VERSION, "weights": sha256_of(run / "best.safetensors"), **asdict(arena)}
    path = folder / f"{run.name}.json"
    found = kept(path, key)
    if found is None:
        say(f"{run.name}: plays {arena.games} games in {arena.world}")
        what = ("--world", arena.world, "--games", str(arena.games), "--seconds", f"{arena.seconds:g}")
        try:
            answer, _ = run_child("arena", str(run), *what, "--seed", str(arena.seed), "--runtime", "torch", say=say)
        except ExphilError as error:
            return {"error": str(error)}
        found = {"key": key, "row": answer["rows"][0]}
        keep(path, found)
    row: Played = found["row"]
    return row


def net_stocks(runs: Sequence[str], played: Sequence[Played | None]) -> dict[str, Any]:
    """The part of a row of the matrix: net stocks per minute, the mean over the seeds of a variant.

    The interval covers the choice of games, as if those of one seed had nothing to do with those of another.

    Args:
        runs: names of the seeds.
        played: what each came to; None where nobody asked.
    """
    reasons = [f"{run}: {one['error']}" for run, one in zip(runs, played, strict=True) if one and "error" in one]
    values = [one["net_stocks_per_minute"] for one in played if one and one.get("net_stocks_per_minute") is not None]
    ends = [one["net_stocks_interval"] for one in played if one and one.get("net_stocks_interval") is not None]
    mean = statistics.fmean(values) if len(values) == len(runs) else None
    interval = None
    if mean is not None and len(ends) == len(runs):
        below, above = (
            math.hypot(*(value - end[side] for value, end in zip(values, ends, strict=True))) / len(runs)
            for side in (0, 1)
        )
        interval = [mean - below, mean + above]
    return {
        "net_stocks_per_minute": mean,
        "net_stocks_per_minute_spread": statistics.stdev(values) if mean is not None and len(runs) > 1 else None,
        "net_stocks_interval": interval,
        "arena_error": "; ".join(reasons) or None,
    }


def rank_correlation(measured: Sequence[Mapping[str, Any]], split: str) -> dict[str, Any] | None:
    """Spearman's, of NLL and net stocks per minute over the ``runs`` that have both; None of too few, or of all alike."""
    pairs = [
        (one[split].get("nll"), one["arena"].get("net_stocks_per_minute"))
        for one in measured
        if one["arena"] is not None
    ]
    whole = [pair for pair in pairs if None not in pair]
    if len(whole) < LEAST_RUNS:
        return None
    nll, net = (pl.Series(values) for values in zip(*whole, strict=True))
    value = pl.select(pl.corr(nll, net, method="spearman")).item()
    return None if math.isnan(value) else {"value": value, "runs": len(whole)}
