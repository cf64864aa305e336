"""``exphil play``: a trained policy in Dolphin, or against the stand-in that needs no Dolphin."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dataset.errors import ConfigError, DolphinError, ExphilError
from dataset.io.child import run_child
from dataset.reporting.terminal import command_line, examples, stdout_console
from play.options import CHECK, CHECK_RUN, CPU, DOLPHIN, HUMAN, STAND_IN, PlayOptions, refuse_idle, with_play_options

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from play.launch import Outcome

MIN_FRAMES = 600
"""Games of ten seconds and more count as techniques; a store for training asks for longer ones."""

_TIMES = {
    "one policy step": "step",
    "game state to controller": "frame_to_controller",
    "frame sent to controller read": "send_to_flush",
}
"""What is timed, by the start of its key."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "play",
        epilog=examples(
            "exphil play --policy first --stand-in game.slp",
            "exphil play --check --policy first --dolphin dolphin/ --iso melee.iso",
            "exphil play --policy first --dolphin dolphin/ --iso melee.iso --opponent cpu --cpu-level 9 --games 3",
            "exphil play --policy first --dolphin dolphin/ --iso melee.iso --opponent second",
        ),
    )(with_play_options(play))


def play(ctx: typer.Context, options: PlayOptions) -> None:
    """Play a trained policy in Dolphin, or with --stand-in against a replay.

    A real Dolphin reads our controllers exactly, but Slippi's Dolphin, its menus and whole games have not been tried yet.

    The stand-in needs named pipes, which Windows lacks.
    """
    if options.check:
        refuse_idle(ctx, CHECK if options.policy is None else CHECK_RUN)
        _check(options)
        return
    if options.policy is None:
        raise ConfigError(
            "exphil play: needs a trained run to play, found none; give --policy RUN, or --check to look around"
        )
    if (options.stand_in is None) == (options.dolphin is None):
        raise ConfigError("exphil play: needs either --dolphin and --iso, or --stand-in; give one of them")
    refuse_idle(ctx, DOLPHIN if options.stand_in is None else STAND_IN)
    if options.stand_in is not None and options.opponent in (CPU, HUMAN):
        raise ConfigError(
            f"--opponent {options.opponent}: has no effect with --stand-in, whose replay does not react; "
            "leave it out, or give a run"
        )
    from play.launch import play_match, play_stand_in

    start = play_match if options.stand_in is None else play_stand_in
    outcome = start(options, _say, _console(options.view))
    techniques = None
    if outcome.log is None or outcome.character is None or not outcome.replays:
        if options.techniques:
            _say("--techniques: needs the replays that Dolphin keeps, found none of these games")
    elif options.techniques or (options.techniques is None and not options.as_json):
        store = outcome.log.parent / "store"
        techniques = technique_rows(outcome.replays, store, outcome.character, outcome.port)
    _show(outcome, techniques, is_replayed=options.stand_in is not None, as_json=options.as_json)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _check(options: PlayOptions) -> None:
    """Look around and exit, 1 if a match cannot be played."""
    from play.check import check

    verdict = check(options)
    if options.as_json:
        typer.echo(json.dumps(verdict.as_json()))
    else:
        stdout_console().print(verdict.table())
    if not verdict.ok:
        raise typer.Exit(1)
    named = ["--policy", options.policy or "RUN", "--dolphin", str(verdict.dolphin), "--iso", str(verdict.iso)]
    _say(f"next: {command_line('play', *named)}")


def _console(is_drawn: bool | None) -> "Console":
    """Where the match is shown: drawn on a terminal unless --no-view is given, in lines elsewhere."""
    from rich.console import Console

    if is_drawn:
        require_terminal("--view")
    return Console(stderr=True, highlight=False, force_terminal=sys.stderr.isatty() and is_drawn is not False)


def require_terminal(option: str) -> None:
    """Refuse an option that draws on stderr where that is no terminal.

    Raises:
        ConfigError: it is none.
    """
    if not sys.stderr.isatty():
        raise ConfigError(f"{option}: needs a terminal to draw on, found none; leave it out for plain lines")


def technique_rows(
    replays: Sequence[Path], store: Path, character: str, port: int | None
) -> list[dict[str, Any]] | None:
    """The technique statistics of ``character`` in the replays; None if they cannot be had, after saying why.

    Play itself reads no store, so the two commands that a user would give run as processes of their own.

    Args:
        replays: finished ``.slp`` files.
        store: a folder for the store that is made of them.
        character: the policy's.
        port: the policy's, which tells it from an opponent of the same character; None online, where ports are dealt anew.
    """
    sources, own = [str(replay) for replay in replays], [] if port is None else ["--port", str(port)]
    small = ["--include-cpu", "--min-frames", str(MIN_FRAMES), "--workers", "1"]
    query = ["--query", "techniques", "--character", character, *own]
    result: dict[str, Any] = {}
    for arguments in (
        ["ingest", *sources, "--store", str(store), *small],
        ["stats", "--store", str(store), *query],
    ):
        _say(f"$ {command_line(*arguments)}")
        try:
            result, _ = run_child(*arguments, say=lambda line: None)
        except ExphilError as error:
            _say(f"techniques: the command above must succeed, found: {error}")
            return None
    rows: list[dict[str, Any]] = result["rows"]
    return rows


def _show(outcome: "Outcome", techniques: list[dict[str, Any]] | None, *, is_replayed: bool, as_json: bool) -> None:
    """Print the figures; a session that broke off fails only after that."""
    from dataclasses import asdict

    report = outcome.report
    result: dict[str, Any] = {
        "games": None if is_replayed else [asdict(game) for game in report.games],
        "replayed": is_replayed,
        **report.summary(),
    }
    if outcome.answer_ms is not None:
        result["send_to_flush_ms_p50"], result["send_to_flush_ms_p99"] = (round(ms, 3) for ms in outcome.answer_ms)
    log = None if outcome.log is None else str(outcome.log)
    if as_json:
        kept = [str(replay) for replay in outcome.replays]
        typer.echo(json.dumps(result | {"log": log, "replays": kept, "techniques": techniques}))
    else:
        console = stdout_console()
        for rows in (result["games"], techniques):
            if rows:
                console.print(rows_table(rows))
        for part in figures(result):
            console.print(part)
        if log is not None:
            _say(f"log: {log}")
    if report.lost is not None:
        raise DolphinError(
            f"session: must last until the games are over, found: {report.lost}; what was played is shown above"
        )


def rows_table(rows: Sequence[Mapping[str, Any]]) -> "Table":
    """Rows with the same keys, as ``--json`` prints them."""
    from rich.table import Table

    table = Table()
    for name, value in rows[0].items():
        table.add_column(name.replace("_", " "), justify="left" if isinstance(value, str) else "right")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    return table


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def figures(result: Mapping[str, Any]) -> "list[RenderableType]":
    """How a session went and how long answers took, from the keys that ``--json`` prints."""
    from rich.table import Table

    if not result["frames"]:
        return ["no frame was played"]
    pace = "" if result["fps"] is None else f" at {result['fps']:.1f} per second"
    late = f"{result['stale_share'] * 100:.3g} % came late, {result['frames_missing']:,} never arrived"
    paused = f"; paused for {result['seconds_paused']:.0f} s" if result["seconds_paused"] else ""
    table = Table()
    table.add_column("time of")
    for name in ("median", "99th percentile"):
        table.add_column(name, justify="right")
    for label, name in _TIMES.items():
        times = [result.get(f"{name}_ms_{which}") for which in ("p50", "p99")]
        if None not in times:
            table.add_row(label, *(f"{ms:,.2f} ms" for ms in times))
    return [f"{result['frames']:,} frames{pace}: {late}{paused}", table]
