"""Every flag of ``exphil play`` in every one of its modes: it changes what is started, or it is refused by its name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dataset.errors import ConfigError
from play.check import Verdict
from play.cli import register
from play.dolphin.match import build_match
from play.launch import Outcome
from play.loop.runner import Report
from play.options import PlayOptions
from tests.play.fake_dolphin import MELEE

MODES = {
    "check": ["--check"],
    "check a run": ["--check", "--policy", "RUN"],
    "stand-in": ["--policy", "RUN", "--stand-in", "game.slp"],
    "stand-in, rival": ["--policy", "RUN", "--stand-in", "game.slp", "--opponent", "OTHER"],
    "cpu": ["--policy", "RUN", "--dolphin", "dolphin", "--iso", "melee.iso"],
    "human": ["--policy", "RUN", "--dolphin", "dolphin", "--iso", "melee.iso", "--opponent", "human"],
    "online": ["--policy", "RUN", "--dolphin", "dolphin", "--iso", "melee.iso", "--connect-code", "ABC#123"],
    "rival": ["--policy", "RUN", "--dolphin", "dolphin", "--iso", "melee.iso", "--opponent", "OTHER"],
}
CHECKS, STAND_INS, ALL = {"check", "check a run"}, {"stand-in", "stand-in, rival"}, set(MODES)
DOLPHINS = ALL - CHECKS - STAND_INS

TOGGLES: dict[str, tuple[list[str], set[str]]] = {
    "policy": (["--policy", "ANOTHER"], ALL),
    "stand_in": (["--stand-in", "another.slp"], STAND_INS),
    "fps": (["--fps", "30"], STAND_INS),
    "dolphin": (["--dolphin", "another"], CHECKS | DOLPHINS),
    "iso": (["--iso", "another.iso"], CHECKS | DOLPHINS),
    "character": (["--character", "marth"], DOLPHINS),
    "stage": (["--stage", "battlefield"], DOLPHINS),
    "opponent_character": (["--opponent-character", "falco"], {"cpu", "rival"}),
    "cpu_level": (["--cpu-level", "3"], {"cpu"}),
    "dolphin_home": (["--dolphin-home", "User"], CHECKS | {"human", "online"}),
    "replay_dir": (["--replay-dir", "kept"], CHECKS | DOLPHINS),
    "log_dir": (["--log-dir", "logs"], ALL - CHECKS),
    "techniques": (["--techniques"], DOLPHINS),
    "store": (["--store", "people"], DOLPHINS),
    "headless": (["--headless"], CHECKS | {"cpu", "online", "rival"}),
    "slippi_port": (["--slippi-port", "51442"], ALL),
    "games": (["--games", "3"], DOLPHINS),
    "port": (["--port", "3"], ALL - CHECKS - {"online"}),
    "delay": (["--delay", "2"], ALL - CHECKS),
    "temperature": (["--temperature", "0.5"], ALL - CHECKS),
    "runtime": (["--runtime", "torch"], ALL - {"check"}),
    "openvino_device": (["--openvino-device", "GPU"], ALL - {"check"}),
    "sync": (["--sync"], ALL - {"check"}),
    "seconds": (["--seconds", "5"], ALL - CHECKS),
    "seed": (["--seed", "7"], ALL - CHECKS),
    "view": (["--view"], set()),  # no terminal here; tests/play/loop/test_view.py has one
    "as_json": (["--json"], ALL),
}
"""What toggles each flag, and the modes in which it must change what is started; in all others it must be refused."""

CHECKED = ("policy", "dolphin", "iso", "dolphin_home", "replay_dir", "slippi_port", "headless")
CHECKED += ("runtime", "openvino_device", "sync")
PLAYED = (
    "policy",
    "opponent",
    "temperature",
    "seed",
    "seconds",
    "delay",
    "runtime",
    "openvino_device",
    "sync",
    "log_dir",
)
"""What ``play.check`` and ``play.launch`` read of the options; a match reads others by way of ``build_match``."""

CHANGES = {"check", "opponent", "connect_code"}
"""Flags that choose a mode; ``test_a_kind_of_opponent_that_cannot_be_is_refused`` has them beside the others."""


@pytest.mark.parametrize(
    ("opponent", "run"), [(None, None), ("cpu", None), ("human", None), ("runs/rival", "runs/rival")]
)
def test_an_opponent_that_is_no_cpu_and_no_human_is_a_run(opponent: str | None, run: str | None) -> None:
    assert PlayOptions(policy="own", opponent=opponent).runs == (("own",) if run is None else ("own", run))


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, str, str]]:
    """Runs the command; gives what it started, and what it printed."""
    started: list[Any] = []

    def start(what: Any) -> Outcome:
        started.append(what)
        return Outcome(report=Report())

    def match(options: PlayOptions, say: object, console: object) -> Outcome:
        match = build_match(options, trained_character="mewtwo", delay=2, rival_character="fox")
        return start((heeded(options, *PLAYED, "games"), match))

    def checked(options: PlayOptions) -> Verdict:
        start(heeded(options, *CHECKED))
        return Verdict(findings=[], dolphin=None, iso=None)

    def stand_in(options: PlayOptions, say: object, console: object) -> Outcome:
        return start(heeded(options, *PLAYED, "stand_in", "fps", "port", "slippi_port"))

    monkeypatch.setattr("play.check.check", checked)
    monkeypatch.setattr("play.launch.play_match", match)
    monkeypatch.setattr("play.launch.play_stand_in", stand_in)
    monkeypatch.chdir(tmp_path)
    for name in ("game.slp", "another.slp", "dolphin", "another"):
        Path(name).touch()
    for name in ("melee.iso", "another.iso"):
        Path(name).write_bytes(MELEE)
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)

    def run(*arguments: str) -> tuple[Any, str, str]:
        done = CliRunner().invoke(app, ["play", *arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return started.pop(), done.stdout, done.stderr

    return run


def heeded(options: PlayOptions, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names}


def test_the_table_has_every_flag_of_play() -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    command = typer.main.get_command(app).commands["play"]  # type: ignore[attr-defined]
    assert {each.name for each in command.params} == set(TOGGLES) | CHANGES


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("flag", TOGGLES)
def test_a_flag_changes_what_is_started_or_is_refused_by_its_name(
    play: Callable[..., tuple[Any, str, str]], mode: str, flag: str
) -> None:
    toggle, effective = TOGGLES[flag]
    plain = play(*MODES[mode])
    if mode in effective:
        assert play(*MODES[mode], *toggle) != plain
        return
    with pytest.raises(ConfigError, match=toggle[0]):
        play(*MODES[mode], *toggle)


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("check", ["--opponent", "cpu"]),
        ("check", ["--connect-code", "ABC#123"]),
        ("stand-in", ["--opponent", "cpu"]),
        ("stand-in", ["--opponent", "human"]),
        ("stand-in", ["--connect-code", "ABC#123"]),
        ("stand-in", ["--check"]),
        ("rival", ["--connect-code", "ABC#123"]),
        ("online", ["--opponent", "cpu"]),
    ],
)
def test_a_kind_of_opponent_that_cannot_be_is_refused(
    play: Callable[..., tuple[Any, str, str]], mode: str, more: list[str]
) -> None:
    named = "--stand-in" if more == ["--check"] else more[0]
    with pytest.raises(ConfigError, match=named):
        play(*MODES[mode], *more)


@pytest.mark.parametrize("flag", ["--no-techniques", "--seed=0", "--temperature=1.0", "--runtime=auto"])
def test_a_flag_that_says_what_is_so_anyway_is_refused_where_it_is_idle(
    play: Callable[..., tuple[Any, str, str]], flag: str
) -> None:
    with pytest.raises(ConfigError, match=flag.partition("=")[0].replace("--no-", "--")):
        play(*MODES["check"], flag)


def test_who_asks_for_techniques_is_told_that_no_replay_was_kept(play: Callable[..., tuple[Any, str, str]]) -> None:
    assert "--techniques: needs the replays that Dolphin keeps, found none" in play(*MODES["cpu"], "--techniques")[2]


def test_what_is_checked_is_what_was_named(play: Callable[..., tuple[Any, str, str]]) -> None:
    started, *_ = play(*MODES["check a run"], "--dolphin", "dolphin", "--slippi-port", "51442", "--sync")
    found = {name: value for name, value in started.items() if value != getattr(PlayOptions, name)}
    assert found == {"policy": "RUN", "dolphin": Path("dolphin"), "slippi_port": 51442, "sync": True}
