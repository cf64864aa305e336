"""``exphil play --check`` on folder trees as the three systems have them."""

import json
import os
import shlex
import socket
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dataset.errors import ConfigError
from play import check
from play.check import Finding
from play.cli import register
from play.dolphin import installation
from play.dolphin.installation import Build, launcher_dolphin, launcher_iso
from play.options import PlayOptions
from tests.play.builders import random_run
from tests.play.fake_dolphin import MELEE, write_fake_dolphin

LAUNCHERS = {
    "Linux": ".config/Slippi Launcher",
    "Darwin": "Library/Application Support/Slippi Launcher",
    "Windows": "AppData/Roaming/Slippi Launcher",
}
HOMES = {
    "Linux": ".config/slippi-dolphin/netplay-beta",
    "Darwin": "Library/Application Support/com.project-slippi.dolphin/netplay-beta/User",
    "Windows": "AppData/Roaming/Slippi Launcher/netplay-beta/User",
}
EXECUTABLES = {
    "Linux": "Slippi_Netplay_Mainline-x86_64.AppImage",
    "Darwin": "Slippi_Dolphin.app/Contents/MacOS/Slippi_Dolphin",
    "Windows": "Slippi Dolphin.exe",
}


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else runs here, whatever does."""
    monkeypatch.setattr(check, "running_programs", list)


class Machine:
    """A home folder as one of the systems has it, in which this process believes to be."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, home: Path, system: str) -> None:
        self.home, self.system = home, system
        monkeypatch.setattr("platform.system", lambda: system)
        monkeypatch.setattr(Path, "home", lambda: home)
        monkeypatch.delenv("APPDATA", raising=False)
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        self.launcher = home / LAUNCHERS[system]

    def install(self, folder: str = "netplay-beta", *, name: str | None = None) -> Path:
        path = self.launcher / folder / (name or EXECUTABLES[self.system])
        path.parent.mkdir(parents=True)
        path.touch(mode=0o755)
        return path

    def settle(self, **settings: Any) -> None:
        self.launcher.mkdir(parents=True, exist_ok=True)
        (self.launcher / "Settings").write_text(json.dumps({"settings": settings}))

    def iso(self, image: bytes = MELEE) -> Path:
        path = self.home / "melee.iso"
        path.write_bytes(image)
        return path


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])


def look(**options: Any) -> dict[str, Finding]:
    named: dict[str, Any] = {"slippi_port": free_port(), "replay_dir": Path("play-replays")} | options
    return {finding.name: finding for finding in check.check(PlayOptions(**named)).findings}


@pytest.mark.parametrize("system", list(LAUNCHERS))
def test_everything_that_the_launcher_installed_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str
) -> None:
    machine = Machine(monkeypatch, tmp_path, system)
    machine.install("netplay", name="Slippi Dolphin.exe" if system == "Windows" else None)
    dolphin, iso = machine.install(), machine.iso()
    machine.settle(isoPath=str(iso), useNetplayBeta=True)
    home = tmp_path / HOMES[system]
    (home / "Slippi").mkdir(parents=True)
    (home / "Slippi" / "user.json").write_text('{"connectCode": "BOT#1"}')
    monkeypatch.setattr(check, "build_of", lambda path: Build("mainline", "3.5.1", True, False))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    found = check.check(PlayOptions(slippi_port=free_port()))
    assert (found.dolphin, found.iso, found.ok) == (dolphin, iso, True)
    by_name = {finding.name: finding for finding in found.findings}
    assert by_name["Dolphin"].detail == f"{dolphin}, Slippi Launcher's"
    assert by_name["User folder"] == Finding(name="User folder", status="ok", detail=str(home))
    assert by_name["login"] == Finding(name="login", status="ok", detail="BOT#1")
    assert {name: finding.status for name, finding in by_name.items() if finding.status != "ok"} == (
        {"build": "warn"} if system == "Darwin" else {}
    )


@pytest.mark.parametrize(("is_beta", "folder"), [(True, "netplay-beta"), (False, "netplay")])
def test_the_launchers_settings_choose_between_its_dolphins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_beta: bool, folder: str
) -> None:
    machine = Machine(monkeypatch, tmp_path, "Linux")
    both = {name: machine.install(name) for name in ("netplay", "netplay-beta")}
    machine.settle(useNetplayBeta=is_beta)
    assert launcher_dolphin() == both[folder]


def test_settings_that_cannot_be_read_name_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine(monkeypatch, tmp_path, "Linux")
    for text in ("", "[]", '{"settings": 3}', '{"settings": {"isoPath": 3}}', '{"settings": {"isoPath": null}}'):
        machine.launcher.mkdir(parents=True, exist_ok=True)
        (machine.launcher / "Settings").write_text(text)
        assert launcher_iso() is None


def test_without_the_launcher_every_missing_thing_names_its_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = Machine(monkeypatch, tmp_path, "Linux")
    found = look()
    assert found["Dolphin"] == Finding(
        name="Dolphin",
        status="fail",
        detail=f"no Slippi Launcher at {machine.launcher}",
        fix="start Slippi Launcher once so that it installs Dolphin, or pass --dolphin PATH",
    )
    assert (found["ISO"].status, found["ISO"].fix) == (
        "fail",
        "choose it in Slippi Launcher's settings, or pass --iso PATH",
    )
    machine.launcher.mkdir(parents=True)
    assert look()["Dolphin"].detail == f"no Dolphin in {machine.launcher}"
    assert {"build", "User folder"}.isdisjoint(look())


def test_a_folder_named_by_the_user_is_searched_as_in_a_match(tmp_path: Path) -> None:
    dolphin = write_fake_dolphin(tmp_path)
    found = look(dolphin=tmp_path, dolphin_home=tmp_path)
    assert found["Dolphin"].detail == str(dolphin)
    assert (found["build"].status, found["build"].detail) == ("ok", "mainline mainline 3.5.1")
    found = look(dolphin=tmp_path / "nowhere")
    assert (found["Dolphin"].status, found["Dolphin"].fix) == ("fail", "pass the executable")


NOGUI = """case "$1" in
--version) echo mainline 3.5.1;;
--help) echo "  -p PLATFORM, --platform=PLATFORM  Window platform to use [headless, x11]";;
esac"""
QT = """case "$1" in
--version) echo mainline 3.5.1;;
--help) echo "  -b, --batch  Run Dolphin without the user interface";;
esac"""
EXI_AI = "echo 'Faster Melee - Slippi (0.2) - ExiAI' >&2; exit 1"
"""What builds answer: mainline's nogui and Qt programs by their sources, ExiAI by libmelee's."""


def fake(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("script", "status", "detail", "fix"),
    [
        ("echo mainline 4.0.0", "ok", "mainline mainline 4.0.0", ""),
        ("echo 'dbind-WARNING: Connection refused' >&2; echo mainline 4.0.0", "ok", "mainline mainline 4.0.0", ""),
        ("echo 'fuse: device not found' >&2; exit 1", "fail", "found fuse: device not found", "install libfuse2"),
        ("echo mainline ExiAI", "warn", "mainline ExiAI mainline ExiAI", "for CPU opponents and runs"),
        ("echo 3.4.1; exit 255", "ok", "Ishiiruka 3.4.1", ""),
        (
            "echo 'qt.qpa.xcb: could not connect to display' >&2; exit 134",
            "fail",
            "found qt.qpa.xcb: could not connect to display",
            "xvfb-run",
        ),
        ("echo 'Faster Melee - Slippi (0.2) - ExiAI' >&2; exit 1", "warn", "Ishiiruka ExiAI 0.2", "no picture"),
        (
            "echo 'dlopen(): error loading libfuse.so.2' >&2; exit 127",
            "fail",
            "found dlopen(): error loading libfuse.so.2",
            "install libfuse2, or set APPIMAGE_EXTRACT_AND_RUN=1",
        ),
        ("exit 127", "fail", "found exit code 127", "APPIMAGE_EXTRACT_AND_RUN=1"),
        (
            "echo Dolphin 5.0-17995",
            "fail",
            "'Dolphin 5.0-17995', so this is Dolphin without Slippi",
            "pass Slippi's own",
        ),
        ("exit 3", "fail", "Unexpected return code 3", "pass Slippi's own"),
    ],
)
def test_builds_are_told_apart_by_what_they_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, status: str, detail: str, fix: str
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    found = look(dolphin=fake(tmp_path / "dolphin", script), dolphin_home=tmp_path)["build"]
    assert found.status == status
    assert detail in found.detail
    assert fix in found.fix


@pytest.mark.parametrize(
    ("script", "status", "detail"),
    [
        (NOGUI, "ok", "mainline mainline 3.5.1, without a window"),
        (QT, "fail", "--headless: needs a build that can do without a window, found mainline mainline 3.5.1"),
        ("echo 3.4.1; exit 255", "fail", "found Ishiiruka 3.4.1"),
        (EXI_AI, "warn", "Ishiiruka ExiAI 0.2, without a window"),
    ],
)
def test_whether_a_build_can_do_without_a_window_is_asked_of_its_own_help(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, status: str, detail: str
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    dolphin = fake(tmp_path / "dolphin", script)
    found = look(dolphin=dolphin, dolphin_home=tmp_path, headless=True)["build"]
    assert (found.status, detail in found.detail) == (status, True)


def test_a_build_is_asked_once_however_often_a_match_wants_to_know(tmp_path: Path) -> None:
    """Every question starts the program: seconds, where it is an AppImage."""
    asked = tmp_path / "asked"
    dolphin = fake(tmp_path / "dolphin", f'echo once >> "{asked}"; echo mainline 3.5.1')
    assert [installation.build_of(dolphin).name for _ in range(3)] == ["mainline"] * 3
    assert asked.read_text() == "once\n" * 2, "ours, and libmelee's own"


def test_a_dolphin_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installation, "ANSWER_S", 0.1)
    found = look(dolphin=fake(tmp_path / "dolphin", "exec sleep 60"))["build"]
    assert (found.status, "no answer in 0 s" in found.detail) == ("fail", True)


def test_a_file_that_may_not_be_executed_says_so(tmp_path: Path) -> None:
    (tmp_path / "dolphin").touch(mode=0o644)
    assert look(dolphin=tmp_path / "dolphin")["build"].fix == f"chmod +x '{tmp_path / 'dolphin'}'"


def test_an_iso_of_another_version_fails_and_a_packed_one_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "melee.iso").write_bytes(b"GALE01\x00\x00" + bytes(512))
    found = look(iso=tmp_path / "melee.iso")["ISO"]
    assert (found.status, found.fix) == ("fail", "update it to 1.02")
    (tmp_path / "melee.iso").write_bytes(b"CISO".ljust(0x8000, b"\x00") + MELEE)
    found = look(iso=tmp_path / "melee.iso")["ISO"]
    assert (found.status, "packed as ciso" in found.detail) == ("warn", True)


def test_gecko_codes_of_ones_own_are_named(tmp_path: Path) -> None:
    dolphin = write_fake_dolphin(tmp_path)
    (tmp_path / "GameSettings").mkdir()
    settings = tmp_path / "GameSettings" / "GALE01.ini"
    settings.write_text("[Gecko_Enabled]\n$Optional: Extract Menu Info\n[Gecko]\n$Widescreen\n")
    assert look(dolphin=dolphin, dolphin_home=tmp_path)["Gecko codes"].status == "ok"
    settings.write_text("[Gecko]\n$Other\n[Gecko_Enabled]\n$Widescreen 16:9\n")
    found = look(dolphin=dolphin, dolphin_home=tmp_path)["Gecko codes"]
    assert (found.status, found.detail) == ("warn", "Widescreen 16:9")
    settings.rename(settings.with_name("GALE01r2.ini"))
    assert look(dolphin=dolphin, dolphin_home=tmp_path)["Gecko codes"].status == "ok", "libmelee replaces that file"


def test_a_system_without_named_pipes_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(path: Path) -> None:
        raise OSError("Operation not permitted")

    monkeypatch.setattr(os, "mkfifo", refuse)
    assert look()["named pipes"].status == "fail"
    monkeypatch.setattr("platform.system", lambda: "Windows")
    assert look()["named pipes"].fix == "pip install pywin32"


def test_open_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    running = ["bash", "slippi_online-x86_64.appimage", "slippi launcher.exe", "dolphin", "dolphin-emu"]
    monkeypatch.setattr(check, "running_programs", lambda: running)
    found = look()
    assert (found["other Dolphins"].status, found["other Dolphins"].detail) == (
        "warn",
        "dolphin-emu, slippi_online-x86_64.appimage",
    )
    assert (found["Slippi Launcher"].status, found["Slippi Launcher"].detail) == ("warn", "slippi launcher.exe")


def test_programs_that_run_are_listed_by_file_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert any(name.startswith("py") for name in check.running_programs())


def test_a_spectator_port_in_use_fails() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 0))
        port = taken.getsockname()[1]
        found = look(slippi_port=port)["spectator port"]
    assert (found.status, f"found UDP {port}: Address already in use" in found.detail) == ("fail", True)
    assert found.fix == "close the other Dolphin, or pass another --slippi-port"


def test_a_replay_folder_that_cannot_be_made_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert look(replay_dir=tmp_path / "file" / "below")["replay folder"].status == "fail"
    assert look(replay_dir=tmp_path / "new" / "below")["replay folder"].status == "ok"


def test_a_policy_is_loaded_and_stepped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = str(random_run(tmp_path / "run"))
    monkeypatch.setattr("play.runtime.load.FRAME_BUDGET_MS", 10_000.0)
    found = look(policy=run)["policy"]
    assert (found.status, "a warm step takes" in found.detail) == ("ok", True)
    monkeypatch.setattr("play.runtime.load.FRAME_BUDGET_MS", 0.0)
    found = look(policy=run)["policy"]
    assert (found.status, found.fix) == ("fail", "play a smaller one, or let Dolphin wait: --sync")
    assert look(policy=run, sync=True)["policy"].status == "ok"
    assert look(policy=str(tmp_path / "nothing"))["policy"].status == "fail"


def play(*arguments: str) -> tuple[int, str, str]:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    done = CliRunner().invoke(app, ["play", "--check", *arguments])
    if isinstance(done.exception, Exception):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def test_the_command_prints_a_table_and_what_to_type_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = Machine(monkeypatch, tmp_path / "my home", "Linux")
    machine.launcher.mkdir(parents=True)
    (machine.launcher / "netplay-beta").mkdir()
    dolphin = write_fake_dolphin(machine.launcher / "netplay-beta")
    iso = machine.iso()
    port = ("--slippi-port", str(free_port()))
    code, out, err = play("--iso", str(iso), *port)
    assert code == 0
    assert "ready to play" in out
    assert shlex.split(err)[-6:] == ["--policy", "RUN", "--dolphin", str(dolphin), "--iso", str(iso)]
    code, out, err = play(*port)
    assert (code, err) == (1, "")
    assert "choose it in Slippi Launcher's settings" in out


def test_the_command_prints_json_for_scripts(tmp_path: Path) -> None:
    code, out, _ = play("--dolphin", str(tmp_path), "--json")
    result = json.loads(out)
    assert (code, result["ok"], result["dolphin"]) == (1, False, None)
    (found,) = (finding for finding in result["checks"] if finding["name"] == "Dolphin")
    assert set(found) == {"name", "status", "detail", "fix"}
    assert found["status"] == "fail"


@pytest.mark.parametrize(
    "arguments", [["--stage", "battlefield"], ["--seconds", "3"], ["--games", "2"], ["--seed", "7"]]
)
def test_what_a_check_does_not_look_at_is_refused(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"{arguments[0]}: has no effect with --check"):
        play(*arguments)
