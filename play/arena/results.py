"""What the games of a pairing came to for one entrant: figures with 95 % intervals over games, and its conduct."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.melee.controller import BUTTONS
from dataset.melee.winner import winner
from play.arena.tally import Tally
from play.games.bootstrap import FRAMES_PER_MINUTE, Bootstrap, Rate

FRAMES_PER_SECOND = 60


@dataclass(frozen=True, kw_only=True)
class Conduct:
    """How a player behaves. None where it never came to it."""

    presses_per_minute: dict[str, float]
    """Of each button."""
    presses_per_attack: Rate
    """Presses of A, Z or the C-stick for each attack or grab that began."""
    repeated_attacks: Rate
    """Share of attacks and grabs that are the same as the one before."""
    frozen: Rate
    """Share of the time in which it could act that it kept the very same controller for a second or longer."""
    longest_freeze_s: float
    off_stage: Rate
    """Share of its time in the game in the air beyond a ledge or below the floor."""
    recoveries: int
    """Times it was off stage and came back or died."""
    recovered: Rate
    """Share of these in which it came back to the stage or its ledge."""


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
    net_stocks_per_minute: Rate
    stocks_taken_per_minute: Rate
    stocks_lost_per_minute: Rate
    self_destructs_per_minute: Rate
    damage_dealt_per_minute: Rate
    damage_taken_per_minute: Rate
    win_rate: Rate
    conduct: Conduct
    conduct_of_opponent: Conduct

    def as_json(self) -> dict[str, Any]:
        """The row for ``--json``: each rate as a number, and its interval under ``…_interval``."""
        return {name: flat for key, value in asdict(self).items() for name, flat in _flat(key, value)}


def row_of(run: str, against: str, tally: Tally, sides: Sequence[int], seed: int) -> Row:
    """What a cohort came to.

    Args:
        run: the entrant that the row is about.
        against: the other.
        tally: of all games.
        sides: where the entrant sat in each game.
        seed: of the resampling.
    """
    own, other = _sums(tally, np.array(sides)), _sums(tally, 1 - np.array(sides))
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
        net_stocks_per_minute=drawn.rate("net", "minutes"),
        stocks_taken_per_minute=drawn.rate("taken", "minutes"),
        stocks_lost_per_minute=drawn.rate("lost", "minutes"),
        self_destructs_per_minute=drawn.rate("self_destructs", "minutes"),
        damage_dealt_per_minute=drawn.rate("dealt", "minutes"),
        damage_taken_per_minute=drawn.rate("hurt", "minutes"),
        win_rate=drawn.rate("wins", "decided"),
        conduct=_conduct(own, drawn),
        conduct_of_opponent=_conduct(other, Bootstrap(other, seed)),
    )


def _sums(tally: Tally, sides: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """What each game counted for the player on ``sides`` [N], by name; [N] each."""
    games = np.arange(len(sides))
    counted = {
        "lost": tally.stocks_lost,
        "hurt": tally.damage_taken,
        "self_destructs": tally.self_destructs,
        "stocks": tally.stocks,
        "percent": tally.percent,
        "present": tally.present,
        "able": tally.able,
        "frozen": tally.frozen,
        "longest_freeze": tally.longest_freeze,
        "off_stage": tally.off_stage,
        "attacks": tally.attacks,
        "repeats": tally.repeats,
        "attack_presses": tally.attack_presses,
        "recoveries": tally.recoveries,
        "recovered": tally.recovered,
        **{button: tally.presses[..., place] for place, (button, _) in enumerate(BUTTONS)},
    }
    found = {name: counts[games, sides].astype(np.float64) for name, counts in counted.items()}
    return found | {"minutes": tally.frames / FRAMES_PER_MINUTE}


def _conduct(sums: dict[str, NDArray[np.float64]], drawn: Bootstrap) -> Conduct:
    return Conduct(
        presses_per_minute={
            button: round(drawn.total(button) / drawn.total("minutes"), 2) if drawn.total("minutes") else 0.0
            for button, _ in BUTTONS
        },
        presses_per_attack=drawn.rate("attack_presses", "attacks"),
        repeated_attacks=drawn.rate("repeats", "attacks"),
        frozen=drawn.rate("frozen", "able"),
        longest_freeze_s=round(float(sums["longest_freeze"].max()) / FRAMES_PER_SECOND, 2),
        off_stage=drawn.rate("off_stage", "present"),
        recoveries=int(drawn.total("recoveries")),
        recovered=drawn.rate("recovered", "recoveries"),
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
