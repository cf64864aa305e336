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

from dataset.schema import FRAMES_PER_MINUTE
from dataset.stats.bootstrap import Bootstrap, Rate, shown_rate
from play.games.find import Game

EVERYBODY = "(all)"


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
    drawn = Bootstrap(sums, seed)
    return Row(
        policy=policy,
        opponent=opponent,
        games=len(games),
        clusters=len(sums["minutes"]),
        minutes=round(drawn.total("minutes"), 2),
        decided=int(drawn.total("decided")),
        net_stocks_per_minute=drawn.rate("net", "minutes"),
        damage_dealt_per_minute=drawn.rate("dealt", "minutes"),
        damage_taken_per_minute=drawn.rate("taken", "minutes"),
        win_rate=drawn.rate("wins", "decided"),
    )


def _cluster_sums(games: Iterable[Game]) -> dict[str, NDArray[np.float64]]:
    """What each cluster came to, by name."""
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
    names = ("net", "dealt", "taken", "minutes", "wins", "decided")
    return dict(zip(names, np.stack(list(sums.values()), axis=1), strict=True))


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
            row.policy,
            row.opponent,
            *counts,
            *(shown_rate(rate, ".2f", "") for rate in rates),
            shown_rate(row.win_rate, ".0%", "none decided"),
        )
    return table
