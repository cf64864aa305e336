"""Who of a game is ours, loaded and warm: one run's agent, or two of them as a pair.

In: options of play. Out: ``Players`` for the frame loop. The surprise: they are stepped before anything is opened, because a
stall of 8 s in mid-game ends Dolphin's connection, and a run that cannot keep up is refused before a match, not in it.
"""

from collections.abc import Callable
from pathlib import Path

from dataset.errors import CheckpointError, ConfigError
from play.agent.agent import Agent, Stepper
from play.agent.pair import Pair
from play.loop.runner import Players, check_budget, warm_up
from play.play_options import PlayOptions
from play.runtime.load import PlayedRun, load
from train.runs.run_folder import find_run

Say = Callable[[str], None]


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
