"""Matches are settled before Dolphin starts; what cannot take effect is an error that says so."""

from pathlib import Path
from typing import Any

import pytest

from dataset.errors import ConfigError, DolphinError
from dataset.melee.ids import character_from_name, stage_from_name
from play.dolphin.match import Match, build_match
from play.options import PlayOptions
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
    options = PlayOptions(**files | wanted)
    return build_match(options, trained_character=trained, delay=delay, rival_character=rival)


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
        ({"opponent": "human", "headless": True}, "--headless: has no picture"),
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


def test_an_iso_of_another_version_is_refused_before_dolphin_starts(files: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "old.iso").write_bytes(b"GALE01\x00\x00" + bytes(512))
    with pytest.raises(DolphinError, match=r"found version 1\.00; update it to 1\.02"):
        settle(files | {"iso": tmp_path / "old.iso"})
