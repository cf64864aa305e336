"""Dolphin as a world: a game in each of several Dolphins, all in lock step because each waits for its controllers.

It has not been run against a real Dolphin; tests use a program that answers libmelee as one does. The seed does not decide a
game, since Melee rolls its own dice. Every game starts a Dolphin, because its menus lead to one pair of characters and one stage.
"""

import shutil
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from dataset.errors import ConfigError, DolphinError
from dataset.features.layout import RAW_ROW
from dataset.melee.controller import NEUTRAL, Controllers
from dataset.melee.ids import CHARACTERS
from dataset.schema import FIRST_FRAME, SIDES
from play.agent.libmelee import LiveGame, controllers_read, two_ports
from play.dolphin import match as dolphin_match
from play.dolphin.disc import require_melee
from play.dolphin.installation import find_executable
from play.dolphin.session import Ended, Frame, Lost, Session
from play.dolphin.start import open_match
from play.loop.environment import SessionEnvironment
from play.options import CPU, PlayOptions
from play.worlds.world import Frames, Match, WorldKind

LONGEST = 28_800
"""Frames after which a game ends: eight minutes. The clock of Melee begins 123 frames later."""

FINISH_FRAMES = 1800
"""Frames that a won game gets to end, so that Dolphin closes its replay."""

_PORTS = (1, 2)
_STOCKS = np.array([RAW_ROW[f"{side}_stocks"] for side in SIDES])


@dataclass(frozen=True, kw_only=True)
class DolphinSettings:
    """Where Dolphin and the disc are, and how many games run side by side."""

    dolphin: Path | None
    """The executable, its folder, or Slippi Launcher's netplay folder."""
    iso: Path | None
    at_once: int
    is_headless: bool


def dolphin_kind(settings: DolphinSettings) -> WorldKind:
    """Dolphin, with Melee's CPU players.

    Raises:
        ConfigError: a setting is missing.
        DolphinError: there is no Dolphin, or no disc image of Melee 1.02.
    """
    for flag, value in (("--dolphin", settings.dolphin), ("--iso", settings.iso)):
        if value is None:
            raise ConfigError(f"--world dolphin: needs {flag}, found none; give its path")
    assert settings.dolphin is not None
    assert settings.iso is not None
    find_executable(settings.dolphin)
    require_melee(settings.iso)
    names = [character.name for character in CHARACTERS]
    return WorldKind(
        characters=names,
        longest=LONGEST,
        make=partial(DolphinWorld, settings),
        own_player=CPU,
        own_characters=[name for name in names if name != "sheik"],  # a CPU cannot be made to start as Sheik
        levels=range(1, 10),
        at_once=settings.at_once,
    )


class DolphinWorld:
    """Games in Dolphins of their own, in lock step; see ``World``.

    Args:
        settings: which Dolphin and disc.
        limit: frames after which a game is over, counted from frame -123.
        open_session: starts Dolphin for a match.
    """

    def __init__(
        self,
        settings: DolphinSettings,
        limit: int,
        open_session: Callable[[dolphin_match.Match], Session] = open_match,
    ) -> None:
        self._settings, self._limit, self._open = settings, limit, open_session
        self._stack = ExitStack()
        self._games: list[_Game] = []

    def reset(self, matches: Sequence[Match]) -> Frames:
        """Start a Dolphin for each of these games and lead it through its menus, to Slippi frame -123.

        Raises:
            ConfigError: nobody of ours plays in a match.
            DolphinError: a Dolphin does not start, or breaks off.
        """
        self.close()
        self._folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="exphil-arena-")))
        self._pool = ThreadPoolExecutor(len(matches))  # Dolphins work side by side while we wait for all of them
        self._stack.callback(self._pool.shutdown, cancel_futures=True)  # after the sessions that its threads wait for
        for number, match in enumerate(matches):
            settled = _settled(match, self._settings, self._folder / str(number))
            session = self._open(settled)
            self._stack.callback(session.close)
            self._games.append(_Game(number, session, settled.port, self._limit))
        list(self._pool.map(_Game.begin, self._games))
        return self._frames()

    def step(self, controllers: NDArray[np.int32]) -> Frames:
        """Play one frame; controllers int32 [N, 2, 6].

        Raises:
            DolphinError: a Dolphin breaks off.
        """
        list(self._pool.map(_Game.step, self._games, controllers))
        return self._frames()

    def _frames(self) -> Frames:
        return Frames(
            raw=np.stack([game.column for game in self._games]),
            controllers=np.stack([game.controllers for game in self._games]),
            is_over=np.array([game.is_over for game in self._games]),
        )

    def save(self, game: int, path: Path) -> None:
        """Copy the replay that Dolphin wrote, which ends in mid-game if the game's time ran out.

        Raises:
            DolphinError: it wrote none.
        """
        self._games[game].finish()
        replays = sorted((self._folder / str(game)).rglob("*.slp"))
        if not replays:
            raise DolphinError(f"{path}: Dolphin must keep a replay of the game, found none; see its Slippi settings")
        shutil.copyfile(replays[-1], path)

    def close(self) -> None:
        """End every Dolphin."""
        self._stack.close()
        self._games = []


class _Game:
    """One game in a Dolphin, and its last frame."""

    def __init__(self, number: int, session: Session, port: int, limit: int) -> None:
        self._number, self._limit = number, limit
        self._environment = SessionEnvironment(session)
        self._live = LiveGame(session.zero_indices)
        self._own = _PORTS.index(port)
        """Side of the session's first pad."""
        self._num_frames, self._has_ended = 0, False
        self.is_over = False

    def begin(self) -> None:
        """Go through the menus to the first frame."""
        self._take(self._environment.reset())

    def step(self, controllers: Controllers) -> None:
        """Play one frame with the controllers [2, 6] of both sides, unless the game is over."""
        if not self.is_over:
            self._take(self._environment.step(controllers[self._own], controllers[1 - self._own]))

    def _take(self, event: Frame | Ended | Lost) -> None:
        if isinstance(event, Lost):
            raise DolphinError(f"game {self._number} of the arena: broke off ({event.reason}); start again")
        if isinstance(event, Ended):
            self.is_over = self._has_ended = True
            return
        expected = FIRST_FRAME + self._num_frames
        if event.number != expected or two_ports(event.game) != _PORTS:
            raise DolphinError(
                f"game {self._number} of the arena: must give frame {expected} of players on ports 1 and 2, found frame "
                f"{event.number} of ports {two_ports(event.game)}; see that Dolphin waits for its controllers"
            )
        self.column, self.controllers = self._live.column(event.game), controllers_read(event.game)
        self._num_frames += 1
        self.is_over = not self.column[_STOCKS].all() or self._num_frames >= self._limit

    def finish(self) -> None:
        """Let a game that has been won end."""
        for _ in range(FINISH_FRAMES):
            if self._has_ended or self.column[_STOCKS].all():
                return
            self._has_ended = not isinstance(self._environment.step(NEUTRAL, NEUTRAL), Frame)


def _settled(match: Match, settings: DolphinSettings, replay_dir: Path) -> dolphin_match.Match:
    """A match as ``play.dolphin`` takes it: our player, or the first of two, on its port."""
    if None not in match.levels:
        raise ConfigError(f"levels {match.levels}: one of both sides must be played by a run; leave one level out")
    own = 0 if match.levels[0] is None else 1
    level = match.levels[1 - own]
    options = PlayOptions(
        dolphin=settings.dolphin,
        iso=settings.iso,
        character=match.characters[own],
        stage=match.stage,
        opponent="run" if level is None else CPU,
        opponent_character=match.characters[1 - own],
        cpu_level=level,
        headless=settings.is_headless,
        port=_PORTS[own],
        sync=True,
        replay_dir=replay_dir,
        slippi_port=_free_port(),
    )
    return dolphin_match.build_match(options, trained_character=None, delay=0)


def _free_port() -> int:
    """A UDP port on which nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
