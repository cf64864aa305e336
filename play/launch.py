"""Load a run, warm it, open what it plays in, play, and close again whatever happened.

In: what the command line was told. Out: a ``Report``, and from a stand-in how long each frame waited for its answer. The
surprise: the policy is loaded and warmed *before* anything is opened, because a stall of 8 s in mid-game ends the connection.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from dataset.errors import ConfigError
from dataset.ids import character_from_name, internal_from_external
from dataset.slp import Header, read_header
from play.agent import Agent
from play.dolphin import Session, open_stand_in
from play.emulator import open_match, own_port
from play.match import MatchOptions, build_match
from play.runner import Report, Runner, check_budget, warm_up
from play.runtime import PlayedRun, load
from play.stand_in import NEVER, StandIn
from play.stand_in import Report as StandInReport
from play.view import viewing
from play.watch import Watched

Say = Callable[[str], None]
NO_VIEW = Console(quiet=True)
"""Shows nothing of a match."""

PIPE = 1
"""The port of the pad that a stand-in reads; the replayed game does not listen to it."""


@dataclass(frozen=True, kw_only=True)
class PlayOptions:
    """How a run plays, wherever it does."""

    run: str
    is_sync: bool = False
    temperature: float = 1.0
    seed: int = 0
    seconds: float | None = None
    """Of play; None has no limit."""
    delay: int | None = None
    """Frames; None takes the run's."""
    runtime: str = "auto"
    """``auto``, ``onnx`` or ``torch``."""
    console: Console = NO_VIEW
    """Where the match is shown while it lasts."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it."""

    report: Report
    answer_ms: tuple[float, float] | None = None
    """p50 and p99 from a frame leaving the stand-in to the pad's FLUSH arriving there; None in Dolphin."""


def load_agent(options: PlayOptions, say: Say, *, is_online: bool = False) -> tuple[PlayedRun, Agent]:
    """A warm agent.

    Raises:
        CheckpointError: there is no such run, or its graph is stale.
        ConfigError: the run is too slow for the game, or has another delay.
    """
    loaded, stepper = load(options.run, options.temperature, options.runtime)
    if options.delay not in (None, loaded.delay):
        raise ConfigError(
            f"--delay {options.delay}: a run plays with the delay it was trained for, found {loaded.delay}; "
            "leave --delay out, or train with it"
        )
    online_delay = loaded.delay if is_online else 0
    agent = Agent(stepper, loaded.codec, delay=loaded.delay, online_delay=online_delay, seed=options.seed)
    step_ms = warm_up(agent)
    say(f"run {loaded.folder}: {loaded.runtime}, delay {loaded.delay}, a warm step takes {step_ms:.2f} ms")
    if not options.is_sync:
        check_budget(step_ms)
    return loaded, agent


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
    loaded, agent = load_agent(options, say)
    seat = find_seat(read_header(replay), loaded.character, port)
    say(f"stand-in: {replay.name}, the agent sits on port {seat}; the replayed game does not react to it")
    is_lock_step = options.is_sync and fps is None
    pace = None if is_lock_step else 60.0 if fps is None else fps
    with (
        _short_collections(),
        StandIn(replay, port=slippi_port, fps=pace, controllers=(PIPE,), start_grace_s=0.0) as server,
        closing(open_stand_in(server, port=PIPE, is_blocking=is_lock_step)) as session,
    ):
        report = _run(session, agent, options, lambda game: seat, num_games=1)
    waited = answer_ms(server.report(), report.answered, is_lock_step=is_lock_step)
    return Outcome(report=report, answer_ms=waited)


def play_match(options: PlayOptions, wanted: MatchOptions, num_games: int, say: Say) -> Outcome:
    """Play games in Dolphin."""
    loaded, agent = load_agent(options, say, is_online=wanted.connect_code is not None)
    match = build_match(wanted, trained_character=loaded.character, delay=loaded.delay, is_blocking=options.is_sync)
    find_port = own_port(match)
    with _short_collections(), closing(open_match(match)) as session:
        return Outcome(report=_run(session, agent, options, find_port, num_games))


def _run(
    session: Session, agent: Agent, options: PlayOptions, find_port: Callable[[Any], int], num_games: int
) -> Report:
    watched = Watched(session=session, find_port=find_port)
    runner = Runner(
        watched,
        agent,
        find_port=find_port,
        is_sync=options.is_sync,
        num_games=num_games,
        seconds=options.seconds,
    )
    with viewing(watched, runner.report, options.console):
        return runner.run()


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
    """p50 and p99 of the time from a frame leaving the stand-in to the FLUSH that answers it arriving there.

    Args:
        seen: the stand-in's report.
        answered: frames in the order in which they were answered.
        is_lock_step: whether every FLUSH answers the frame sent last. At the game's pace the first one opens the stream,
            and each later one answers the next of ``answered``, however late it comes.
    """
    if is_lock_step:
        newest = np.searchsorted(seen.sent_s, seen.flush_s, side="right") - 1
        is_answer = (newest >= 0) & (seen.poll_frame != NEVER)
        waited: Any = seen.flush_s[is_answer] - seen.sent_s[newest[is_answer]]
    else:
        frames, first_copy = np.unique(seen.frames, return_index=True)
        flushed = seen.flush_s[1:][: len(answered)]
        sent = seen.sent_s[first_copy[np.searchsorted(frames, answered[: len(flushed)])]]
        waited = flushed - sent
    return (float(np.percentile(waited, 50) * 1e3), float(np.percentile(waited, 99) * 1e3)) if len(waited) else None
