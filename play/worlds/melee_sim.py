"""melee-sim-light as a world: exact Melee without an emulator, many games at once in this process.

Users install the simulator (the package ``melee_sim``) from its repository, with data of their own disc; nothing of it is in
exphil. It has not been run here: tests use a double with its names, dtypes and life cycle. Its names have changed between
commits, so all that is used of it is looked for before the first game. Kirby, Pichu and Roy are missing from some versions,
and Nana from the frames of some, in which nobody can play Ice Climbers here.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.errors import ConfigError, require_known
from dataset.melee.controller import BUTTONS
from dataset.melee.ids import CHARACTERS, character_from_name, stage_from_name
from play.agent.agent import as_read
from play.agent.simulator import MELEE_SIM, no_items, raw_columns
from play.worlds.world import Frames, Match, WorldKind

LONGEST = 28_800
"""Frames after which a game ends: eight minutes. The clock of a game in the simulator begins 123 frames later."""

INSTALL = "pip install 'git+https://github.com/kyhavlov/melee-sim-light.git'"
EXTRACT = "python -m melee_sim.extract_data --iso PATH"

_STOCKS = 4
_BUFFERED = 64
"""Frames that the simulator's buffers hold."""
_POPO = 10
_PRESSED = sum(bit for _, bit in BUTTONS)
_PAD = ("main_x", "main_y", "c_x", "c_y", "l", "buttons")
"""Fields of the simulator's controller, in the order of ``CONTROLLER_NAMES``; the right trigger stays at rest."""

_PARAMETERS = {
    "EnvBatch": ("batch_size", "length", "num_players", "action_format"),
    "MatchConfig": ("stage", "players", "seed", "stocks"),
    "PlayerConfig": ("character", "controller_port"),
}
_MEMBERS = (
    *("configure_matches", "reset_all", "reset_cursor", "step", "close"),
    *("current_frame", "raw_action_view", "terminal_view"),
)


def melee_sim_kind() -> WorldKind:
    """The simulator that is installed here.

    Raises:
        ConfigError: it is missing, another version than is wanted, or finds no data of the game.
    """
    simulator = _simulator()
    _require(simulator, _missing(simulator))
    with _data_needed(), simulator.EnvBatch(1, length=1, num_players=2, action_format="raw") as batch:
        frame = batch.current_frame.dtype
        ends = [] if "done" in (batch.terminal_view.dtype.names or ()) else ["terminal_view['done']"]
        _require(simulator, [*_missing_fields(frame), *_missing_pad_fields(batch.raw_action_view.dtype), *ends])
    known = {int(character) for character in simulator.Character}
    has_followers = MELEE_SIM.followers in (frame.names or ())
    characters = [
        each.name for each in CHARACTERS if each.internal in known and (has_followers or each.internal != _POPO)
    ]
    make = partial(MeleeSimWorld, simulator, characters, has_followers)
    return WorldKind(characters=characters, longest=LONGEST, make=make, can_save=False)


class MeleeSimWorld:
    """Games of the simulator in lock step; see ``World``.

    Args:
        simulator: the module ``melee_sim``.
        characters: names of those it knows.
        has_followers: whether its frames show Nana.
        limit: frames after which a game is over, counted from frame -123.
    """

    def __init__(self, simulator: Any, characters: Sequence[str], has_followers: bool, limit: int) -> None:
        self._simulator, self._characters, self._limit = simulator, characters, limit
        self._has_followers = has_followers
        self._batch: Any = None

    def reset(self, matches: Sequence[Match]) -> Frames:
        """Begin these games, at Slippi frame -123.

        Raises:
            ConfigError: a character that the simulator does not know, a stage that is not legal, a level, or no data.
        """
        self.close()
        configs = [self._config(match) for match in matches]
        num_games = len(matches)
        with _data_needed():
            self._batch = self._simulator.EnvBatch(num_games, length=_BUFFERED, num_players=2, action_format="raw")
        self._batch.configure_matches(configs)
        self._batch.reset_all()
        self._num_frames = 1
        self._is_over = np.full(num_games, self._limit <= 1)
        self._controllers = np.zeros((num_games, 2, 6), np.int32)
        self._raw, self._held = raw_columns(
            self._batch.current_frame, MELEE_SIM, no_items(num_games), has_followers=self._has_followers
        )
        return self._frames()

    def _config(self, match: Match) -> Any:
        if match.levels != (None, None):
            raise ConfigError(f"levels {match.levels}: melee-sim has no player of its own; leave them out")
        players = []
        for port, name in enumerate(match.characters):
            known = require_known("character in melee-sim", character_from_name(name).name, self._characters)
            players.append(
                self._simulator.PlayerConfig(character=character_from_name(known).internal, controller_port=port)
            )
        stage = stage_from_name(match.stage).slippi
        return self._simulator.MatchConfig(stage=stage, players=tuple(players), seed=match.seed, stocks=_STOCKS)

    def step(self, controllers: NDArray[np.int32]) -> Frames:
        """Play one frame; controllers int32 [N, 2, 6]. Games that are over are not stepped."""
        batch, playing = self._batch, ~self._is_over
        if batch.t == batch.length:
            batch.reset_cursor()
        now = batch.t
        pads = batch.raw_action_view["players"][now, :, :2]
        for place, name in enumerate(_PAD):
            pads[name] = controllers[..., place] & _PRESSED if name == "buttons" else controllers[..., place]
        batch.step(playing.astype(np.uint8))
        self._num_frames += 1
        self._raw, self._held, self._controllers = self._raw.copy(), self._held.copy(), self._controllers.copy()
        self._raw[playing], self._held[playing] = raw_columns(
            batch.current_frame[playing], MELEE_SIM, self._held[playing], has_followers=self._has_followers
        )
        self._controllers[playing] = as_read(controllers[playing])
        self._is_over = self._is_over | (batch.terminal_view["done"][now] != 0) | (self._num_frames >= self._limit)
        return self._frames()

    def _frames(self) -> Frames:
        return Frames(raw=self._raw, controllers=self._controllers, is_over=self._is_over)

    def save(self, game: int, path: Path) -> None:
        """The simulator does not show all that a replay records.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{path}: melee-sim writes no replays; play in another world")

    def close(self) -> None:
        """Free the simulator's games."""
        if self._batch is not None:
            self._batch.close()
            self._batch = None


def _simulator() -> Any:
    try:
        return import_module("melee_sim")
    except ImportError as error:
        raise ConfigError(
            f"--world melee-sim: needs melee-sim-light, found no package melee_sim ({error}); install it with {INSTALL}, "
            f"then run {EXTRACT} with the disc image of your own Melee 1.02"
        ) from error


def _require(simulator: Any, missing: Sequence[str]) -> None:
    if missing:
        raise ConfigError(
            f"--world melee-sim: needs melee-sim-light at commit 2d163e93 or later, found a version without "
            f"{', '.join(missing)} in {Path(simulator.__file__).parent}; run {INSTALL} to get the newest"
        )


def _missing(simulator: Any) -> list[str]:
    """Names that are wanted of the package and not there."""
    if gone := [name for name in (*_PARAMETERS, "Character") if not hasattr(simulator, name)]:
        return gone
    gone = [
        f"{kind}({name})"
        for kind, names in _PARAMETERS.items()
        for name in names
        if name not in inspect.signature(getattr(simulator, kind)).parameters
    ]
    batch = simulator.EnvBatch
    gone += [f"EnvBatch.{name}" for name in _MEMBERS if not hasattr(batch, name)]
    if hasattr(batch, "step") and "step_mask" not in inspect.signature(batch.step).parameters:
        gone.append("EnvBatch.step(step_mask)")
    return gone


def _missing_fields(frame: Any) -> list[str]:
    """Fields that are wanted of a frame and not there."""
    parts = {"": frame} | {name: frame[name].base for name in (frame.names or ()) if frame[name].subdtype is not None}
    return [
        f"{part}.{name}".lstrip(".")
        for part, names in MELEE_SIM.fields().items()
        if part in parts
        for name in sorted(names)
        if name not in (parts[part].names or ())
    ]


def _missing_pad_fields(pads: Any) -> list[str]:
    if "players" not in (pads.names or ()):
        return ["raw_action_view['players']"]
    return [f"raw_action_view['players'].{name}" for name in (*_PAD, "r") if name not in pads["players"].base.names]


@contextmanager
def _data_needed() -> Iterator[None]:
    """Turn what the simulator says when it cannot load the game's data into an error of ours."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"--world melee-sim: needs data of the game, found none that fit ({error}); run {EXTRACT} with the disc image of "
            "your own Melee 1.02, and set MSL_DATA_DIR to the folder it makes"
        ) from error
