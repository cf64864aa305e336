"""Starting Dolphin: an executable that behaves as libmelee expects, run by an unmodified Console; and the menus."""

import ast
import configparser
import json
import socket
from contextlib import closing
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import melee
import pytest

from dataset.errors import DolphinError
from play.dolphin.installation import Build
from play.dolphin.match import Match
from play.dolphin.session import ALONE, BESIDE_A_PERSON, Patience
from play.dolphin.start import Menus, agent_port_finder, open_match, with_agent_port
from play.launch import play_match
from play.options import PlayOptions
from tests.play.builders import random_run, settle
from tests.play.fake_dolphin import write_fake_dolphin

pytestmark = pytest.mark.usefixtures("patient_budget")


def silent(line: str) -> None:
    pass


def test_two_games_are_played_through_the_menus_between_them(wanted: PlayOptions, tmp_path: Path) -> None:
    before = set(active_children())
    outcome = play_match(replace(wanted, policy=str(random_run(tmp_path / "run")), games=2), silent)
    assert outcome.report.lost is None
    assert [game.frames for game in outcome.report.games] == [120, 120]
    assert set(active_children()) == before
    kept = tuple((tmp_path / "replays" / f"Game_{number}.slp").resolve() for number in range(2))
    assert (outcome.replays, outcome.character, outcome.port) == (kept, "mewtwo", 1)
    assert outcome.log is not None
    assert outcome.log.parent.parent == tmp_path / "replays" / "sessions"
    events = [json.loads(line) for line in outcome.log.read_text().splitlines()]
    assert [event["event"] for event in events] == [
        "session",
        *["game_start", "game_end"] * 2,
        "session_end",
    ]
    assert (events[0]["opponent"], events[0]["stage"], events[0]["is_sync"]) == ("cpu", "final_destination", True)
    names = [f"../../Game_{number}.slp" for number in range(2)]
    assert [event["replay"] for event in events if event["event"] == "game_end"] == names

    flags = ast.literal_eval((tmp_path / "flags").read_text())
    assert flags["-e"] == str(tmp_path / "melee.iso")
    assert "--platform" not in flags
    ini = configparser.ConfigParser()
    ini.read(tmp_path / "flags.ini")
    assert dict(ini["Slippi"]) == {
        "enablespectator": "True",
        "spectatorlocalport": str(wanted.slippi_port),
        "onlinedelay": "0",
        "blockingpipes": "True",
        "savereplays": "True",
        "replaydir": str(tmp_path / "replays"),
    }
    assert (ini["Core"]["sidevice0"], ini["Core"]["sidevice1"]) == ("6", "6"), "both pads are pipes"
    assert not Path(flags["-u"]).exists(), "the temporary home is gone"


def test_two_policies_play_each_other(wanted: PlayOptions, tmp_path: Path) -> None:
    own, rival = random_run(tmp_path / "own"), random_run(tmp_path / "rival", character="fox", delay=2)
    outcome = play_match(replace(wanted, policy=str(own), opponent=str(rival)), silent)
    assert ([game.frames for game in outcome.report.games], outcome.report.lost) == ([120], None)


def test_async_lets_dolphin_run_on(wanted: PlayOptions, tmp_path: Path) -> None:
    outcome = play_match(replace(wanted, policy=str(random_run(tmp_path / "run")), sync=False), silent)
    assert outcome.report.lost is None
    ini = configparser.ConfigParser()
    ini.read(tmp_path / "flags.ini")
    assert ini["Slippi"]["blockingpipes"] == "False"


def test_headless_asks_a_mainline_build_for_no_window(wanted: PlayOptions, tmp_path: Path) -> None:
    open_match(settle(replace(wanted, headless=True))).close()
    flags = ast.literal_eval((tmp_path / "flags").read_text())
    assert flags["--platform"] == "headless"


def test_a_build_that_always_has_a_window_is_never_started_headless(wanted: PlayOptions, tmp_path: Path) -> None:
    write_fake_dolphin(tmp_path, options="--batch")
    with pytest.raises(DolphinError, match="--headless: needs a build that can do without a window, found mainline"):
        open_match(settle(replace(wanted, headless=True)))
    assert not (tmp_path / "flags").exists(), "Qt takes --platform for its own, and dies of it"


def test_where_dolphin_cannot_wait_sync_is_refused(wanted: PlayOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("play.dolphin.start.build_of", lambda path: Build("Ishiiruka", "3.4.1", False, False))
    monkeypatch.setattr("play.dolphin.start.platform.system", lambda: "Windows")
    with pytest.raises(DolphinError, match="--sync: needs a mainline build on Windows, found Ishiiruka"):
        open_match(settle(wanted))


def test_the_stream_of_another_dolphin_is_never_taken_for_ours(wanted: PlayOptions, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
        another.bind(("", settle(wanted).slippi_port))
        with pytest.raises(DolphinError, match=r"--slippi-port \d+: must be free .* close the other Dolphin"):
            closing(open_match(settle(wanted)))
    assert not (tmp_path / "flags").exists()


def test_what_is_no_dolphin_is_refused(wanted: PlayOptions, tmp_path: Path) -> None:
    write_fake_dolphin(tmp_path, version="something else")
    with pytest.raises(DolphinError, match="must answer --version"):
        open_match(settle(wanted))


def test_a_human_opponent_needs_a_user_folder(wanted: PlayOptions, tmp_path: Path) -> None:
    human = replace(wanted, opponent="human", dolphin_home=tmp_path / "nowhere")
    with pytest.raises(DolphinError, match="--dolphin-home"):
        open_match(settle(human))


def test_a_human_opponents_pad_settings_are_copied(wanted: PlayOptions, tmp_path: Path) -> None:
    home = tmp_path / "User"
    (home / "Config").mkdir(parents=True)
    (home / "Config" / "GCPadNew.ini").write_text("[GCPad2]\nDevice = DInput/0/Keyboard Mouse\n")
    human = replace(wanted, opponent="human", dolphin_home=home)
    session = open_match(settle(human))
    flags = ast.literal_eval((tmp_path / "flags").read_text())
    pads = configparser.ConfigParser()
    pads.read(Path(flags["-u"]) / "Config" / "GCPadNew.ini")
    session.close()
    assert pads["GCPad2"]["device"] == "DInput/0/Keyboard Mouse"
    assert pads["GCPad1"]["device"] == "Pipe/0/slippibot1"
    assert (home / "Config" / "GCPadNew.ini").read_text() == "[GCPad2]\nDevice = DInput/0/Keyboard Mouse\n"


def test_a_person_needs_a_build_with_a_picture(wanted: PlayOptions, tmp_path: Path) -> None:
    write_fake_dolphin(tmp_path, version="mainline ExiAI")
    human = replace(wanted, opponent="human", dolphin_home=tmp_path)
    with pytest.raises(DolphinError, match="an ExiAI build shows no picture"):
        open_match(settle(human))


def test_only_people_may_take_their_time_in_menus_and_pauses(wanted: PlayOptions, tmp_path: Path) -> None:
    human = replace(wanted, opponent="human", dolphin_home=tmp_path / "User")
    (tmp_path / "User").mkdir()
    limits: list[Patience] = []
    for options in (wanted, human):
        session = open_match(settle(options))
        limits.append(session.patience)
        session.close()
    assert limits == [ALONE, BESIDE_A_PERSON]
    assert (ALONE.silence_s, ALONE.pause_s, ALONE.num_menus) == (30.0, 30.0, 7200)
    assert (BESIDE_A_PERSON.silence_s, BESIDE_A_PERSON.num_menus) == (30.0, None)
    assert BESIDE_A_PERSON.pause_s >= 600


def test_online_the_login_is_where_dolphin_finds_it(wanted: PlayOptions, tmp_path: Path, login: Path) -> None:
    home = tmp_path / "dolphin" / "netplay" / "User"
    online = replace(wanted, dolphin_home=home, connect_code="ABC#123")
    with closing(open_match(settle(online, delay=2))):
        flags = ast.literal_eval((tmp_path / "flags").read_text())
        assert (Path(flags["-u"]) / "Slippi" / "user.json").read_text() == login.read_text()


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The login as Ishiiruka has it on macOS: one for all of Slippi's Dolphins."""
    (tmp_path / "dolphin" / "netplay" / "User").mkdir(parents=True)
    (tmp_path / "dolphin" / "Slippi").mkdir()
    path = tmp_path / "dolphin" / "Slippi" / "user.json"
    path.write_text('{"connectCode": "MAC#1"}')
    monkeypatch.setattr("play.dolphin.installation.platform.system", lambda: "Darwin")
    return path


class Helper:
    """Notes what libmelee's menu helper is asked to do."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: self.calls.append((name, {"args": args[2:], **named}))


class Resting:
    def release_all(self) -> None:
        pass


def navigate(match: Match, state: melee.GameState, monkeypatch: pytest.MonkeyPatch) -> tuple[Helper, Helper]:
    helpers = [Helper(), Helper()]
    given = iter(helpers)
    monkeypatch.setattr(melee, "MenuHelper", lambda: next(given))
    Menus(match, [Resting(), Resting()]).navigate(state)
    return helpers[0], helpers[1]


def character_select(status: melee.ControllerStatus, level: int) -> melee.GameState:
    cpu = melee.PlayerState(controller_status=status, cpu_level=level)
    return melee.GameState(
        menu_state=melee.Menu.CHARACTER_SELECT,
        players={1: melee.PlayerState(), 2: cpu, 3: melee.PlayerState(), 4: melee.PlayerState()},
    )


@pytest.mark.parametrize(
    ("status", "level", "may_start"),
    [
        (melee.ControllerStatus.CONTROLLER_HUMAN, 9, False),
        (melee.ControllerStatus.CONTROLLER_CPU, 3, False),
        (melee.ControllerStatus.CONTROLLER_CPU, 9, True),
    ],
)
def test_the_game_is_started_only_once_the_cpu_is_a_cpu_of_its_level(
    wanted: PlayOptions, monkeypatch: pytest.MonkeyPatch, status: melee.ControllerStatus, level: int, may_start: bool
) -> None:
    own, cpu = navigate(settle(wanted), character_select(status, level), monkeypatch)
    ((_, asked),) = own.calls
    assert asked == {
        "args": (melee.Character.MEWTWO, melee.Stage.FINAL_DESTINATION),
        "connect_code": None,
        "autostart": may_start,
        "frozen_stadium": False,
    }
    ((_, asked),) = cpu.calls
    assert asked == {"args": (melee.Character.FOX, melee.Stage.FINAL_DESTINATION), "cpu_level": 9, "autostart": False}


@pytest.mark.parametrize(
    ("chosen", "is_coin_down", "may_start"),
    [
        (melee.Character.FOX, False, False),
        (melee.Character.MARTH, True, False),
        (melee.Character.FOX, True, True),
    ],
)
def test_against_a_policy_the_game_is_started_only_once_it_has_its_character(
    wanted: PlayOptions, monkeypatch: pytest.MonkeyPatch, chosen: melee.Character, is_coin_down: bool, may_start: bool
) -> None:
    match = settle(replace(wanted, opponent="runs/rival"), rival_character="fox")
    state = character_select(melee.ControllerStatus.CONTROLLER_HUMAN, 0)
    state.players[2].character, state.players[2].coin_down = chosen, is_coin_down
    own, other = navigate(match, state, monkeypatch)
    ((_, asked),) = own.calls
    assert asked["autostart"] is may_start
    ((_, asked),) = other.calls
    assert asked == {"args": (melee.Character.FOX, melee.Stage.FINAL_DESTINATION), "cpu_level": 0, "autostart": False}


@pytest.mark.parametrize(
    ("menu", "own_calls", "other_calls"),
    [
        (melee.Menu.PRESS_START, ["choose_versus_mode"], []),
        (melee.Menu.UNKNOWN_MENU, ["skip_postgame"], ["skip_postgame"]),
        (melee.Menu.STAGE_SELECT, ["menu_helper_simple"], ["menu_helper_simple"]),
        (melee.Menu.MAIN_MENU, ["menu_helper_simple"], []),
    ],
)
def test_both_pads_leave_the_scores_and_only_the_agents_leads_to_the_versus_mode(
    wanted: PlayOptions,
    monkeypatch: pytest.MonkeyPatch,
    menu: melee.Menu,
    own_calls: list[str],
    other_calls: list[str],
) -> None:
    own, other = navigate(settle(wanted), melee.GameState(menu_state=menu), monkeypatch)
    assert [name for name, _ in own.calls] == own_calls
    assert [name for name, _ in other.calls] == other_calls


class Pressing:
    """A pad as libmelee's own menu helper uses it: what is down, and where the stick was last put."""

    def __init__(self, port: int) -> None:
        self.port, self.prev = port, melee.ControllerState()
        self.down: set[str] = set()

    def press_button(self, button: melee.Button) -> None:
        self.down.add(button.name)

    def release_button(self, button: melee.Button) -> None:
        self.down.discard(button.name)

    def release_all(self) -> None:
        self.down.clear()

    def tilt_analog(self, button: melee.Button, x: float, y: float) -> None:
        pass


def stage_select(frame: int) -> melee.GameState:
    """Final Destination under the cursor."""
    players = {port: melee.PlayerState() for port in range(1, 5)}
    for player in players.values():
        player.cursor.x, player.cursor.y = 6.7, -9.0
    return melee.GameState(menu_state=melee.Menu.STAGE_SELECT, frame=frame, players=players)


def test_a_rival_that_plays_sheik_is_ready_as_zelda_and_holds_a_at_the_stages(wanted: PlayOptions) -> None:
    match = settle(replace(wanted, opponent="runs/rival"), rival_character="sheik")
    own, rival = Pressing(1), Pressing(2)
    menus = Menus(match, [own, rival])  # type: ignore[list-item]
    state = character_select(melee.ControllerStatus.CONTROLLER_HUMAN, 0)
    state.frame = 1
    for port, character in ((1, melee.Character.MEWTWO), (2, melee.Character.ZELDA)):
        state.players[port].character, state.players[port].coin_down = character, True
    menus.navigate(state)
    assert own.down == {"BUTTON_START"}
    menus.navigate(stage_select(5))
    assert rival.down == {"BUTTON_A"}


def test_the_stage_is_chosen_in_every_game_though_dolphin_skips_the_screens_first_frame(wanted: PlayOptions) -> None:
    own = Pressing(1)
    menus = Menus(settle(wanted), [own, Pressing(2)])  # type: ignore[list-item]
    for _ in range(2):
        menus.navigate(stage_select(30))
        assert own.down == {"BUTTON_A"}
        menus.navigate(melee.GameState(menu_state=melee.Menu.UNKNOWN_MENU))
        own.release_all()


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
def test_beside_a_person_the_agent_takes_a_port_without_a_pad_or_the_one_asked_for(
    wanted: PlayOptions, tmp_path: Path, ini: str, asked: int | None, port: int
) -> None:
    (tmp_path / "User" / "Config").mkdir(parents=True)
    (tmp_path / "User" / "Config" / "Dolphin.ini").write_text(ini)
    human = replace(wanted, opponent="human", dolphin_home=tmp_path / "User", port=asked)
    assert with_agent_port(settle(human), asked).port == port


@pytest.mark.parametrize(("ini", "asked"), [("", 1), ("[Core]\nSIDevice0 = 0\n", None)])
def test_a_person_whose_only_pad_the_agent_would_take_is_told_so(
    wanted: PlayOptions, tmp_path: Path, ini: str, asked: int | None
) -> None:
    (tmp_path / "User" / "Config").mkdir(parents=True)
    (tmp_path / "User" / "Config" / "Dolphin.ini").write_text(ini)
    human = replace(wanted, opponent="human", dolphin_home=tmp_path / "User", port=asked)
    with pytest.raises(DolphinError, match="needs a pad on another port than the agent's 1"):
        with_agent_port(settle(human), asked)


def test_no_port_is_chosen_where_no_person_plays_at_this_machine(wanted: PlayOptions) -> None:
    assert with_agent_port(settle(wanted), None).port == 1
    online = replace(wanted, connect_code="ABC#123")
    assert with_agent_port(settle(online, delay=2), None).port == 1


def test_in_a_local_game_the_agent_is_where_its_pad_is(wanted: PlayOptions) -> None:
    assert agent_port_finder(settle(replace(wanted, port=3)))(melee.GameState()) == 3


def test_online_the_agent_is_found_by_the_logins_code(wanted: PlayOptions, tmp_path: Path) -> None:
    (tmp_path / "User" / "Slippi").mkdir(parents=True)
    (tmp_path / "User" / "Slippi" / "user.json").write_text('{"connectCode": "BOT#1"}')
    online = {"opponent": "human", "dolphin_home": tmp_path / "User", "connect_code": "ABC#123"}
    find = agent_port_finder(settle(replace(wanted, **online), delay=2))
    players = {1: melee.PlayerState(connectCode="ABC#123"), 2: melee.PlayerState(connectCode="BOT#1")}
    assert find(melee.GameState(players=players)) == 2
    with pytest.raises(DolphinError, match="must have the login's connect code") as refused:
        find(melee.GameState(players={1: players[1]}))
    assert "#" not in str(refused.value), "it is written to the session's log, where nobody is named"


def test_netplay_without_a_login_is_refused(wanted: PlayOptions, tmp_path: Path) -> None:
    (tmp_path / "User").mkdir()
    online = {"opponent": "human", "dolphin_home": tmp_path / "User", "connect_code": "ABC#123"}
    with pytest.raises(DolphinError, match="needs Slippi's login"):
        agent_port_finder(settle(replace(wanted, **online), delay=2))
