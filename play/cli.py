"""``exphil play``: a trained policy in Dolphin, or against the stand-in that needs no Dolphin.

Arguments only; what they start is imported inside, so that ``exphil --help`` stays light.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from dataset.examples import examples

if TYPE_CHECKING:
    from rich.console import Console

    from play.check import CheckOptions
    from play.launch import Outcome

IN_DOLPHIN = "In Dolphin"
IN_STAND_IN = "Without Dolphin"


def play(
    policy: Annotated[
        str | None, typer.Option(metavar="RUN", help="Run folder, run name or checkpoint file.", show_default=False)
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Play nothing: find Dolphin and the ISO, and say what a match lacks. --policy: is it fast enough?",
        ),
    ] = False,
    stand_in: Annotated[
        Path | None,
        typer.Option(
            metavar="REPLAY",
            exists=True,
            dir_okay=False,
            help="Play against this replay (Slippi 3.8 or newer), served as Dolphin would; it does not react.",
            rich_help_panel=IN_STAND_IN,
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Frames a second of the stand-in; default 60, with --sync as fast as the policy.",
            rich_help_panel=IN_STAND_IN,
        ),
    ] = None,
    dolphin: Annotated[
        Path | None,
        typer.Option(
            help="Slippi Dolphin: the executable, its folder, or Slippi Launcher's netplay folder.",
            rich_help_panel=IN_DOLPHIN,
        ),
    ] = None,
    iso: Annotated[
        Path | None, typer.Option(help="Melee, NTSC 1.02, with everything unlocked.", rich_help_panel=IN_DOLPHIN)
    ] = None,
    character: Annotated[
        str | None, typer.Option(help="Default: the character the run imitates.", rich_help_panel=IN_DOLPHIN)
    ] = None,
    stage: Annotated[str | None, typer.Option(help="Default: final_destination.", rich_help_panel=IN_DOLPHIN)] = None,
    opponent: Annotated[
        str | None,
        typer.Option(
            metavar="cpu|human|RUN",
            help="cpu, human (on this machine or, with --connect-code, online), or a run: --policy plays it. Default: cpu.",
        ),
    ] = None,
    opponent_character: Annotated[
        str | None,
        typer.Option(
            help="What the CPU plays, default fox; or an opponent's run, default whom it imitates.",
            rich_help_panel=IN_DOLPHIN,
        ),
    ] = None,
    cpu_level: Annotated[
        int | None, typer.Option(min=1, max=9, help="Of a CPU opponent; default 9.", rich_help_panel=IN_DOLPHIN)
    ] = None,
    connect_code: Annotated[
        str | None,
        typer.Option(
            help="Meet this player in Slippi's direct mode (never unranked); needs a login.", rich_help_panel=IN_DOLPHIN
        ),
    ] = None,
    dolphin_home: Annotated[
        Path | None,
        typer.Option(
            help="Dolphin's User folder to copy for a human opponent: pad settings and login. Default: Slippi's own.",
            rich_help_panel=IN_DOLPHIN,
        ),
    ] = None,
    replay_dir: Annotated[
        Path | None,
        typer.Option(help="Where Dolphin keeps the replays; default play-replays.", rich_help_panel=IN_DOLPHIN),
    ] = None,
    log_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where each session's log gets a folder of its own; default in Dolphin: sessions beside the replays.",
            show_default=False,
        ),
    ] = None,
    techniques: Annotated[
        bool | None,
        typer.Option(
            "--techniques/--no-techniques",
            help="Afterwards: how often the agent L-cancels, techs, wavedashes …, from the replays that Dolphin kept.",
            show_default="unless --json",
            rich_help_panel=IN_DOLPHIN,
        ),
    ] = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="No window; needs a mainline or ExiAI build.", rich_help_panel=IN_DOLPHIN)
    ] = False,
    slippi_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="UDP port of the spectator stream; default 51441, stand-in: a free one."),
    ] = None,
    games: Annotated[
        int | None, typer.Option(min=1, help="Games to play; default 1.", rich_help_panel=IN_DOLPHIN)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4,
            help="The agent's port; default 1, beside a person one without a pad, stand-in: its character's, else the lowest.",
        ),
    ] = None,
    delay: Annotated[
        int | None, typer.Option(help="Frames between seeing and acting; must be what the run was trained with.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Of sampling, above 0.")] = 1.0,
    runtime: Annotated[
        str, typer.Option(help="onnx, openvino, torch, or auto: ONNX Runtime if exphil export was run, else PyTorch.")
    ] = "auto",
    openvino_device: Annotated[
        str | None, typer.Option(help="CPU, GPU or AUTO, with --runtime openvino; default CPU.")
    ] = None,
    sync: Annotated[
        bool,
        typer.Option("--sync", help="Dolphin waits for the policy on every frame; without it the game never waits."),
    ] = False,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Stop after so many seconds of play.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sampling noise.")] = 0,
    view: Annotated[
        bool | None,
        typer.Option(
            "--view/--no-view",
            help="Draw the match in the terminal, or tell of it in plain lines.",
            show_default="--view",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Play a trained policy in Dolphin, or with --stand-in against a replay.

    The part that starts Dolphin and leads through its menus has not been run against a real Dolphin yet.

    Windows has no named pipes for the stand-in.
    """
    if check:
        from play.check import CheckOptions

        _refuse(
            {"stand-in": stand_in, "fps": fps, "character": character, "stage": stage, "opponent": opponent}, "--check"
        )
        _refuse({"opponent-character": opponent_character, "cpu-level": cpu_level, "port": port}, "--check")
        _refuse({"connect-code": connect_code, "headless": headless or None, "games": games, "delay": delay}, "--check")
        _refuse({"seconds": seconds, "view": view, "log-dir": log_dir, "techniques": techniques}, "--check")
        files: dict[str, Any] = {"dolphin": dolphin, "iso": iso, "dolphin_home": dolphin_home, "replay_dir": replay_dir}
        how: dict[str, Any] = {
            "runtime": runtime,
            "openvino_device": openvino_device,
            "temperature": temperature,
            "is_sync": sync,
        }
        _check(CheckOptions(policy=policy, slippi_port=slippi_port, **files, **how), as_json=as_json)
    from play.launch import PlayOptions, play_match, play_stand_in
    from play.match import MatchOptions, opponent_run

    if policy is None:
        raise _usage(
            "exphil play: needs a trained run to play, found none; give --policy RUN, or --check to look around"
        )
    if (stand_in is None) == (dolphin is None):
        raise _usage("exphil play: needs either --dolphin and --iso, or --stand-in; give one of them")
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
    in_dolphin: dict[str, Any] = {
        "iso": iso,
        "character": character,
        "stage": stage,
        "opponent": opponent,
        "opponent_character": opponent_character,
        "cpu_level": cpu_level,
        "connect_code": connect_code,
        "dolphin_home": dolphin_home,
        "replay_dir": replay_dir,
    }
    if stand_in is not None:
        idle = in_dolphin | {"headless": headless or None, "games": games, "techniques": techniques}
        _refuse(idle | ({} if options.opponent is None else {"opponent": None}), "--stand-in")
        outcome = play_stand_in(options, stand_in, _say, fps=fps, port=port, slippi_port=slippi_port or 0)
    else:
        assert dolphin is not None
        _refuse({"fps": fps}, "--dolphin")
        wanted = MatchOptions(dolphin=dolphin, port=port, slippi_port=slippi_port, is_headless=headless, **in_dolphin)
        outcome = play_match(options, wanted, games or 1, _say)
    is_told = not as_json if techniques is None else techniques
    _show(outcome, _techniques(outcome) if is_told else None, is_replayed=stand_in is not None, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add play's commands."""
    from play.demo_cli import register as register_demo
    from play.eval_games_cli import register as register_eval_games

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
    import shlex

    from play.check import check
    from play.show import check_table, stdout_console

    verdict = check(options)
    if as_json:
        typer.echo(json.dumps(verdict.as_json()))
    else:
        stdout_console().print(check_table(verdict))
    if verdict.ok:
        named = ["--policy", options.policy or "RUN", "--dolphin", str(verdict.dolphin), "--iso", str(verdict.iso)]
        _say(f"next: exphil play {shlex.join(named)}")
    raise typer.Exit(0 if verdict.ok else 1)


def _console(is_drawn: bool | None) -> "Console":
    """Where the match is shown: drawn on a terminal unless told otherwise, in lines elsewhere."""
    import sys

    from rich.console import Console

    is_terminal = sys.stderr.isatty()
    if is_drawn and not is_terminal:
        raise _usage("--view: needs a terminal to draw on, found none; leave it out for plain lines")
    return Console(stderr=True, highlight=False, force_terminal=is_terminal and is_drawn is not False)


def _refuse(given: dict[str, Any], other: str) -> None:
    """Refuse options that could not take effect beside ``other``."""
    for name, value in given.items():
        if value is not None:
            raise _usage(f"--{name.replace('_', '-')}: has no effect with {other}; leave one of them out")


def _usage(message: str) -> Exception:
    from dataset.errors import ConfigError

    return ConfigError(message)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _techniques(outcome: "Outcome") -> list[dict[str, Any]] | None:
    """The agent's technique statistics, if Dolphin kept replays."""
    from play.techniques import technique_rows

    if outcome.log is None or outcome.character is None or not outcome.replays:
        return None
    return technique_rows(outcome.replays, outcome.log.parent / "store", outcome.character, _say)


def _show(outcome: "Outcome", techniques: list[dict[str, Any]] | None, *, is_replayed: bool, as_json: bool) -> None:
    """Print the figures; a session that broke off fails after all that was played is told."""
    import json
    from dataclasses import asdict

    from dataset.errors import DolphinError
    from play.show import rows_table, stdout_console

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
        for rows in (result.pop("games"), techniques):
            if rows:
                stdout_console().print(rows_table(rows))
        for name, value in result.items():
            typer.echo(f"{name:28} {value}")
        if log is not None:
            _say(f"log: {log}")
    if report.lost is not None:
        raise DolphinError(
            f"session: must last until the games are over, found: {report.lost}; what was played stands above"
        )
