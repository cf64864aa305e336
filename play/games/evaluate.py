"""How well a policy plays, from the games it played: rates with their uncertainty.

Games of one session or set are not independent, so whole sessions are resampled, never single games. One session alone gives
no interval.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from play.games.find import Game

RESAMPLES = 10_000
FRAMES_PER_MINUTE = 3600
EVERYBODY = "(all)"


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A figure with its 95 % interval; None where the games do not give it."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One policy against one kind of opponent."""

    policy: str
    opponent: str
    games: int
    clusters: int
    """Sessions or sets that the games come from."""
    minutes: float
    decided: int
    """Games that somebody won."""
    net_stocks_per_minute: Rate
    damage_dealt_per_minute: Rate
    damage_taken_per_minute: Rate
    win_rate: Rate


def evaluate(games: Sequence[Game], *, seed: int = 0) -> list[Row]:
    """A row per policy and opponent, and one per policy that met several.

    Args:
        games: at least one.
        seed: of the resampling.
    """
    groups: dict[tuple[str, str], list[Game]] = defaultdict(list)
    for game in games:
        groups[game.policy, game.opponent].append(game)
    for policy in {game.policy for game in games}:
        opponents = {opponent for owner, opponent in groups if owner == policy}
        if len(opponents) > 1:
            groups[policy, EVERYBODY] = [game for game in games if game.policy == policy]
    return [_row(policy, opponent, groups[policy, opponent], seed) for policy, opponent in sorted(groups)]


def _row(policy: str, opponent: str, games: Sequence[Game], seed: int) -> Row:
    sums = _cluster_sums(games)
    net, dealt, taken, minutes, wins, decided = range(6)
    draws = _draws(len(sums), seed) @ sums  # [RESAMPLES, 6]
    total = sums.sum(axis=0)
    return Row(
        policy=policy,
        opponent=opponent,
        games=len(games),
        clusters=len(sums),
        minutes=round(float(total[minutes]), 2),
        decided=int(total[decided]),
        net_stocks_per_minute=_rate(sums, draws, net, minutes),
        damage_dealt_per_minute=_rate(sums, draws, dealt, minutes),
        damage_taken_per_minute=_rate(sums, draws, taken, minutes),
        win_rate=_rate(sums, draws, wins, decided),
    )


def _cluster_sums(games: Iterable[Game]) -> NDArray[np.float64]:
    """Per cluster: net stocks, damage dealt, damage taken, minutes, wins, decided games; [clusters, 6]."""
    sums: dict[str, NDArray[np.float64]] = defaultdict(lambda: np.zeros(6))
    for game in games:
        sums[game.cluster] += (
            game.stocks_taken - game.stocks_lost,
            game.damage_dealt,
            game.damage_taken,
            game.frames / FRAMES_PER_MINUTE,
            game.won is True,
            game.won is not None,
        )
    return np.stack(list(sums.values()))


def _draws(num_clusters: int, seed: int) -> NDArray[np.float64]:
    """How often each cluster is drawn in each resample; [RESAMPLES, clusters]."""
    random = np.random.default_rng(seed)
    return random.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), size=RESAMPLES).astype(np.float64)


def _rate(sums: NDArray[np.float64], draws: NDArray[np.float64], over: int, under: int) -> Rate:
    """A ratio of sums and its percentile interval; without one where only one cluster counts."""
    total = sums.sum(axis=0)
    if total[under] == 0:
        return Rate(value=None, low=None, high=None)
    value = round(float(total[over] / total[under]), 4)
    usable = draws[draws[:, under] > 0]
    if np.count_nonzero(sums[:, under]) < 2:
        return Rate(value=value, low=None, high=None)
    low, high = np.percentile(usable[:, over] / usable[:, under], (2.5, 97.5))
    return Rate(value=value, low=round(float(low), 4), high=round(float(high), 4))


def rate_table(rows: Sequence[Row]) -> Table:
    """A row a policy and opponent, each rate with its 95 % interval."""
    table = Table(title="rates per minute, with 95 % intervals over sessions", title_justify="left")
    for name in ("policy", "opponent"):
        table.add_column(name, overflow="fold")
    for name in ("games", "sessions", "minutes", "net stocks", "damage dealt", "damage taken", "won"):
        table.add_column(name, justify="right")
    for row in rows:
        rates = (row.net_stocks_per_minute, row.damage_dealt_per_minute, row.damage_taken_per_minute)
        counts = (f"{row.games:,}", f"{row.clusters:,}", f"{row.minutes:,.1f}")
        table.add_row(
            row.policy, row.opponent, *counts, *(_shown(rate, ".2f") for rate in rates), _shown(row.win_rate, ".0%")
        )
    return table


def _shown(rate: Rate, style: str) -> str:
    if rate.value is None:
        return "none decided"
    parts = [f"{value:{style}}".replace("%", " %") for value in (rate.value, rate.low, rate.high) if value is not None]
    return parts[0] if len(parts) == 1 else f"{parts[0]} ({parts[1]} to {parts[2]})"
