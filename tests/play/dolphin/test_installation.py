"""Dolphin's executable, User folder and login are found where the three systems keep them."""

from pathlib import Path

import pytest

from dataset.errors import DolphinError
from play.dolphin.installation import EXECUTABLES, default_home, find_executable, own_connect_code


@pytest.mark.parametrize("name", EXECUTABLES)
def test_dolphin_is_found_in_its_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert find_executable(tmp_path) == path
    assert find_executable(path) == path


@pytest.mark.parametrize(
    "name", ["Slippi_Online-x86_64-ExiAI.AppImage", "Slippi_Netplay_Mainline_NoGui-x86_64.AppImage"]
)
def test_a_build_with_a_name_of_its_own_is_found_too(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert find_executable(tmp_path) == tmp_path / name


def test_a_name_alone_is_not_looked_for_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dolphin-emu").touch()
    monkeypatch.chdir(tmp_path)
    assert find_executable(Path("dolphin-emu")) == find_executable(Path()) == tmp_path / "dolphin-emu"


def test_a_folder_without_dolphin_is_refused_with_the_names_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DolphinError, match=r"Slippi_Online-x86_64\.AppImage"):
        find_executable(tmp_path)


@pytest.mark.parametrize(
    ("system", "is_mainline", "ending"),
    [
        ("Linux", True, ".config/slippi-dolphin/netplay-beta"),
        ("Linux", False, ".config/SlippiOnline"),
        ("Darwin", True, "com.project-slippi.dolphin/netplay-beta/User"),
        ("Darwin", False, "com.project-slippi.dolphin/netplay/User"),
        ("Windows", False, "folder/User"),
    ],
)
def test_slippis_user_folder_by_system(
    monkeypatch: pytest.MonkeyPatch, system: str, is_mainline: bool, ending: str
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    found = default_home(Path("folder") / "Dolphin", is_mainline=is_mainline)
    assert found.as_posix().endswith(ending)


@pytest.mark.parametrize(
    ("system", "ending"),
    [("Linux", ".config/slippi-dolphin/netplay"), ("Darwin", "com.project-slippi.dolphin/netplay/User")],
)
def test_a_mainline_build_out_of_its_beta_has_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch, system: str, ending: str
) -> None:
    monkeypatch.setattr("platform.system", lambda: system)
    found = default_home(Path("Slippi Launcher") / "netplay" / "Dolphin", is_mainline=True)
    assert found.as_posix().endswith(ending)


def test_the_own_code_is_read_from_the_login(tmp_path: Path) -> None:
    (tmp_path / "Slippi").mkdir()
    (tmp_path / "Slippi" / "user.json").write_text('{"connectCode": "BOT#1", "uid": "x"}')
    assert own_connect_code(tmp_path) == "BOT#1"
