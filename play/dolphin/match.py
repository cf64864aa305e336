"""What is to be played in a real Dolphin, where its files are, and what of that cannot work.

In: the options of ``exphil play``. Out: a checked ``Match``. The surprise: libmelee takes a folder only when its name holds
"netplay", so the executable is looked for here and always passed as a file.
"""

import json
import platform
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from dataset.errors import ConfigError, DolphinError
from dataset.melee.ids import Character, Stage, character_from_name, stage_from_name
from play.dolphin.disc import require_melee

EXECUTABLES = (
    "Slippi_Netplay_Mainline-x86_64.AppImage",
    "Slippi_Online-x86_64.AppImage",
    "Slippi_Dolphin.app/Contents/MacOS/Slippi_Dolphin",
    "Slippi Dolphin.app/Contents/MacOS/Slippi Dolphin",
    "Contents/MacOS/Slippi_Dolphin",
    "Contents/MacOS/Slippi Dolphin",
    "Slippi_Dolphin.exe",
    "Slippi Dolphin.exe",
    "dolphin-emu-nogui",
    "dolphin-emu",
)
"""Where Dolphin lies within the folders users name: the launcher's, macOS's application, or a build's own."""

_OTHER_NAMES = ("Slippi_Netplay*.AppImage", "Slippi_Online*.AppImage", "*Dolphin.exe")
"""Builds named after their version or their maker, looked for last."""

_CONNECT_CODE = re.compile(r"[A-Z0-9]{1,7}#[0-9]{1,4}")


@dataclass(frozen=True, kw_only=True)
class MatchOptions:
    """What was asked for; None where nothing was said."""

    dolphin: Path
    iso: Path | None = None
    character: str | None = None
    stage: str | None = None
    opponent: str | None = None
    opponent_character: str | None = None
    cpu_level: int | None = None
    port: int | None = None
    connect_code: str | None = None
    dolphin_home: Path | None = None
    replay_dir: Path | None = None
    is_headless: bool = False
    slippi_port: int | None = None


@dataclass(frozen=True, kw_only=True)
class Match:
    """A match to be played in Dolphin; every field is settled."""

    executable: Path
    iso: Path
    character: Character
    stage: Stage
    cpu: Character | None
    """What a CPU opponent plays."""
    rival: Character | None
    """What an opponent plays that is a policy of ours; with neither this nor ``cpu`` the opponent is a person."""
    cpu_level: int
    """1 to 9."""
    port: int
    """The agent's, 1 to 4; online it is where the pipe sits, the game decides the rest."""
    connect_code: str | None
    """Whom to meet in Slippi's direct mode."""
    online_delay: int
    """Frames netplay adds; 0 in local games."""
    is_blocking: bool
    """Whether Dolphin waits for the agent on every frame."""
    is_headless: bool
    replay_dir: Path
    home: Path | None
    """Dolphin's User folder to copy where people play; None means where Slippi keeps it."""
    slippi_port: int
    """UDP port of the spectator stream."""

    @property
    def other_port(self) -> int:
        """Where an opponent sits that is no person."""
        return 2 if self.port == 1 else 1

    @property
    def has_person(self) -> bool:
        """Whether the opponent is a person."""
        return self.cpu is None and self.rival is None


CPU, HUMAN, POLICY = "cpu", "human", "policy"


def opponent_run(opponent: str | None) -> str | None:
    """The run that ``--opponent`` names; None where it names none."""
    return None if opponent in (None, CPU, HUMAN) else opponent


def _kind(wanted: MatchOptions) -> str:
    if opponent_run(wanted.opponent) is not None:
        return POLICY
    return wanted.opponent or (CPU if wanted.connect_code is None else HUMAN)


def build_match(
    wanted: MatchOptions,
    *,
    trained_character: str | None,
    delay: int,
    is_blocking: bool,
    rival_character: str | None = None,
) -> Match:
    """Settle a match.

    Args:
        wanted: what was asked for.
        trained_character: whom the run imitates; None if everybody.
        delay: the run's, in frames.
        is_blocking: whether Dolphin shall wait on every frame.
        rival_character: whom the opponent's run imitates, if the opponent is one.

    Raises:
        ConfigError: something is missing, unknown, or cannot take effect.
        DolphinError: there is no Dolphin, or no ISO.
    """
    kind = _kind(wanted)
    _refuse_idle(wanted, kind)
    character = _policys("--character", wanted.character or trained_character)
    if wanted.iso is None:
        raise DolphinError("--iso: must be a Melee NTSC 1.02 image, found none; pass its path")
    require_melee(wanted.iso)
    if wanted.connect_code is not None:
        _check_online(wanted.connect_code, character, wanted.port, delay)
    return Match(
        executable=find_executable(wanted.dolphin),
        iso=wanted.iso,
        character=character,
        stage=stage_from_name(wanted.stage or "final_destination"),
        cpu=_cpu(wanted.opponent_character or "fox") if kind == CPU else None,
        rival=_policys("--opponent-character", wanted.opponent_character or rival_character)
        if kind == POLICY
        else None,
        cpu_level=9 if wanted.cpu_level is None else wanted.cpu_level,
        port=wanted.port or 1,
        connect_code=wanted.connect_code,
        online_delay=delay if wanted.connect_code is not None else 0,
        is_blocking=is_blocking,
        is_headless=wanted.is_headless,
        replay_dir=wanted.replay_dir or Path("play-replays"),
        home=wanted.dolphin_home,
        slippi_port=wanted.slippi_port or 51441,
    )


def _refuse_idle(wanted: MatchOptions, kind: str) -> None:
    """Refuse what was said that needs another kind of opponent."""
    opponent = wanted.opponent if kind == POLICY else kind
    if kind != HUMAN and wanted.connect_code is not None:
        raise ConfigError(
            f"--opponent {opponent}: netplay has no CPU players and no second pad, found --connect-code; "
            "leave one of them out"
        )
    if kind == HUMAN and wanted.connect_code is None and wanted.is_headless:
        raise ConfigError("--headless: has no picture, which a person on this machine needs to see; leave it out")
    idle: dict[str, object] = {}
    if kind != HUMAN:
        idle["--dolphin-home"] = wanted.dolphin_home
    if kind != CPU:
        idle["--cpu-level"] = wanted.cpu_level
    if kind == HUMAN:
        idle["--opponent-character"] = wanted.opponent_character
    for flag, value in idle.items():
        if value is not None:
            raise ConfigError(f"{flag}: has no effect with a {kind} opponent, found {value}; leave it out")


def _policys(flag: str, name: str | None) -> Character:
    """What a policy plays."""
    if name is None:
        raise ConfigError(f"{flag}: the run imitates every character, so one must be chosen, found none; give one")
    return character_from_name(name)


def _cpu(name: str) -> Character:
    character = character_from_name(name)
    if character.name == "sheik":
        raise ConfigError("--opponent-character sheik: a CPU cannot be made to start as Sheik; choose zelda")
    return character


def _check_online(code: str, character: Character, port: int | None, delay: int) -> None:
    if not _CONNECT_CODE.fullmatch(code):
        raise ConfigError(f"--connect-code: codes read ABC#123, found {code}; copy it from Slippi")
    if character.name == "zelda":
        raise ConfigError("--character zelda: netplay's menu gives Sheik in her place; choose sheik")
    if port is not None:
        raise ConfigError(f"--port {port}: netplay deals the ports itself; leave it out")
    if delay < 1:
        raise ConfigError(
            f"--connect-code: netplay delays controllers by a frame or more, this run was trained for {delay}; "
            "train with --delay 2 or more"
        )


def find_executable(path: Path) -> Path:
    """Dolphin's executable: ``path`` itself, or what lies in that folder.

    Raises:
        DolphinError: there is none.
    """
    if path.is_file():
        return path
    for name in EXECUTABLES:
        if (path / name).is_file():
            return path / name
    for pattern in _OTHER_NAMES:
        for found in sorted(path.glob(pattern)):
            return found
    names = ", ".join(dict.fromkeys(Path(name).name for name in EXECUTABLES))
    raise DolphinError(f"--dolphin {path}: must be Dolphin or its folder, found none of {names}; pass the executable")


def require_free(port: int) -> None:
    """Refuse a UDP port on which somebody listens: a Dolphin that a person left open would be taken for ours.

    Raises:
        DolphinError: it is taken.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError as error:
            raise DolphinError(
                f"--slippi-port {port}: must be free for Dolphin's spectator stream, found UDP {port}: {error.strerror}; "
                "close the other Dolphin, or pass another --slippi-port"
            ) from error


def default_home(executable: Path, *, is_mainline: bool) -> Path:
    """Where Slippi's Dolphin keeps its User folder on this system; a mainline build out of its beta has another."""
    system = platform.system()
    mainline = "netplay" if "netplay" in executable.parts else "netplay-beta"
    if system == "Darwin":
        support = Path.home() / "Library" / "Application Support" / "com.project-slippi.dolphin"
        return support / (mainline if is_mainline else "netplay") / "User"
    if system == "Linux":
        config = Path.home() / ".config"
        return config / "slippi-dolphin" / mainline if is_mainline else config / "SlippiOnline"
    return executable.parent / "User"


def home_of(match: Match, *, is_mainline: bool) -> Path:
    """Dolphin's User folder of the person who plays, with their pads and their login.

    Raises:
        DolphinError: there is none.
    """
    home = match.home or default_home(match.executable, is_mainline=is_mainline)
    if not home.is_dir():
        raise DolphinError(
            f"Dolphin's User folder: a human opponent needs its pad settings, found none at {home}; pass --dolphin-home"
        )
    return home


def login_of(home: Path) -> Path:
    """Where the login lies that Slippi plays under from ``home``, whether or not it does; Ishiiruka on macOS has one for all."""
    login = home / "Slippi" / "user.json"
    for_all = home.parent.parent / "Slippi" / "user.json"
    return for_all if platform.system() == "Darwin" and for_all.is_file() and not login.is_file() else login


def own_connect_code(home: Path) -> str:
    """The connect code that Slippi's login in ``home`` plays under.

    Raises:
        DolphinError: there is no login.
    """
    login = login_of(home)
    try:
        code = json.loads(login.read_text(encoding="utf-8"))["connectCode"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DolphinError(
            f"{login}: netplay needs Slippi's login there, found {type(error).__name__}; log in once in Slippi Launcher"
        ) from error
    return str(code)
