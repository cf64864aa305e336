"""Which port is the agent's: in a replay, beside a person at this machine, and online.

In: a replay's header, or a settled match and Dolphin's own settings. Out: a port 1–4, or how to find it. The surprise: online
the game deals the ports anew, so there the agent is found by its login's connect code once a game has begun.
"""

import configparser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import melee

from dataset.errors import ConfigError, DolphinError
from dataset.melee.ids import character_from_name, internal_from_external
from dataset.slippi.slp import Header
from play.dolphin.build import build_of
from play.dolphin.match import Match, home_of, own_connect_code


def seat_in_replay(header: Header, character: str | None, port: int | None) -> int:
    """The agent's port in a replay: the one asked for, else the lowest with its character, else the lowest.

    Raises:
        ConfigError: nobody sits on the port asked for.
    """
    ports = [player.port for player in header.players]
    if port is not None:
        if port not in ports:
            taken = ", ".join(str(taken) for taken in ports)
            raise ConfigError(f"--port {port}: must be a port of the replay, found {taken}; choose one of them")
        return port
    wanted = None if character is None else character_from_name(character).internal
    matching = [player.port for player in header.players if internal_from_external(player.character) == wanted]
    return min(matching or ports)


def seated(match: Match, port: int | None) -> Match:
    """The match with the agent on ``port``, or on one that leaves a person at this machine theirs.

    Raises:
        DolphinError: the person has no pad, or none on another port.
    """
    if not match.has_person or match.connect_code is not None:
        return match
    home = home_of(match, is_mainline=build_of(match.executable).is_mainline)
    pads = ports_with_pads(home)
    taken = port or min({1, 2, 3, 4} - pads, default=4)
    if not pads - {taken}:
        found = ", ".join(map(str, sorted(pads))) or "none"
        raise DolphinError(
            f"--opponent human: needs a pad on another port than the agent's {taken}, found pads on {found} in {home}; "
            "set one in Dolphin's controller settings, or pass another --port"
        )
    return replace(match, port=taken)


def ports_with_pads(home: Path) -> set[int]:
    """The ports that a pad is plugged into in Dolphin's settings; by default it is the first."""
    ini = configparser.ConfigParser(strict=False, interpolation=None)
    ini.read(home / "Config" / "Dolphin.ini", encoding="utf-8")
    none = melee.ControllerType.UNPLUGGED.value
    plugged = {port: ini.get("Core", f"SIDevice{port - 1}", fallback=None) for port in range(1, 5)}
    return {port for port, device in plugged.items() if (port == 1 if device is None else device != none)}


def own_port(match: Match) -> Callable[[Any], int]:
    """How to find the agent's port in a game: online it is the login's, for the game deals ports anew."""
    if match.connect_code is None:
        return lambda game: match.port
    code = own_connect_code(home_of(match, is_mainline=build_of(match.executable).is_mainline))

    def by_code(game: Any) -> int:
        for port, player in game.players.items():
            if player.connectCode == code:
                return int(port)
        # Goes into the session's log, so it names nobody.
        raise DolphinError("game: a player must have the login's connect code, found others' only; log in again")

    return by_code
