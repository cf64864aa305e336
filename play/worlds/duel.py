"""The duel as a world: games of ``dataset.duels`` in lock step, always there, without a disc or an emulator.

Raw columns come straight from the fighters. They equal, bit for bit, those that ingest makes of the saved replay. A game is
over when a side has no stocks left, or when the clock ends.
"""

import hashlib
import random
from collections.abc import Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataset.duels.duel import DRAMATIC_PAUSE, ENTRY_FRAMES, LONGEST, WAIT_LOOP, Duel, Shot
from dataset.duels.fighter import Fighter
from dataset.duels.moves import TRAITS
from dataset.duels.player import LEVELS, ScriptedPlayer
from dataset.duels.recorder import Recorder
from dataset.errors import ConfigError, require_known
from dataset.features.layout import RAW_NAMES, RAW_ROW
from dataset.melee.controller import NEUTRAL_PAD, Pad, make_pad
from dataset.melee.ids import NUM_ITEM_KINDS, character_from_name, stage_from_name
from dataset.melee.item_slots import ItemSlots
from dataset.schema import FIRST_FRAME, NUM_ITEM_SLOTS, SIDES
from play.worlds.world import Frames, Match

_FIGHTER = (
    *("percent", "x", "y", "facing", "shield", "stocks", "jumps", "on_ground", "hurtbox", "action_frame", "misc"),
    *("hitlag", "speed_air_x", "speed_y", "speed_attack_x", "speed_attack_y", "speed_ground_x", "action_state"),
)
_ITEM = ("kind", "owner", "x", "y", "speed_x")
_FIGHTER_ROWS = np.array([RAW_ROW[f"{side}_{name}"] for side in SIDES for name in _FIGHTER])
_ITEM_ROWS = [[RAW_ROW[f"item{slot}_{name}"] for name in _ITEM] for slot in range(NUM_ITEM_SLOTS)]
_PORTS = (1, 2)
_REMEMBERED = 4096
"""Controllers whose pads are cached: players come back to most of them."""


class DuelWorld:
    """Duels in lock step; see ``World``.

    Args:
        limit: frames after which the clock ends a game, counted from frame -123; at most ``LONGEST``.
    """

    def __init__(self, limit: int = LONGEST) -> None:
        if not 1 <= limit <= LONGEST:
            raise ConfigError(f"length of a duel: must be 1 to {LONGEST} frames, found {limit}; choose another")
        self._limit = limit
        self._games: list[_Game] = []

    def reset(self, matches: Sequence[Match]) -> Frames:
        """Begin these games, at Slippi frame -123.

        Raises:
            ConfigError: a character that duels do not know, a stage that is not legal, or an unknown level.
        """
        known_pads: dict[Pad, Pad] = {}
        self._games = [_Game(match, self._limit, known_pads) for match in matches]
        self._raw = np.stack([game.still_column() for game in self._games])
        return self.step(np.zeros((len(matches), 2, 6), np.int32))

    def step(self, controllers: NDArray[np.int32]) -> Frames:
        """Play one frame; controllers int32 [N, 2, 6]."""
        raw = self._raw = self._raw.copy()
        live = [number for number, game in enumerate(self._games) if not game.is_over]
        pressed = controllers.tolist()
        for number in live:
            self._games[number].step(pressed[number])
        if live:
            raw[live, RAW_ROW["frame"]] += 1
            raw[np.array(live)[:, None], _FIGHTER_ROWS] = [self._games[number].fighters() for number in live]
        for number in live:
            self._games[number].fill_items(raw[number])
        return Frames(
            raw=raw,
            controllers=np.array([[_as_read(pad) for pad in game.pads] for game in self._games], np.int32),
            is_over=np.array([game.is_over for game in self._games]),
        )

    def save(self, game: int, path: Path) -> None:
        """Write game number ``game``, as far as it has been played, as a Slippi replay."""
        self._games[game].save(path)

    def close(self) -> None:
        """A duel holds nothing but memory."""


class _Game:
    """One duel, who plays it, and every controller so far, from which ``save`` plays it once more.

    Equal pads are kept once, in ``known_pads`` of all games: a pad takes 20 times the room of a reference to it.
    """

    def __init__(self, match: Match, limit: int, known_pads: dict[Pad, Pad]) -> None:
        self._match, self._limit, self._known_pads = match, limit, known_pads
        self._characters = [character_from_name(name) for name in match.characters]
        for character in self._characters:
            require_known("character in a duel", character.name, sorted(TRAITS))
        for level in match.levels:
            if level is not None:
                require_known("level", str(level), map(str, LEVELS))
        self._stage = stage_from_name(match.stage)
        self._duel = self._new_duel()
        self._players = [
            None if level is None else ScriptedPlayer(self._duel, side, random.Random(f"{match.seed}-{side}"), level)
            for side, level in enumerate(match.levels)
        ]
        self._slots = ItemSlots()
        self._pressed: list[Pad] = []
        self._num_items = 0
        self.pads: tuple[Pad, ...] = (NEUTRAL_PAD, NEUTRAL_PAD)
        self.num_frames, self.is_over = 0, False

    def _new_duel(self) -> Duel:
        return Duel([character.name for character in self._characters], self._stage, WAIT_LOOP)

    def step(self, pressed: list[list[int]]) -> None:
        """Play one frame with the controllers [2][6] of both sides."""
        is_listening = self.num_frames >= ENTRY_FRAMES
        self.pads = tuple(
            _pad(*controller) if player is None else player.choose() if is_listening else NEUTRAL_PAD
            for player, controller in zip(self._players, pressed, strict=True)
        )
        self._pressed += [self._known_pads.setdefault(pad, pad) for pad in self.pads]
        self._duel.step(self.pads)
        self.num_frames += 1
        self.is_over = self._duel.is_over or self.num_frames == self._limit

    def still_column(self) -> NDArray[np.float32]:
        """What stays the same from frame to frame, in a raw column of the frame before the first."""
        column = np.zeros(len(RAW_NAMES), np.float32)
        column[[row for name, row in RAW_ROW.items() if name.startswith("has_")]] = 1.0
        column[RAW_ROW["frame"]] = FIRST_FRAME - 1
        column[RAW_ROW["stage"]] = self._stage.number
        column[[RAW_ROW[f"{side}_character"] for side in SIDES]] = [each.internal for each in self._characters]
        return column

    def fighters(self) -> tuple[float, ...]:
        """Values of ``_FIGHTER_ROWS``."""
        a, b = self._duel.fighters
        return _fighter(a) + _fighter(b)

    def fill_items(self, column: NDArray[np.float32]) -> None:
        """Bring the items in the raw column of the last frame to this one."""
        shots = self._duel.shots
        if shots or self._num_items:
            self._num_items = len(shots)
            held = self._slots.assign([shot.spawn_id for shot in shots])
            for rows, position in zip(_ITEM_ROWS, held, strict=True):
                column[rows] = _item(shots[position]) if position >= 0 else 0.0

    def save(self, path: Path) -> None:
        """Write the game so far as a Slippi replay."""
        duel, recorder = self._new_duel(), Recorder(self._characters, _PORTS)
        for pads in zip(self._pressed[::2], self._pressed[1::2], strict=True):
            recorder.before(duel, pads)
            duel.step(pads)
            recorder.after(duel)
        self._pause(duel, recorder)
        digest = hashlib.sha256(repr((self._match, self._pressed)).encode()).hexdigest()[:16]
        recorder.write(path, duel, self._stage, self._match.seed, self._limit, f"arena-{digest}")

    def _pause(self, duel: Duel, recorder: Recorder) -> None:
        """Record the pause after the last stock, in which nobody presses anything, as far as no further stock is lost in it."""
        pads, stocks, ahead = (NEUTRAL_PAD, NEUTRAL_PAD), _stocks(duel), deepcopy(duel)
        for _ in range(min(DRAMATIC_PAUSE, self._limit - self.num_frames) if duel.is_over else 0):
            ahead.step(pads)
            if _stocks(ahead) != stocks:
                return
            recorder.before(duel, pads)
            duel.step(pads)
            recorder.after(duel)


@lru_cache(_REMEMBERED)
def _pad(main_x: int, main_y: int, c_x: int, c_y: int, trigger: int, buttons: int) -> Pad:
    """The pad of a controller, as an agent gives it."""
    return make_pad((main_x, main_y), (c_x, c_y), l=trigger, buttons=buttons)


def _as_read(pad: Pad) -> tuple[int, ...]:
    """What the game reads of a pad, in the order of ``CONTROLLER_NAMES``."""
    return pad.x, pad.y, pad.cstick_x, pad.cstick_y, pad.trigger, pad.buttons


def _fighter(me: Fighter) -> tuple[float, ...]:
    """Values of ``_FIGHTER``."""
    return (
        *(me.percent, me.x, me.y, me.facing, me.shield, me.stocks, me.jumps, not me.airborne),
        *(2.0 if me.invulnerable else 0.0, me.age, me.hitstun, me.hitlag, me.air_x + me.ground_x, me.speed_y),
        *(me.knock_x, me.knock_y, me.ground_x, me.state),
    )


def _item(shot: Shot) -> tuple[float, ...]:
    """Values of ``_ITEM``; a shot never moves up or down."""
    kind, owner = min(shot.kind + 1, NUM_ITEM_KINDS - 1), 1 - 2 * shot.owner
    return kind, owner, shot.x, shot.y, shot.speed if shot.is_launched else 0.0


def _stocks(duel: Duel) -> list[int]:
    return [fighter.stocks for fighter in duel.fighters]
