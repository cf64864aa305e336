"""``exphil play``: a trained policy in Dolphin, or against the stand-in that needs no Dolphin."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from dataset.errors import ConfigError, DolphinError
from dataset.reporting.terminal import command_line, examples, stdout_console
from play.options import CHECK, CHECK_RUN, CPU, DOLPHIN, HUMAN, STAND_IN, PlayOptions, refuse_idle, with_play_options

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from play.launch import Outcome
    from play.runtime.load import Say

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
    _show(
        outcome,
        statistics_of(outcome, options, _say),
        is_replayed=options.stand_in is not None,
        as_json=options.as_json,
    )


def statistics_of(outcome: "Outcome", options: PlayOptions, say: "Say") -> dict[str, Any]:
    """What the kept replays tell: ``techniques``, and ``likeness`` to the people of ``--store``; None what is not asked.

    Args:
        outcome: of the games.
        options: what is asked.
        say: takes lines about what is done, and what is missing.
    """
    from play.games.statistics import likeness, make_store, technique_rows

    found: dict[str, Any] = {"techniques": None, "likeness": None}
    if outcome.log is None or outcome.character is None or not outcome.replays:
        for flag, is_given in (("--techniques", options.techniques), ("--store", options.store is not None)):
            if is_given:
                say(f"{flag}: needs the replays that Dolphin keeps, found none of these games")
        return found
    is_asked = options.techniques or (options.techniques is None and not options.as_json)
    store = outcome.log.parent / "store"
    if not (is_asked or options.store is not None) or not make_store(outcome.replays, store, say):
        return found
    who = (outcome.character, outcome.port)
    if is_asked:
        found["techniques"] = technique_rows(store, *who, say)
    if options.store is not None:
        found["likeness"] = likeness(store, *who, options.store, say)
    return found


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


def _show(outcome: "Outcome", statistics: Mapping[str, Any], *, is_replayed: bool, as_json: bool) -> None:
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
        typer.echo(json.dumps(result | {"log": log, "replays": kept, **statistics}))
    else:
        console = stdout_console()
        for rows in (result["games"], statistics["techniques"]):
            if rows:
                console.print(rows_table(rows))
        for part in figures(result):
            console.print(part)
        for line in (statistics["likeness"] or {}).get("summary", ()):
            console.print(line, markup=False)
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
