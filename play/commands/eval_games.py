"""``exphil eval-games``: how well policies played, from session logs and kept replays."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dataset.errors import ConfigError
from dataset.reporting.terminal import examples, stdout_console


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "eval-games",
        epilog=examples(
            "exphil eval-games play-replays",
            "exphil eval-games old-replays --character mewtwo --json",
        ),
    )(eval_games)


def eval_games(
    folder: Annotated[Path, typer.Argument(help="Session logs, kept replays or both, searched with all subfolders.")],
    character: Annotated[
        str | None,
        typer.Option(
            help="The policy's character, in replays without a session log.", show_default="whoever is not a CPU"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=4, help="The policy's port, in replays without a session log.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling behind the intervals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Show how well policies played: stocks and damage per minute and games won, with 95 % intervals over sessions."""
    from play.games.evaluate import evaluate, rate_table
    from play.games.find import find_games

    found = find_games(folder, character=character, port=port)
    if found.skipped:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(found.skipped.items()))
        typer.echo(f"left out: {reasons}", err=True)
    if not found.games:
        raise ConfigError(f"{folder}: needs games to measure, found none; play some with 'exphil play --games N'")
    rows = evaluate(found.games, seed=seed)
    if as_json:
        result = {"games": len(found.games), "skipped": dict(found.skipped), "rows": [asdict(row) for row in rows]}
        typer.echo(json.dumps(result))
    else:
        stdout_console().print(rate_table(rows))
