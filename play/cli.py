"""``exphil play``: a trained policy in Dolphin, or against the stand-in that needs no Dolphin.

Arguments only; what they start is imported inside, so that ``exphil --help`` stays light.
"""

from typing import TYPE_CHECKING, Any, NoReturn

import typer

from dataset.errors import ConfigError
from dataset.reporting.command_lines import examples
from play.commands import options as flags

if TYPE_CHECKING:
    from rich.console import Console

    from play.check import CheckOptions
    from play.launch import Outcome


def play(
    ctx: typer.Context,
    policy: flags.Policy = None,
    check: flags.Check = False,
    stand_in: flags.StandIn = None,
    fps: flags.Fps = None,
    dolphin: flags.Dolphin = None,
    iso: flags.Iso = None,
    character: flags.CharacterName = None,
    stage: flags.StageName = None,
    opponent: flags.Opponent = None,
    opponent_character: flags.OpponentCharacter = None,
    cpu_level: flags.CpuLevel = None,
    connect_code: flags.ConnectCode = None,
    dolphin_home: flags.DolphinHome = None,
    replay_dir: flags.ReplayDir = None,
    log_dir: flags.LogDir = None,
    techniques: flags.Techniques = None,
    headless: flags.Headless = False,
    slippi_port: flags.SlippiPort = None,
    games: flags.Games = None,
    port: flags.Port = None,
    delay: flags.Delay = None,
    temperature: flags.Temperature = 1.0,
    runtime: flags.Runtime = "auto",
    openvino_device: flags.OpenVinoDevice = None,
    sync: flags.Sync = False,
    seconds: flags.Seconds = None,
    seed: flags.Seed = 0,
    view: flags.View = None,
    as_json: flags.AsJson = False,
) -> None:
    """Play a trained policy in Dolphin, or with --stand-in against a replay.

    The part that starts Dolphin and leads through its menus has not been run against a real Dolphin yet.

    Windows has no named pipes for the stand-in.
    """
    if check:
        from play.check import CheckOptions

        flags.refuse_idle(ctx, "--check without --policy" if policy is None else "--check")
        looked_at = CheckOptions(
            policy=policy,
            dolphin=dolphin,
            iso=iso,
            dolphin_home=dolphin_home,
            replay_dir=replay_dir,
            slippi_port=slippi_port,
            runtime=runtime,
            openvino_device=openvino_device,
            is_sync=sync,
            is_headless=headless,
        )
        _check(looked_at, as_json=as_json)
    from play.dolphin.match import MatchOptions, opponent_run
    from play.launch import play_match, play_stand_in
    from play.play_options import PlayOptions

    if policy is None:
        raise ConfigError(
            "exphil play: needs a trained run to play, found none; give --policy RUN, or --check to look around"
        )
    if (stand_in is None) == (dolphin is None):
        raise ConfigError("exphil play: needs either --dolphin and --iso, or --stand-in; give one of them")
    flags.refuse_idle(ctx, "--dolphin" if stand_in is None else "--stand-in")
    options = PlayOptions(
        run=policy,
        opponent=opponent_run(opponent),
        is_sync=sync,
        temperature=temperature,
        seed=seed,
        seconds=seconds,
        delay=delay,
        runtime=runtime,
        openvino_device=openvino_device,
        console=_console(view),
        log_dir=log_dir,
    )
    if stand_in is not None:
        if opponent is not None and options.opponent is None:
            raise ConfigError(
                f"--opponent {opponent}: has no effect with --stand-in, whose replay does not react; leave it out, or give a run"
            )
        outcome = play_stand_in(options, stand_in, _say, fps=fps, port=port, slippi_port=slippi_port or 0)
    else:
        assert dolphin is not None
        wanted = MatchOptions(
            dolphin=dolphin,
            iso=iso,
            character=character,
            stage=stage,
            opponent=opponent,
            opponent_character=opponent_character,
            cpu_level=cpu_level,
            port=port,
            connect_code=connect_code,
            dolphin_home=dolphin_home,
            replay_dir=replay_dir,
            is_headless=headless,
            slippi_port=slippi_port,
        )
        outcome = play_match(options, wanted, games or 1, _say)
    found = _techniques(outcome, is_asked=techniques) if techniques or (techniques is None and not as_json) else None
    _show(outcome, found, is_replayed=stand_in is not None, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add play's commands."""
    from play.commands.demo_cli import register as register_demo
    from play.commands.eval_games import register as register_eval_games

    app.command(
        epilog=examples(
            "exphil play --policy first --stand-in game.slp",
            "exphil play --check --policy first --dolphin dolphin/ --iso melee.iso",
            "exphil play --policy first --dolphin dolphin/ --iso melee.iso --opponent cpu --cpu-level 9 --games 3",
            "exphil play --policy first --dolphin dolphin/ --iso melee.iso --opponent second",
        ),
    )(play)
    register_eval_games(app)
    register_demo(app)


def _check(options: "CheckOptions", *, as_json: bool) -> NoReturn:
    """Look around and exit, 1 if a match cannot be played."""
    import json

    from dataset.reporting.command_lines import command_line
    from play.check import check
    from play.commands.tables import check_table, stdout_console

    verdict = check(options)
    if as_json:
        typer.echo(json.dumps(verdict.as_json()))
    else:
        stdout_console().print(check_table(verdict))
    if verdict.ok:
        named = ["--policy", options.policy or "RUN", "--dolphin", str(verdict.dolphin), "--iso", str(verdict.iso)]
        _say(f"next: {command_line('play', *named)}")
    raise typer.Exit(0 if verdict.ok else 1)


def _console(is_drawn: bool | None) -> "Console":
    """Where the match is shown: drawn on a terminal unless told otherwise, in lines elsewhere."""
    import sys

    from rich.console import Console

    is_terminal = sys.stderr.isatty()
    if is_drawn and not is_terminal:
        raise ConfigError("--view: needs a terminal to draw on, found none; leave it out for plain lines")
    return Console(stderr=True, highlight=False, force_terminal=is_terminal and is_drawn is not False)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _techniques(outcome: "Outcome", *, is_asked: bool | None) -> list[dict[str, Any]] | None:
    """The agent's technique statistics, if Dolphin kept replays."""
    from play.games.techniques import technique_rows

    if outcome.log is None or outcome.character is None or not outcome.replays:
        if is_asked:
            _say("--techniques: needs the replays that Dolphin keeps, found none of these games")
        return None
    return technique_rows(outcome.replays, outcome.log.parent / "store", outcome.character, outcome.port, _say)


def _show(outcome: "Outcome", techniques: list[dict[str, Any]] | None, *, is_replayed: bool, as_json: bool) -> None:
    """Print the figures; a session that broke off fails after all that was played is told."""
    import json
    from dataclasses import asdict

    from dataset.errors import DolphinError
    from play.commands.tables import figures, rows_table, stdout_console

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
            f"session: must last until the games are over, found: {report.lost}; what was played stands above"
        )
