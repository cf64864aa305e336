"""What is to be played in a real Dolphin: every setting of a match, checked before anything starts."""

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from dataset.errors import ConfigError, DolphinError
from dataset.melee.ids import Character, Stage, character_from_name, stage_from_name
from play.dolphin.disc import require_melee
from play.dolphin.installation import find_executable
from play.options import CPU, HUMAN, REPLAY_DIR, SLIPPI_PORT, PlayOptions

_POLICY = "policy"
"""The kind of an opponent that is a run of ours, beside ``CPU`` and ``HUMAN``."""

_CONNECT_CODE = re.compile(r"[A-Z0-9]{1,7}#[0-9]{1,4}")


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
    """The agent's, 1 to 4; online it is the pipe's, and the game deals the ports."""
    connect_code: str | None
    """Of the person to meet in Slippi's direct mode."""
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
        """The port of an opponent that is no person."""
        return 2 if self.port == 1 else 1

    @property
    def has_person(self) -> bool:
        """Whether the opponent is a person."""
        return self.cpu is None and self.rival is None


def build_match(
    options: PlayOptions, *, trained_character: str | None, delay: int, rival_character: str | None = None
) -> Match:
    """Settle a match.

    Args:
        options: what was asked for.
        trained_character: the character that the run imitates; None if all.
        delay: the run's, in frames.
        rival_character: the character that the opponent's run imitates, if the opponent is a run.

    Raises:
        ConfigError: something is missing, unknown, or cannot take effect.
        DolphinError: there is no Dolphin, or no ISO.
    """
    kind = _kind(options)
    _refuse_idle(options, kind)
    character = _policy("--character", options.character or trained_character)
    if options.iso is None:
        raise DolphinError("--iso: must be a Melee NTSC 1.02 image, found none; pass its path")
    require_melee(options.iso)
    if options.connect_code is not None:
        _check_online(options.connect_code, character, options.port, delay)
    assert options.dolphin is not None
    return Match(
        executable=find_executable(options.dolphin),
        iso=options.iso,
        character=character,
        stage=stage_from_name(options.stage or "final_destination"),
        cpu=_cpu(options.opponent_character or "fox") if kind == CPU else None,
        rival=_policy("--opponent-character", options.opponent_character or rival_character)
        if kind == _POLICY
        else None,
        cpu_level=9 if options.cpu_level is None else options.cpu_level,
        port=options.port or 1,
        connect_code=options.connect_code,
        online_delay=delay if options.connect_code is not None else 0,
        is_blocking=options.sync,
        is_headless=options.headless,
        replay_dir=options.replay_dir or REPLAY_DIR,
        home=options.dolphin_home,
        slippi_port=options.slippi_port or SLIPPI_PORT,
    )


def _kind(options: PlayOptions) -> str:
    if options.opponent not in (None, CPU, HUMAN):
        return _POLICY
    return options.opponent or (CPU if options.connect_code is None else HUMAN)


def _refuse_idle(options: PlayOptions, kind: str) -> None:
    """Refuse flags that need another kind of opponent."""
    opponent = options.opponent if kind == _POLICY else kind
    if kind != HUMAN and options.connect_code is not None:
        raise ConfigError(
            f"--opponent {opponent}: netplay has no CPU players and no second pad, found --connect-code; "
            "leave one of them out"
        )
    if kind == HUMAN and options.connect_code is None and options.headless:
        raise ConfigError("--headless: has no picture, which a person on this machine needs to see; leave it out")
    idle: dict[str, object] = {}
    if kind != HUMAN:
        idle["--dolphin-home"] = options.dolphin_home
    if kind != CPU:
        idle["--cpu-level"] = options.cpu_level
    if kind == HUMAN:
        idle["--opponent-character"] = options.opponent_character
    for flag, value in idle.items():
        if value is not None:
            raise ConfigError(f"{flag}: has no effect with a {kind} opponent, found {value}; leave it out")


def _policy(flag: str, name: str | None) -> Character:
    """The character of a policy."""
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
