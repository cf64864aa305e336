"""``exphil stats --query likeness``: a bot beside people, printed for people or for scripts, and as a page."""

from pathlib import Path
from typing import Any

import typer

from dataset.errors import ConfigError, require_known
from dataset.io.atomic import replacing, require_writable
from dataset.melee.ids import character_from_name
from dataset.reporting.tables import csv_text, json_line, plain_rows, table
from dataset.reporting.terminal import stdout_console, to_stderr
from dataset.stats.likeness.compared import Compared, as_frame, compare_games
from dataset.stats.likeness.games import Played
from dataset.stats.likeness.likeness import UNCLEAR, UNLIKE
from dataset.stats.likeness.page import page_html
from dataset.stats.likeness.words import shown_figure, shown_outside, summary
from dataset.store.manifest import SPLITS


def report_likeness(
    *,
    run: str | None,
    replays: Path | None,
    against: str | None,
    character: str | None,
    port: int | None,
    split: str | None,
    games: int | None,
    html: Path | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Measure, compare and print.

    Raises:
        CheckpointError: there is no such run.
        ConfigError: there are no such games, or it is unclear whose they are.
    """
    if (run is None) == (replays is None) or against is None:
        raise ConfigError(
            "--query likeness: compares a bot's games (--run RUN or --replays FOLDER, one of them) with people's "
            "(--against STORE); give both"
        )
    if split is not None:
        require_known("--split", split, SPLITS)
    if html is not None:
        require_writable(html.parent, f"--html {html}")
    who = None if character is None else character_from_name(character)
    found = compare_games(run, replays, against, who, port, split, games)
    if html is not None:
        with replacing(html) as temporary:
            temporary.write_text(page_html(found), encoding="utf-8")
    if as_json:
        sides = {name: _about(played) for name, played in (("bot", found.bot), ("people", found.people))}
        facts = {"character": found.character.name, **sides, "summary": summary(found.rows)}
        page = None if html is None else str(html)
        typer.echo(json_line({"rows": plain_rows(as_frame(found)), **facts, "html": page}))
    elif as_csv:
        typer.echo(csv_text(as_frame(found)), nl=False)
    else:
        _print(found)
    if html is not None:
        to_stderr(f"page: {html}")


def _about(played: Played) -> dict[str, Any]:
    return {"games": played.games, "games_there": played.games_there, "minutes": played.minutes}


def _print(found: Compared) -> None:
    """The statistics that are unlike or unclear as a table, then what to fix next."""
    shown = [row for row in found.rows if row.verdict in (UNLIKE, UNCLEAR)]
    cells = [
        (
            row.statistic.name,
            row.verdict,
            shown_outside(row.outside),
            shown_figure(row.statistic.unit, row.bot),
            shown_figure(row.statistic.unit, row.people),
        )
        for row in shown
    ]
    heads = ("verdict", "spreads outside", f"{found.name} (95 % interval)", "people (their spread)")
    console = stdout_console()
    if cells:
        console.print(table("", heads, cells))
    console.print(f"{found.name} beside people who play {found.character.name}:", markup=False)
    for line in summary(found.rows):
        console.print(line, markup=False)
    to_stderr(
        f"{found.bot.games:,} games of {found.name} ({found.bot.minutes:,.0f} minutes) beside {found.people.games:,} of "
        f"{found.people.games_there:,} games of people in {found.store} ({found.people.minutes:,.0f} minutes); --csv, --json and "
        "--html show all statistics"
    )
