"""Load a run, warm it, open what it plays in, play, and close again whatever happened.

In: what the command line was told. Out: a ``Report``, and from a stand-in how long each frame waited for its answer. The
surprise: the policy is loaded and warmed *before* anything is opened, because a stall of 8 s in mid-game ends the connection.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from dataset.errors import CheckpointError, ConfigError
from dataset.ids import character_from_name, internal_from_external
from dataset.slp import Header, read_header
from play.agent import Agent, Stepper
from play.connection import stopped_by_signals
from play.dolphin import Session, open_stand_in
from play.emulator import open_match, own_port, seat
from play.environment import SessionEnvironment, Stepped
from play.match import Match, MatchOptions, build_match
from play.pair import Pair
from play.runner import FrameSource, Players, Report, Runner, check_budget, warm_up
from play.runtime import PlayedRun, load
from play.session_log import REPLAY, SessionLog, logging, new_folder
from play.stand_in import NEVER, StandIn, naming
from play.stand_in import Report as StandInReport
from play.view import viewing
from play.watch import Watched
from train.record import find_run

Say = Callable[[str], None]
NO_VIEW = Console(quiet=True)
"""Shows nothing of a match."""

PIPE, OTHER_PIPE = 1, 2
"""Ports of the pads that a stand-in reads, the agent's and its opponent's; the replayed game does not listen to them."""


@dataclass(frozen=True, kw_only=True)
class PlayOptions:
    """How a run plays, wherever it does."""

    run: str
    opponent: str | None = None
    """The run that plays the other side; None if that is nobody of ours."""
    is_sync: bool = False
    temperature: float = 1.0
    seed: int = 0
    seconds: float | None = None
    """Of play; None has no limit."""
    delay: int | None = None
    """Frames; None takes the run's."""
    runtime: str = "auto"
    """``auto``, ``onnx``, ``openvino`` or ``torch``."""
    openvino_device: str | None = None
    """``CPU``, ``GPU`` or ``AUTO``; None is the CPU."""
    console: Console = NO_VIEW
    """Where the match is shown while it lasts."""
    log_dir: Path | None = None
    """Where the folders of session logs lie; None is beside the replays that Dolphin keeps, and nowhere without Dolphin."""


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


def load_agent(options: PlayOptions, say: Say, *, is_online: bool = False) -> tuple[PlayedRun, Agent]:
    """A warm agent.

    Raises:
        CheckpointError: there is no such run, or its graph is stale.
        ConfigError: the run is too slow for the game, or has another delay.
    """
    loaded, stepper = _load(options, options.run)
    _require_delay(options.delay, loaded)
    online_delay = loaded.delay if is_online else 0
    agent = Agent(stepper, loaded.codec, delay=loaded.delay, online_delay=online_delay, seed=options.seed)
    _warm(agent, f"run {loaded.folder}: {loaded.runtime}, delay {loaded.delay}", options, say)
    return loaded, agent


def load_pair(options: PlayOptions, opponent: str, say: Say) -> tuple[PlayedRun, PlayedRun, Pair]:
    """Two warm agents, the second of the run ``opponent``; one run on both sides is stepped for both at once.

    Raises:
        CheckpointError: a run is not there, or its graph is stale.
        ConfigError: both together are too slow for the game, or the first has another delay.
    """
    try:
        weights = _weights_of(opponent)
    except CheckpointError as error:
        raise ConfigError(
            f"--opponent {opponent}: must be cpu, human or a run, found none of them ({error})"
        ) from error
    is_same = weights == _weights_of(options.run)
    own, stepper = _load(options, options.run, num_players=2 if is_same else 1)
    _require_delay(options.delay, own)
    other, other_stepper = (own, stepper) if is_same else _load(options, opponent)
    pair = Pair(
        Agent(stepper, own.codec, delay=own.delay, seed=options.seed),
        Agent(other_stepper, other.codec, delay=other.delay, seed=(options.seed, 1)),
    )
    told = f"run {own.folder}: {own.runtime}, delay {own.delay}, "
    told += "on both sides" if is_same else f"against run {other.folder}: {other.runtime}, delay {other.delay}"
    _warm(pair, told, options, say)
    return own, other, pair


def _load(options: PlayOptions, run: str, num_players: int = 1) -> tuple[PlayedRun, Stepper]:
    return load(run, options.temperature, options.runtime, num_players, options.openvino_device)


def _weights_of(run: str) -> Path:
    return find_run(run)[1].resolve()


def _require_delay(wanted: int | None, loaded: PlayedRun) -> None:
    if wanted not in (None, loaded.delay):
        raise ConfigError(
            f"--delay {wanted}: a run plays with the delay it was trained for, found {loaded.delay}; "
            "leave --delay out, or train with it"
        )


def _warm(players: Players, told: str, options: PlayOptions, say: Say) -> None:
    step_ms = warm_up(players)
    say(f"{told}, a warm step takes {step_ms:.2f} ms")
    if not options.is_sync:
        check_budget(step_ms)


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
    seat = find_seat(header, loaded.character, port)
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
    waited = answer_ms(server.report(), outcome.report.answered, is_lock_step=is_lock_step)
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
    match = seat(match, wanted.port)
    find_port = own_port(match)
    told = _settings(options, loaded, opponent=_opponent(match, options), stage=match.stage.name)
    log = _Log(told, options.log_dir or match.replay_dir / "sessions", match.replay_dir)
    with stopped_by_signals(), _short_collections(), closing(open_match(match)) as session:
        outcome = _run(session, players, options, find_port, num_games, log)
    return replace(outcome, character=match.character.name)


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


def find_seat(header: Header, character: str | None, port: int | None) -> int:
    """The agent's port in a replay: the one asked for, else the lowest with its character, else the lowest.

    Raises:
        ConfigError: nobody sits on the port asked for.
    """
    ports = [player.port for player in header.players]
    if port is not None:
        if port not in ports:
            taken = ", ".join(str(taken) for taken in ports)
            raise ConfigError(f"--port {port}: must be a port of the replay, found {taken}; choose one of them")
        return port
    wanted = None if character is None else character_from_name(character).internal
    matching = [player.port for player in header.players if internal_from_external(player.character) == wanted]
    return min(matching or ports)


def answer_ms(seen: StandInReport, answered: Sequence[int], *, is_lock_step: bool) -> tuple[float, float] | None:
    """p50 and p99 of the time from a frame leaving the stand-in to the FLUSH of the agent's pad that answers it arriving there.

    Args:
        seen: the stand-in's report.
        answered: frames in the order in which they were answered.
        is_lock_step: whether every FLUSH answers the frame sent last. At the game's pace the first one opens the stream,
            and each later one answers the next of ``answered``, however late it comes.
    """
    is_own = seen.port == PIPE
    flushed = seen.flush_s[is_own]
    if is_lock_step:
        newest = np.searchsorted(seen.sent_s, flushed, side="right") - 1
        is_answer = (newest >= 0) & (seen.poll_frame[is_own] != NEVER)
        waited: Any = flushed[is_answer] - seen.sent_s[newest[is_answer]]
    else:
        frames, first_copy = np.unique(seen.frames, return_index=True)
        flushed = flushed[1:][: len(answered)]
        sent = seen.sent_s[first_copy[np.searchsorted(frames, answered[: len(flushed)])]]
        waited = flushed - sent
    return (float(np.percentile(waited, 50) * 1e3), float(np.percentile(waited, 99) * 1e3)) if len(waited) else None
