"""Dolphin's process and the connection to it: what does not answer is told of, and what was started is ended."""

import os
import shlex
import stat
import time
from multiprocessing import active_children
from pathlib import Path

import melee
import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import DolphinError
from play.dolphin import connection
from play.dolphin.connection import connect, start_dolphin
from play.dolphin.match import Match, build_match
from play.dolphin.start import open_match
from play.options import PlayOptions
from play.stand_in.protocol import OTHER_PIPE, PIPE
from play.stand_in.stand_in import StandIn, open_stand_in
from tests.play.builders import free_port
from tests.play.fake_dolphin import write_fake_dolphin, write_fake_iso


@pytest.fixture
def duel(tmp_path: Path) -> Path:
    generate_replay(tmp_path / "duel.slp", seed=1, frames=120)
    return tmp_path / "duel.slp"


def match_with(dolphin: Path, duel: Path, folder: Path) -> Match:
    iso = write_fake_iso(folder / "melee.iso", duel)
    wanted = PlayOptions(dolphin=dolphin, iso=iso, replay_dir=folder / "replays", slippi_port=free_port())
    return build_match(wanted, trained_character="mewtwo", delay=0)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def has_ended(pid: int) -> bool:
    """Whether there is no such process, or one that only waits to be counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_dolphin_that_its_appimage_only_waits_for_is_ended_too(duel: Path, tmp_path: Path) -> None:
    inner = write_fake_dolphin(tmp_path)
    pid = tmp_path / "pid"
    waits = f'{shlex.quote(str(inner))} "$@" & echo $! > {shlex.quote(str(pid))}; wait $!'
    session = open_match(match_with(script(tmp_path / "unpacks-itself", waits), duel, tmp_path))
    dolphin = int(pid.read_text())
    assert not has_ended(dolphin)
    session.close()
    deadline = time.monotonic() + 120
    while not has_ended(dolphin) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert has_ended(dolphin)
    assert active_children() == []


def test_a_dolphin_that_exits_at_once_is_told_of_by_its_code(
    duel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "START_S", 600.0)
    dolphin = script(tmp_path / "dolphin", 'test "$1" = --version && echo mainline && exit 0; exit 3')
    begin = time.monotonic()
    with pytest.raises(
        DolphinError,
        match=r"found that it exited with code 3 .*see what it wrote above, and whether .* starts the game",
    ):
        open_match(match_with(dolphin, duel, tmp_path))
    assert time.monotonic() - begin < 300, "one that still runs has ten minutes here"
    assert active_children() == []


def test_a_pad_that_nobody_reads_is_not_waited_for(duel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PIPE_S", 0.2)
    with (
        StandIn(duel, controllers=(PIPE,)) as server,
        pytest.raises(DolphinError, match=r"must read controller pipe .*slippibot2, found nothing"),
    ):
        open_stand_in(server, PIPE, OTHER_PIPE, is_blocking=False)
    assert active_children() == []


class Refusing:
    """A stream to which nobody answers, as after libmelee's ten seconds."""

    def __init__(self, answer: bool) -> None:
        self._worker = self._buffer = self
        self.answer, self.running, self.pid = answer, False, None

    def start(self) -> None:
        pass

    def poll(self, timeout: float) -> bool:
        return True

    def recv(self) -> bool:
        return self.answer

    def shutdown(self) -> None:
        pass


def test_a_dolphin_that_is_slow_to_start_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Config").mkdir()
    (tmp_path / "Config" / "Dolphin.ini").write_text("[Core]\n")
    console = melee.Console(is_remote=True, dolphin_home_path=str(tmp_path), polling_mode=True)
    console.exe_path, console.path = str(script(tmp_path / "dolphin", "exec sleep 60")), "dolphin"
    start_dolphin(console, tmp_path / "melee.iso")
    answers = iter([False, True])
    monkeypatch.setattr(connection, "SlippstreamClient", lambda address, port: Refusing(next(answers)))
    console._slippstream = Refusing(answer=False)
    connect(console, [])
    assert console._slippstream.running
    assert list(answers) == []
    pid = console._process.pid
    assert os.getpgid(pid) == pid
    connection.close_console(console)
    assert has_ended(pid)


def test_a_stand_in_is_asked_once(tmp_path: Path) -> None:
    console = melee.Console(is_remote=True, dolphin_home_path=str(tmp_path), polling_mode=True)
    console._slippstream = Refusing(answer=False)
    with pytest.raises(DolphinError, match="must answer on UDP port 51441, found nothing"):
        connect(console, [])
