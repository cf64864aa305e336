"""The User folder of a match: INI files that Dolphin reads and configparser does not, and what is kept of a person's."""

import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import melee
import pytest

from dataset.errors import ConfigError, DolphinError
from play.dolphin.connection import close_console
from play.dolphin.home import ports_with_pads, prepared_home, read_ini
from play.dolphin.installation import build_of
from play.dolphin.match import Match, build_match
from play.dolphin.start import _configure, open_match
from play.options import PlayOptions

INI = {
    "the same key twice": b"[Core]\nSIDevice0 = 0\nSIDevice0 = 6\n",
    "keys that differ in case": b"[Core]\nSIDevice0 = 0\nsidevice0 = 6\n",
    "the same section twice": b"[Core]\nX = 1\n[Display]\nA = 1\n[Core]\nSIDevice0 = 6\n",
    "sections that differ in case": b"[core]\nX = 1\n[CORE]\nSIDevice0 = 6\n",
    "a byte order mark": b"\xef\xbb\xbf[Core]\nSIDevice0 = 6\n",
    "Latin-1": b"[General]\nISOPath0 = /home/jos\xe9\n[Core]\nSIDevice0 = 6\n",
    "UTF-8": "[General]\nISOPath0 = /home/josé/ゲーム\n[Core]\nSIDevice0 = 6\n".encode(),
    "a key without a value": b"[Core]\nISOPath\nSIDevice0 = 6\n",
    "lines before any section": b"hello\n= 3\n[Core]\nSIDevice0 = 6\n",
    "percent signs": b"[General]\nISOPath0 = /a/100%/b\n[Core]\nSIDevice0 = 6\n",
    "colons": b"[General]\nA:B = 1\nA:C = 2\n[Core]\nSIDevice0 = 6\n",
    "carriage returns": b"[Core]\r\nSIDevice0 = 6\r\n",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "my Ünits 50%" / "User"
    (folder / "Config").mkdir(parents=True)
    return folder


@pytest.fixture
def configure(wanted_match: Match, home: Path) -> Callable[[], melee.Console]:
    match = wanted_match
    return lambda: _configure(match, build_of(match.executable))


@pytest.fixture
def wanted_match(wanted: PlayOptions, tmp_path: Path, home: Path) -> Match:
    options = replace(
        wanted, opponent="human", port=2, replay_dir=tmp_path / "50% games", dolphin_home=home, sync=False
    )
    return build_match(options, trained_character="falco", delay=0)


@pytest.mark.parametrize("name", ["Dolphin.ini", "GCPadNew.ini", "GFX.ini", "Logger.ini"])
@pytest.mark.parametrize("kind", INI)
def test_what_dolphin_reads_is_no_hindrance(
    home: Path, configure: Callable[[], melee.Console], tmp_path: Path, kind: str, name: str
) -> None:
    (home / "Config" / name).write_bytes(INI[kind])
    console = configure()
    try:
        melee.Controller(console, 2)
        found = read_ini(Path(console.dolphin_home_path) / "Config" / "Dolphin.ini")
        assert found["Slippi"]["replaydir"] == str(tmp_path / "50% games")
        assert found["Core"]["sidevice1"] == "6"
        assert name != "Dolphin.ini" or found["Core"]["sidevice0"] == "6"
        assert (home / "Config" / name).read_bytes() == INI[kind]
        assert ports_with_pads(home) == {1}
    finally:
        close_console(console)
    assert not Path(console.dolphin_home_path).exists()


def test_every_setting_is_kept_as_dolphin_reads_it(home: Path) -> None:
    text = "[General]\nISOPath0 = /home/josé/100%\n[GCPad1]\nButtons/A = toggle(`a` = 1) ; hi\n[core]\nSIDevice2 = 12\n"
    text += "A = 1\na = 2\n"
    (home / "Config" / "Dolphin.ini").write_text(text, encoding="utf-8")
    with prepared_home(home, Path("/replays"), is_mainline=False) as scratch:
        found = read_ini(scratch / "User" / "Config" / "Dolphin.ini")
        shutil.rmtree(scratch)
    assert found == {
        "General": {"isopath0": "/home/josé/100%"},
        "GCPad1": {"buttons/a": "toggle(`a` = 1) ; hi"},
        "Core": {"sidevice2": "12", "a": "2", "slippireplaydir": "/replays"},
    }


def test_what_cannot_be_copied_is_left_out(home: Path, configure: Callable[[], melee.Console]) -> None:
    (home / "Load").symlink_to("/nowhere")
    (home / "Wii").symlink_to(home.parent, target_is_directory=True)
    os.mkfifo(home / "pipe")
    (home / "GC").mkdir()
    (home / "GC" / "card").write_bytes(b"saved")
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(home)  # the path of a socket must be short
        bound.bind("s")
        os.chdir(here)
    console = configure()
    try:
        copied = {
            str(path.relative_to(console.dolphin_home_path)) for path in Path(console.dolphin_home_path).rglob("*")
        }
        assert "GC/card" in copied
        assert copied & {"Load", "Wii", "pipe", "s"} == set()
    finally:
        close_console(console)


def test_a_file_that_may_not_be_read_is_named(
    home: Path, configure: Callable[[], melee.Console], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "card").write_bytes(b"saved")
    copy = shutil.copyfile

    def refuse(source: str, target: str, **options: Any) -> Any:
        if Path(source).name == "card":
            raise PermissionError(13, "Permission denied", str(source))
        return copy(source, target, **options)

    monkeypatch.setattr("shutil.copyfile", refuse)
    with pytest.raises(DolphinError, match=r"card cannot be copied \(.*Permission denied"):
        configure()


def test_a_failure_leaves_no_folder_behind(
    home: Path, configure: Callable[[], melee.Console], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (home / "card").write_bytes(b"saved")
    for target, error in (
        ("shutil.copytree", OSError(28, "No space left on device")),
        ("melee.Console", RuntimeError("no")),
    ):
        with monkeypatch.context() as patch:

            def fail(*arguments: object, error: Exception = error, **options: object) -> None:
                raise error

            patch.setattr(target, fail)
            with pytest.raises((DolphinError, RuntimeError), match=r"No space left on device\); .*make room|no"):
                configure()
    assert list(tmp_path.glob("exphil-dolphin-*")) == []


def test_a_folder_for_replays_that_cannot_be_made_is_named(wanted_match: Match) -> None:
    with pytest.raises(ConfigError, match=r"--replay-dir: needs a folder that can be written to, .*/proc/none"):
        open_match(replace(wanted_match, replay_dir=Path("/proc/none")))


def test_a_pad_that_cannot_be_made_leaves_no_folder_behind(
    wanted_match: Match, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("melee.Controller", fail)
    with pytest.raises(OSError, match="No space left"):
        open_match(wanted_match)
    assert list(tmp_path.glob("exphil-dolphin-*")) == []
