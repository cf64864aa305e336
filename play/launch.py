"""Loads the runs, opens what they play in, plays, and closes again whatever happened."""

import gc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from dataset.errors import ConfigError
from dataset.melee.ids import character_from_name, internal_from_external
from dataset.slippi.slp import Header, read_header
from play.agent.agent import Players
from play.dolphin.match import Match, build_match
from play.dolphin.session import Session
from play.dolphin.start import agent_port_finder, open_match, with_agent_port
from play.loop.environment import FrameSource, SessionEnvironment, Stepped
from play.loop.runner import Report, Runner
from play.loop.session_log import REPLAY, SessionLog, logging, new_folder
from play.loop.view import viewing
from play.options import PlayOptions
from play.runtime.load import LoadedRun, Say, load_players
from play.signals import stopped_by_signals
from play.stand_in.protocol import OTHER_PIPE, PIPE
from play.stand_in.stand_in import StandIn, naming, open_stand_in

NO_VIEW = Console(quiet=True)
"""Shows nothing of a match."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of playing."""

    report: Report
    answer_ms: tuple[float, float] | None = None
    """p50 and p99 from a frame leaving the stand-in to the pad's FLUSH arriving there; None in Dolphin."""
    log: Path | None = None
    """The session's log."""
    replays: tuple[Path, ...] = ()
    """Those that Dolphin kept of the games played."""
    character: str | None = None
    """What the agent played in Dolphin."""
    port: int | None = None
    """The agent's in all games; None online, where ports are dealt anew."""


def play_stand_in(options: PlayOptions, say: Say, console: Console = NO_VIEW) -> Outcome:
    """Play once through a replay.

    Args:
        options: which run plays against which replay, and how.
        say: takes lines about the progress.
        console: where the match is shown while it lasts.
    """
    replay = options.stand_in
    assert replay is not None
    with naming(replay):
        header = read_header(replay)
    runs, players = load_players(options, say)
    pipes = (PIPE, OTHER_PIPE)[: len(runs)]
    port = port_in_replay(header, runs[0].character, options.port)
    say(f"stand-in: {replay.name}, the agent plays on port {port}; the replayed game does not react to it")
    is_lock_step = options.sync and options.fps is None
    with (
        stopped_by_signals(),
        _short_collections(),
        StandIn(
            replay,
            port=options.slippi_port or 0,
            fps=None if is_lock_step else options.fps or 60.0,
            controllers=pipes,
            start_grace_s=0.0,
        ) as server,
        closing(open_stand_in(server, *pipes, is_blocking=is_lock_step)) as session,
    ):
        outcome = _run(
            session,
            players,
            options,
            console,
            find_port=lambda game: port,
            num_games=1,
            settings=_settings(options, runs[0], opponent=REPLAY, replay=replay.name),
            log_dir=options.log_dir,
        )
    return replace(outcome, answer_ms=server.report().answer_ms(outcome.report.answered, is_lock_step=is_lock_step))


def port_in_replay(header: Header, character: str | None, port: int | None) -> int:
    """The agent's port in a replay: the one asked for, else the lowest with its character, else the lowest.

    Raises:
        ConfigError: the port asked for is empty.
    """
    ports = [player.port for player in header.players]
    if port is not None:
        if port not in ports:
            found = ", ".join(map(str, ports))
            raise ConfigError(f"--port {port}: must be a port of the replay, found {found}; choose one of them")
        return port
    wanted = None if character is None else character_from_name(character).internal
    matching = [player.port for player in header.players if internal_from_external(player.character) == wanted]
    return min(matching or ports)


def play_match(options: PlayOptions, say: Say, console: Console = NO_VIEW) -> Outcome:
    """Play games in Dolphin; see ``play_stand_in``."""
    runs, players = load_players(options, say)
    match = build_match(
        options,
        trained_character=runs[0].character,
        delay=runs[0].delay,
        rival_character=runs[1].character if len(runs) > 1 else None,
    )
    match = with_agent_port(match, options.port)
    find_port = agent_port_finder(match)
    with stopped_by_signals(), _short_collections(), closing(open_match(match)) as session:
        outcome = _run(
            session,
            players,
            options,
            console,
            find_port=find_port,
            num_games=options.games or 1,
            settings=_settings(options, runs[0], opponent=_opponent(match, options), stage=match.stage.name),
            log_dir=options.log_dir or match.replay_dir / "sessions",
            replay_dir=match.replay_dir,
        )
    return replace(outcome, character=match.character.name, port=match.port if match.connect_code is None else None)


def _settings(options: PlayOptions, run: LoadedRun, **match: Any) -> dict[str, Any]:
    return {
        "run": str(run.folder),
        "runtime": run.runtime,
        "codec": run.codec.name,
        "delay": run.delay,
        "temperature": options.temperature,
        "seed": options.seed,
        "is_sync": options.sync,
    } | match


def _opponent(match: Match, options: PlayOptions) -> str:
    if match.cpu is not None:
        return "cpu"
    return "human" if match.has_person else f"run {Path(str(options.opponent)).name}"


def _run(
    session: Session,
    players: Players,
    options: PlayOptions,
    console: Console,
    *,
    find_port: Callable[[Any], int],
    num_games: int,
    settings: dict[str, Any],
    log_dir: Path | None,
    replay_dir: Path | None = None,
) -> Outcome:
    """Play on a session; with a ``log_dir``, its log begins with ``settings``."""
    source: FrameSource = Stepped(SessionEnvironment(session)) if options.sync else session
    runner = Runner(
        source, players, find_port=find_port, is_sync=options.sync, num_games=num_games, seconds=options.seconds
    )
    log = None if log_dir is None else SessionLog(new_folder(log_dir), settings, runner.report, replay_dir)
    with logging(log, runner), viewing(runner, console):
        runner.run()
    if log is None:
        return Outcome(report=runner.report)
    return Outcome(report=runner.report, log=log.path, replays=tuple(log.replays))


@contextmanager
def _short_collections() -> Iterator[None]:
    """What was loaded so far is never garbage; not looking at it keeps collections in mid-game short."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
