"""Load a run, warm it, open what it plays in, play, and close again whatever happened.

In: what the command line was told. Out: a ``Report``, and from a stand-in how long each frame waited for its answer. The
surprise: the policy is loaded and warmed *before* anything is opened, because a stall of 8 s in mid-game ends the connection.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from dataset.slippi.slp import read_header
from play.dolphin.connection import stopped_by_signals
from play.dolphin.match import Match, MatchOptions, build_match
from play.dolphin.ports import own_port, seat_in_replay, seated
from play.dolphin.session import Session
from play.dolphin.start import open_match
from play.loop.environment import SessionEnvironment, Stepped
from play.loop.observed import Watched
from play.loop.runner import FrameSource, Players, Report, Runner
from play.loop.session_log import REPLAY, SessionLog, logging, new_folder
from play.loop.view import viewing
from play.play_options import PlayOptions
from play.players import Say, load_agent, load_pair
from play.runtime.load import PlayedRun
from play.stand_in.protocol import OTHER_PIPE, PIPE
from play.stand_in.stand_in import StandIn, naming, open_stand_in


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it."""

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
    """Where it sat in all games; None online, where ports are dealt anew."""


def play_stand_in(
    options: PlayOptions,
    replay: Path,
    say: Say,
    *,
    fps: float | None = None,
    port: int | None = None,
    slippi_port: int = 0,
) -> Outcome:
    """Play once through a replay.

    Args:
        options: how the run plays.
        replay: a ``.slp`` of Slippi 3.8 or newer.
        say: takes lines about the progress.
        fps: frames a second; None is 60, or in sync as fast as the policy answers.
        port: the agent's; None looks for the run's character.
        slippi_port: UDP port of the server, 0 for a free one.
    """
    with naming(replay):
        header = read_header(replay)
    players: Players
    pipes: tuple[int, ...] = (PIPE,)
    if options.opponent is None:
        loaded, players = load_agent(options, say)
    else:
        loaded, _, players = load_pair(options, options.opponent, say)
        pipes = (PIPE, OTHER_PIPE)
    seat = seat_in_replay(header, loaded.character, port)
    say(f"stand-in: {replay.name}, the agent sits on port {seat}; the replayed game does not react to it")
    is_lock_step = options.is_sync and fps is None
    pace = None if is_lock_step else 60.0 if fps is None else fps
    with (
        stopped_by_signals(),
        _short_collections(),
        StandIn(replay, port=slippi_port, fps=pace, controllers=pipes, start_grace_s=0.0) as server,
        closing(open_stand_in(server, *pipes, is_blocking=is_lock_step)) as session,
    ):
        told = _settings(options, loaded, opponent=REPLAY, replay=replay.name)
        outcome = _run(session, players, options, lambda game: seat, num_games=1, log=_Log(told, options.log_dir))
    waited = server.report().answer_ms(outcome.report.answered, is_lock_step=is_lock_step)
    return replace(outcome, answer_ms=waited)


def play_match(options: PlayOptions, wanted: MatchOptions, num_games: int, say: Say) -> Outcome:
    """Play games in Dolphin."""
    players: Players
    rival_character = None
    if options.opponent is None:
        loaded, players = load_agent(options, say, is_online=wanted.connect_code is not None)
    else:
        loaded, other, players = load_pair(options, options.opponent, say)
        rival_character = other.character
    match = build_match(
        wanted,
        trained_character=loaded.character,
        delay=loaded.delay,
        is_blocking=options.is_sync,
        rival_character=rival_character,
    )
    match = seated(match, wanted.port)
    find_port = own_port(match)
    told = _settings(options, loaded, opponent=_opponent(match, options), stage=match.stage.name)
    log = _Log(told, options.log_dir or match.replay_dir / "sessions", match.replay_dir)
    with stopped_by_signals(), _short_collections(), closing(open_match(match)) as session:
        outcome = _run(session, players, options, find_port, num_games, log)
    return replace(outcome, character=match.character.name, port=match.port if match.connect_code is None else None)


class _Log(NamedTuple):
    """What a session's log begins with, and where it goes."""

    settings: dict[str, Any]
    folder: Path | None
    replay_dir: Path | None = None


def _settings(options: PlayOptions, loaded: PlayedRun, **match: Any) -> dict[str, Any]:
    return {
        "run": str(loaded.folder),
        "runtime": loaded.runtime,
        "codec": loaded.codec.name,
        "delay": loaded.delay,
        "temperature": options.temperature,
        "seed": options.seed,
        "is_sync": options.is_sync,
    } | match


def _opponent(match: Match, options: PlayOptions) -> str:
    if match.cpu is not None:
        return "cpu"
    return "human" if match.has_person else f"run {Path(str(options.opponent)).name}"


def _run(
    session: Session,
    players: Players,
    options: PlayOptions,
    find_port: Callable[[Any], int],
    num_games: int,
    log: _Log,
) -> Outcome:
    source: FrameSource = Stepped(SessionEnvironment(session)) if options.is_sync else session
    watched = Watched(session=source, find_port=find_port)
    runner = Runner(
        watched,
        players,
        find_port=find_port,
        is_sync=options.is_sync,
        num_games=num_games,
        seconds=options.seconds,
    )
    written = None
    if log.folder is not None:
        written = SessionLog(new_folder(log.folder), log.settings, runner.report, log.replay_dir)
    with logging(written, watched), viewing(watched, runner.report, options.console):
        runner.run()
    if written is None:
        return Outcome(report=runner.report)
    return Outcome(report=runner.report, log=written.path, replays=tuple(written.replays))


@contextmanager
def _short_collections() -> Iterator[None]:
    """What was loaded so far is never garbage; not looking at it keeps collections in mid-game short."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
