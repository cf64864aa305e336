"""What the games of a pairing came to for one entrant: figures with 95 % intervals over games, and its conduct."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dataset.melee.winner import winner
from dataset.stats.bootstrap import Bootstrap, Rate
from dataset.stats.conduct.conduct import Conduct, TechniqueCounts, conduct_of, sums_of
from dataset.stats.conduct.tally import Tally


@dataclass(frozen=True, kw_only=True)
class Row:
    """One entrant against another."""

    run: str
    against: str
    games: int
    minutes: float
    stocks_taken: int
    stocks_lost: int
    damage_dealt: float
    damage_taken: float
    decided: int
    """Games that somebody has won (``dataset.melee.winner``); the clock ends those in which both have stocks left."""
    won: int
    """Games that the run has won."""
    net_stocks_per_minute: Rate
    stocks_taken_per_minute: Rate
    stocks_lost_per_minute: Rate
    self_destructs_per_minute: Rate
    damage_dealt_per_minute: Rate
    damage_taken_per_minute: Rate
    win_rate: Rate
    conduct: Conduct
    conduct_of_opponent: Conduct
    conduct_of_imitated: Conduct | None
    """Of the people that the run imitates, in a store; None if no store was given."""

    def as_json(self) -> dict[str, Any]:
        """The row for ``--json``: each rate as a number, and its interval under ``…_interval``."""
        return {name: flat for key, value in asdict(self).items() for name, flat in _flat(key, value)}


def row_of(
    run: str,
    against: str,
    tally: Tally,
    sides: Sequence[int],
    seed: int,
    *,
    techniques: TechniqueCounts | None = None,
    imitated: Conduct | None = None,
) -> Row:
    """What a cohort came to.

    Args:
        run: the entrant that the row is about.
        against: the other.
        tally: of all games.
        sides: where the entrant sat in each game.
        seed: of the resampling.
        techniques: of both sides in each game, if they were counted.
        imitated: see ``Row``.
    """
    is_own = np.arange(2) == np.array(sides)[:, None]
    own, other = (sums_of(tally, who, techniques or {}) for who in (is_own, ~is_own))
    won = [
        winner(stocks, percents, is_time_up=True)
        for stocks, percents in zip(
            zip(own["stocks"], other["stocks"], strict=True),
            zip(own["percent"], other["percent"], strict=True),
            strict=True,
        )
    ]
    sums = own | {
        "net": other["lost"] - own["lost"],
        "taken": other["lost"],
        "dealt": other["hurt"],
        "wins": np.array([one == 0 for one in won], np.float64),
        "decided": np.array([one is not None for one in won], np.float64),
    }
    drawn = Bootstrap(sums, seed)
    return Row(
        run=run,
        against=against,
        games=len(sides),
        minutes=round(drawn.total("minutes"), 2),
        stocks_taken=int(drawn.total("taken")),
        stocks_lost=int(drawn.total("lost")),
        damage_dealt=round(drawn.total("dealt"), 2),
        damage_taken=round(drawn.total("hurt"), 2),
        decided=int(drawn.total("decided")),
        won=int(drawn.total("wins")),
        net_stocks_per_minute=drawn.rate("net", "minutes"),
        stocks_taken_per_minute=drawn.rate("taken", "minutes"),
        stocks_lost_per_minute=drawn.rate("lost", "minutes"),
        self_destructs_per_minute=drawn.rate("self_destructs", "minutes"),
        damage_dealt_per_minute=drawn.rate("dealt", "minutes"),
        damage_taken_per_minute=drawn.rate("hurt", "minutes"),
        win_rate=drawn.rate("wins", "decided"),
        conduct=conduct_of(own, drawn),
        conduct_of_opponent=conduct_of(other, Bootstrap(other, seed)),
        conduct_of_imitated=imitated,
    )


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(name, value)]
    if value.keys() == {"value", "low", "high"}:
        interval = None if value["low"] is None else [value["low"], value["high"]]
        stem = name.removesuffix("_per_minute")
        return [(name, value["value"]), (f"{stem}_interval", interval)]
    return [(name, {flat: part for key, inner in value.items() for flat, part in _flat(key, inner)})]


def matrix(rows: Sequence[Row], names: Sequence[str]) -> list[list[float | None]]:
    """Net stocks per minute of each name (down) against each other (across); None where two did not meet."""
    found: dict[tuple[str, str], float] = {}
    for row in rows:
        value = row.net_stocks_per_minute.value
        if value is not None:
            found[row.run, row.against] = value
            found.setdefault((row.against, row.run), -value)
    return [[found.get((own, other)) for other in names] for own in names]
