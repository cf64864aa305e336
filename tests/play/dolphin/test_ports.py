"""The agent's port: in a replay, beside a person at this machine, and online."""

from pathlib import Path

import melee
import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError, DolphinError
from dataset.slippi.slp import read_header
from play.dolphin.match import MatchOptions
from play.dolphin.ports import own_port, seat_in_replay, seated
from tests.play.builders import settle


@pytest.fixture(scope="module")
def duel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("duel") / "duel.slp"
    generate_replay(path, seed=1, characters=("fox", "mewtwo"), frames=10, ports=(1, 3))
    return path


@pytest.mark.parametrize(
    ("character", "port", "seat"),
    [("mewtwo", None, 3), ("fox", None, 1), ("marth", None, 1), (None, None, 1), ("mewtwo", 1, 1)],
)
def test_the_agent_sits_where_its_character_is(duel: Path, character: str | None, port: int | None, seat: int) -> None:
    assert seat_in_replay(read_header(duel), character, port) == seat


def test_in_a_ditto_the_agent_takes_the_lower_port(tmp_path: Path) -> None:
    generate_replay(tmp_path / "ditto.slp", seed=1, characters=("fox", "fox"), frames=10, ports=(2, 4))
    assert seat_in_replay(read_header(tmp_path / "ditto.slp"), "fox", None) == 2


def test_an_empty_port_is_refused_with_those_taken(duel: Path) -> None:
    with pytest.raises(ConfigError, match=r"--port 2.*found 1, 3"):
        seat_in_replay(read_header(duel), "fox", 2)


@pytest.mark.parametrize(
    ("ini", "asked", "port"),
    [
        ("", None, 2),
        ("[Core]\nSIDevice0 = 6\nSIDevice1 = 12\n", None, 3),
        ("[Core]\nSIDevice0 = 0\nSIDevice1 = 12\n", None, 1),
        ("[Core]\nSIDevice0 = 12\nSIDevice1 = 12\nSIDevice2 = 12\nSIDevice3 = 12\n", None, 4),
        ("[Core]\nSIDevice0 = 12\nSIDevice1 = 12\n", 1, 1),
    ],
)
def test_beside_a_person_the_agent_sits_where_no_pad_is_or_where_it_is_told(
    wanted: MatchOptions, tmp_path: Path, ini: str, asked: int | None, port: int
) -> None:
    (tmp_path / "User" / "Config").mkdir(parents=True)
    (tmp_path / "User" / "Config" / "Dolphin.ini").write_text(ini)
    human = MatchOptions(**vars(wanted) | {"opponent": "human", "dolphin_home": tmp_path / "User", "port": asked})
    assert seated(settle(human), asked).port == port


@pytest.mark.parametrize(("ini", "asked"), [("", 1), ("[Core]\nSIDevice0 = 0\n", None)])
def test_a_person_whose_only_pad_the_agent_would_take_is_told_so(
    wanted: MatchOptions, tmp_path: Path, ini: str, asked: int | None
) -> None:
    (tmp_path / "User" / "Config").mkdir(parents=True)
    (tmp_path / "User" / "Config" / "Dolphin.ini").write_text(ini)
    human = MatchOptions(**vars(wanted) | {"opponent": "human", "dolphin_home": tmp_path / "User", "port": asked})
    with pytest.raises(DolphinError, match="needs a pad on another port than the agent's 1"):
        seated(settle(human), asked)


def test_no_seat_is_chosen_where_no_person_sits_at_this_machine(wanted: MatchOptions) -> None:
    assert seated(settle(wanted), None).port == 1
    online = MatchOptions(**vars(wanted) | {"connect_code": "ABC#123"})
    assert seated(settle(online, delay=2), None).port == 1


def test_in_a_local_game_the_agent_is_where_its_pad_is(wanted: MatchOptions) -> None:
    assert own_port(settle(MatchOptions(**vars(wanted) | {"port": 3})))(melee.GameState()) == 3


def test_online_the_agent_is_found_by_the_logins_code(wanted: MatchOptions, tmp_path: Path) -> None:
    (tmp_path / "User" / "Slippi").mkdir(parents=True)
    (tmp_path / "User" / "Slippi" / "user.json").write_text('{"connectCode": "BOT#1"}')
    online = {"opponent": "human", "dolphin_home": tmp_path / "User", "connect_code": "ABC#123"}
    find = own_port(settle(MatchOptions(**vars(wanted) | online), delay=2))
    players = {1: melee.PlayerState(connectCode="ABC#123"), 2: melee.PlayerState(connectCode="BOT#1")}
    assert find(melee.GameState(players=players)) == 2
    with pytest.raises(DolphinError, match="must have the login's connect code") as refused:
        find(melee.GameState(players={1: players[1]}))
    assert "#" not in str(refused.value), "it is written to the session's log, where nobody is named"


def test_netplay_without_a_login_is_refused(wanted: MatchOptions, tmp_path: Path) -> None:
    (tmp_path / "User").mkdir()
    online = {"opponent": "human", "dolphin_home": tmp_path / "User", "connect_code": "ABC#123"}
    with pytest.raises(DolphinError, match="needs Slippi's login"):
        own_port(settle(MatchOptions(**vars(wanted) | online), delay=2))
