"""Starts a real Dolphin for a match, finds the agent's port in it, and leads through its menus into each game.

This follows libmelee's documentation and source. A real Dolphin has been started so, but not Slippi's, and not with Melee.
Pads must be made before Dolphin starts, because it opens only the pipes it finds then.
"""

import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import melee

from dataset.errors import DolphinError
from dataset.io.atomic import require_writable
from play.dolphin.connection import closed_on_error, connect, start_dolphin
from play.dolphin.home import ports_with_pads, prepared_home
from play.dolphin.installation import Build, build_of, default_home, login_of, own_connect_code, windowless
from play.dolphin.match import Match, require_free
from play.dolphin.session import ALONE, BESIDE_A_PERSON, OLDEST_LIVE, Session


def with_agent_port(match: Match, port: int | None) -> Match:
    """The match with the agent on ``port``, or on one that leaves a person at this machine theirs.

    Raises:
        DolphinError: the person has no pad, or none on another port.
    """
    if not match.has_person or match.connect_code is not None:
        return match
    home = home_of(match)
    pads = ports_with_pads(home)
    own = port or min({1, 2, 3, 4} - pads, default=4)
    if not pads - {own}:
        found = ", ".join(map(str, sorted(pads))) or "none"
        raise DolphinError(
            f"--opponent human: needs a pad on another port than the agent's {own}, found pads on {found} in {home}; "
            "set one in Dolphin's controller settings, or pass another --port"
        )
    return replace(match, port=own)


def agent_port_finder(match: Match) -> Callable[[Any], int]:
    """What finds the agent's port in a game state.

    Online the game deals the ports anew, so there the agent is the player with its login's connect code.
    """
    if match.connect_code is None:
        return lambda game: match.port
    code = own_connect_code(home_of(match))

    def by_code(game: Any) -> int:
        for port, player in game.players.items():
            if player.connectCode == code:
                return int(port)
        # Goes into the session's log, so it names nobody.
        raise DolphinError("game: a player must have the login's connect code, found others' only; log in again")

    return by_code


def home_of(match: Match) -> Path:
    """Dolphin's User folder of the person who plays, with their pads and their login.

    Raises:
        DolphinError: there is none.
    """
    home = match.home or default_home(match.executable, is_mainline=build_of(match.executable).is_mainline)
    if not home.is_dir():
        raise DolphinError(
            f"Dolphin's User folder: a human opponent needs its pad settings, found none at {home}; pass --dolphin-home"
        )
    return home


def open_match(match: Match) -> Session:
    """Start Dolphin for a match and connect to it.

    Raises:
        DolphinError: Dolphin, its ISO or its login is missing, or nobody answers.
    """
    build = build_of(match.executable)
    _require_able(match, build)
    without_window = windowless(match.executable, build) if match.is_headless else []
    require_free(match.slippi_port)
    require_writable(match.replay_dir, "--replay-dir")
    console = _configure(match, build)
    with closed_on_error(console):
        pads = [melee.Controller(console, match.port)]
        if not match.has_person:
            pads.append(melee.Controller(console, match.other_port))
        start_dolphin(console, match.iso, *without_window)
        connect(console, pads)
    patience = BESIDE_A_PERSON if match.has_person else ALONE
    return Session(console, pads, oldest=OLDEST_LIVE, navigate=Menus(match, pads).navigate, patience=patience)


def _require_able(match: Match, build: Build) -> None:
    """Refuse what a build cannot do."""
    if match.is_blocking and not build.is_mainline and platform.system() == "Windows":
        raise DolphinError(
            f"--sync: needs a mainline build on Windows, found {build.name} {build.version}, which waits for nobody there; "
            "leave --sync out, or use the launcher's mainline beta"
        )
    if match.has_person and build.is_exi_ai:
        raise DolphinError(
            f"--opponent human: an ExiAI build shows no picture and plays nobody online, found {build.name}; "
            "pass Slippi Launcher's Dolphin"
        )


def _configure(match: Match, build: Build) -> melee.Console:
    """A console whose Dolphin has its settings, and is not started yet."""
    home = home_of(match) if match.has_person else None
    login = None if home is None or match.connect_code is None else str(login_of(home))
    with prepared_home(home, match.replay_dir.resolve(), is_mainline=build.is_mainline) as scratch:
        console = melee.Console(
            path=str(match.executable),
            dolphin_home_path=str(scratch / "User"),
            tmp_home_directory=False,
            slippi_port=match.slippi_port,
            online_delay=match.online_delay,
            blocking_input=match.is_blocking,
            polling_mode=True,
            fullscreen=False,
            gfx_backend="Null" if match.is_headless else None,
            use_exi_inputs=build.is_exi_ai,
            save_replays=True,
            user_json_path=login,
        )
    console.temp_dir = str(scratch)  # so its stop removes the folder
    return console


class Menus:
    """Leads through the menus into the next game of a match."""

    def __init__(self, match: Match, pads: list[melee.Controller]) -> None:
        self._match, self._pads = match, pads
        self._helpers = [melee.MenuHelper() for _ in pads]
        self._stage = melee.Stage(match.stage.libmelee)
        self._character = melee.Character(match.character.internal)
        other = match.cpu or match.rival
        self._other_character = None if other is None else melee.Character(other.internal)
        is_sheik = self._other_character is melee.Character.SHEIK
        self._other_portrait = melee.Character.ZELDA if is_sheik else self._other_character
        self._other_level = 0 if match.cpu is None else match.cpu_level

    def navigate(self, state: Any) -> None:
        """Press what this menu state asks for."""
        if state.menu_state is not melee.Menu.STAGE_SELECT:
            # Libmelee begins anew on that screen's frame 0 only, which a busy Dolphin may not send.
            self._helpers[0].stage_selected = False
        if state.menu_state is melee.Menu.PRESS_START:
            self._helpers[0].choose_versus_mode(state, self._pads[0])
        elif state.menu_state is melee.Menu.UNKNOWN_MENU:
            # The score screen, for which this libmelee has no name; all our pads ask to leave it.
            for helper, pad in zip(self._helpers, self._pads, strict=True):
                helper.skip_postgame(pad)
        else:
            self._own(state)
            self._other(state)

    def _own(self, state: Any) -> None:
        self._helpers[0].menu_helper_simple(
            state,
            self._pads[0],
            self._character,
            self._stage,
            connect_code=self._match.connect_code,
            autostart=state.menu_state is not melee.Menu.CHARACTER_SELECT or self._is_other_ready(state),
            frozen_stadium=self._stage is melee.Stage.POKEMON_STADIUM,
        )

    def _other(self, state: Any) -> None:
        """Choose for an opponent that is no person; level 0 leaves the pad to its policy."""
        if self._other_character is None:
            return
        pad = self._pads[1]
        if state.menu_state not in (melee.Menu.CHARACTER_SELECT, melee.Menu.STAGE_SELECT):
            pad.release_all()
            return
        self._helpers[1].menu_helper_simple(
            state, pad, self._other_character, self._stage, cpu_level=self._other_level, autostart=False
        )

    def _is_other_ready(self, state: Any) -> bool:
        """A game started before a CPU's level is set gets a human who never moves; one before a choice, another character."""
        if self._other_character is None:
            return True
        player = state.players[self._match.other_port]
        if self._match.cpu is None:
            return bool(player.coin_down) and player.character is self._other_portrait
        is_cpu = player.controller_status is melee.ControllerStatus.CONTROLLER_CPU
        return is_cpu and int(player.cpu_level) == self._match.cpu_level
