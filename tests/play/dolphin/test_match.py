"""Matches are settled before Dolphin starts; what cannot take effect is an error that says so."""

from pathlib import Path
from typing import Any

import pytest

from dataset.errors import ConfigError, DolphinError
from dataset.melee.ids import character_from_name, stage_from_name
from play.dolphin.match import (
    EXECUTABLES,
    Match,
    MatchOptions,
    build_match,
    default_home,
    find_executable,
    opponent_run,
    own_connect_code,
)
from tests.play.fake_dolphin import MELEE


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    executable, iso = tmp_path / "Slippi_Online-x86_64.AppImage", tmp_path / "melee.iso"
    executable.touch()
    iso.write_bytes(MELEE)
    return {"dolphin": executable, "iso": iso}


def settle(files: dict[str, Any], **wanted: Any) -> Match:
    delay = wanted.pop("delay", 0)
    trained, rival = wanted.pop("trained_character", "mewtwo"), wanted.pop("rival_character", None)
    options = MatchOptions(**files | wanted)
    return build_match(options, trained_character=trained, delay=delay, is_blocking=False, rival_character=rival)


def test_what_is_not_said_has_a_default(files: dict[str, Any]) -> None:
    assert settle(files) == Match(
        executable=files["dolphin"],
        iso=files["iso"],
        character=character_from_name("mewtwo"),
        stage=stage_from_name("final_destination"),
        cpu=character_from_name("fox"),
        rival=None,
        cpu_level=9,
        port=1,
        connect_code=None,
        online_delay=0,
        is_blocking=False,
        is_headless=False,
        replay_dir=Path("play-replays"),
        home=None,
        slippi_port=51441,
    )


def test_online_the_whole_delay_is_netplays(files: dict[str, Any]) -> None:
    match = settle(files, connect_code="ABC#123", delay=3)
    assert (match.connect_code, match.online_delay, match.cpu) == ("ABC#123", 3, None)


@pytest.mark.parametrize(("port", "other_port"), [(1, 2), (2, 1), (4, 1)])
def test_an_opponent_that_we_seat_sits_on_another_port(files: dict[str, Any], port: int, other_port: int) -> None:
    assert settle(files, port=port).other_port == other_port


def test_an_opponents_run_plays_whom_it_imitates_or_whom_it_is_told(files: dict[str, Any]) -> None:
    match = settle(files, opponent="runs/rival", rival_character="marth")
    assert (match.rival, match.cpu, match.has_person) == (character_from_name("marth"), None, False)
    match = settle(files, opponent="runs/rival", rival_character="marth", opponent_character="sheik")
    assert match.rival == character_from_name("sheik")


@pytest.mark.parametrize(
    ("opponent", "run"), [(None, None), ("cpu", None), ("human", None), ("runs/rival", "runs/rival")]
)
def test_an_opponent_that_is_no_cpu_and_no_human_is_a_run(opponent: str | None, run: str | None) -> None:
    assert opponent_run(opponent) == run


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"trained_character": None}, "--character"),
        ({"character": "goku"}, "character 'goku'"),
        ({"stage": "hyrule"}, "stage 'hyrule'"),
        ({"opponent": "run"}, "--opponent-character: the run imitates every character"),
        ({"opponent": "run", "rival_character": "fox", "cpu_level": 3}, "--cpu-level: has no effect with a policy"),
        ({"opponent": "run", "rival_character": "fox", "dolphin_home": Path()}, "--dolphin-home: has no effect"),
        (
            {"opponent": "run", "connect_code": "ABC#123"},
            "--opponent run: netplay has no CPU players and no second pad",
        ),
        ({"opponent": "human", "cpu_level": 3}, "--cpu-level: has no effect"),
        ({"opponent": "human", "is_headless": True}, "--headless: has no picture"),
        ({"opponent": "human", "opponent_character": "fox"}, "--opponent-character: has no effect"),
        ({"dolphin_home": Path("x")}, "--dolphin-home: has no effect"),
        ({"opponent_character": "sheik"}, "choose zelda"),
        ({"opponent": "cpu", "connect_code": "ABC#123"}, "netplay has no CPU"),
        ({"connect_code": "abc", "delay": 2}, "read ABC#123"),
        ({"connect_code": "ABC#123", "delay": 0}, "train with --delay 2"),
        ({"connect_code": "ABC#123", "delay": 2, "port": 1}, "netplay deals the ports"),
        ({"connect_code": "ABC#123", "delay": 2, "character": "zelda"}, "choose sheik"),
    ],
)
def test_what_cannot_take_effect_is_refused(files: dict[str, Any], wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settle(files, **wanted)


def test_an_iso_is_needed(files: dict[str, Any]) -> None:
    with pytest.raises(DolphinError, match="found none"):
        settle(files | {"iso": None})


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


def test_an_iso_of_another_version_is_refused_before_dolphin_starts(files: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "old.iso").write_bytes(b"GALE01\x00\x00" + bytes(512))
    with pytest.raises(DolphinError, match=r"found version 1\.00; update it to 1\.02"):
        settle(files | {"iso": tmp_path / "old.iso"})


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
