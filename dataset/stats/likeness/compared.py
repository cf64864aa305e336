"""A bot's games beside people's: found, measured and compared, as one table."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dataset.melee.ids import Character
from dataset.reporting.terminal import to_stderr
from dataset.stats.bootstrap import Rate
from dataset.stats.likeness.games import (
    MOST_GAMES,
    Played,
    bot_players,
    measure_players,
    opened,
    people_players,
    run_games,
)
from dataset.stats.likeness.likeness import Likeness, compare
from dataset.store.store import Store


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A bot beside people."""

    name: str
    """Of the bot."""
    character: Character
    bot: Played
    people: Played
    store: str
    """Of the people."""
    rows: list[Likeness]


def compare_games(
    run: str | None,
    replays: Path | None,
    against: str,
    character: Character | None,
    port: int | None,
    split: str | None,
    games: int | None,
) -> Compared:
    """Measure and compare.

    Args:
        run: whose own games to take; None: those in ``replays``.
        replays: a folder of replays, or a store.
        against: the people's store.
        character: the bot's; None: whom the run imitates, or who is in all games.
        port: the bot's; None: any.
        split: of the people's games; None: all.
        games: of people at most; None: ``MOST_GAMES``.

    Raises:
        CheckpointError: there is no such run.
        ConfigError: there are no such games, or it is unclear whose they are.
    """
    people_store = Store(against)
    if run is not None:
        replays, imitated = run_games(run)
        character = character or imitated
    assert replays is not None
    with opened(replays, to_stderr) as store:
        players, who = bot_players(store, character, port, to_stderr)
        bot = measure_players(store, players, None)
    people = measure_players(people_store, people_players(people_store, who, split), games or MOST_GAMES)
    rows = compare(bot.measured.sums, people.measured.sums)
    name = Path(run or replays).resolve().name
    return Compared(name=name, character=who, bot=bot, people=people, store=str(people_store.path), rows=rows)


def as_frame(found: Compared) -> pl.DataFrame:
    """A row for each statistic, the most unlike first."""
    rows = [
        {
            "statistic": row.statistic.name,
            "unit": row.statistic.unit,
            "verdict": row.verdict,
            "outside": row.outside,
            **_columns("bot", row.bot),
            **_columns("people", row.people),
            "definition": row.statistic.definition,
        }
        for row in found.rows
    ]
    floats = [name for name in rows[0] if name.startswith(("outside", "bot", "people"))]
    return pl.DataFrame(
        rows, schema_overrides=dict.fromkeys(floats, pl.Float64), infer_schema_length=None
    ).with_columns(pl.col(floats).round(4))


def _columns(name: str, rate: Rate) -> dict[str, float | None]:
    return {name: rate.value, f"{name}_low": rate.low, f"{name}_high": rate.high}
