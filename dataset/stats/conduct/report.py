"""``exphil stats --query conduct``: how people behave, printed for people or for scripts."""

from dataclasses import asdict

import typer

from dataset.errors import require_known
from dataset.melee.ids import character_from_name
from dataset.reporting.tables import json_line, table
from dataset.reporting.terminal import stdout_console, to_stderr
from dataset.stats.conduct.conduct import conduct_lines
from dataset.stats.conduct.people import MOST_GAMES, measure_people
from dataset.store.manifest import SPLITS
from dataset.store.replay_table import readable
from dataset.store.store import Store


def report_conduct(store: Store, character: str | None, split: str | None, games: int | None, *, as_json: bool) -> None:
    """Measure and print.

    Raises:
        ConfigError: there is no such game, character or split.
    """
    who = None if character is None else character_from_name(character)
    if split is not None:
        require_known("--split", split, SPLITS)
    with readable(f"store {store.path}"):
        people = measure_people(store, who, split=split, most_games=games or MOST_GAMES)
    if as_json:
        typer.echo(json_line({"rows": [asdict(people)]}))
        return
    name = "all players" if who is None else who.name
    lines = conduct_lines([people.conduct])
    stdout_console().print(table("", [name], [(figure, *values) for figure, values in lines.items()]))
    older = f"; {people.games_older:,} more are of older Slippi versions" if people.games_older else ""
    to_stderr(f"{len(people.games):,} of {people.games_there:,} games, {people.minutes:,.0f} minutes of play{older}")
