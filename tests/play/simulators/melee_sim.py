"""A double of melee-sim-light's Python package: the same names, dtypes and life cycle as far as exphil uses them.

Written from its public documentation (commit 2d163e93). Inside, duels are played instead of Melee, so that what the adapter
reads and writes can be compared with them. It is stricter than the simulator: a game that has ended must not be stepped.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Self

import numpy as np
import pytest

from dataset.features.layout import HITSTUN_STATES, RAW_ROW
from dataset.melee.ids import CHARACTERS, STAGES
from play.worlds.duel import DuelWorld
from play.worlds.world import Match

Character = IntEnum(
    "Character", {each.name.upper(): each.internal for each in CHARACTERS if each.name not in ("kirby", "pichu", "roy")}
)
Stage = IntEnum("Stage", {stage.name.upper(): stage.slippi for stage in STAGES})


@dataclass(frozen=True)
class PlayerConfig:
    character: int
    team_id: int | None = None
    facing: int | None = None
    controller_port: int | None = None
    costume: int = 0
    handicap: int = 9


@dataclass(frozen=True)
class MatchConfig:
    stage: int = 32
    players: tuple[PlayerConfig, ...] | None = None
    seed: int | None = None
    max_frame: int = -1
    stocks: int = 4
    damage_ratio: float = 1.0
    viewpoint_player: int = 0


def _fields(text: str) -> list[tuple[str, str]]:
    """Fields of a record, in order: lines of a dtype and the names of the fields that have it."""
    return [(name, kind) for kind, *names in map(str.split, text.strip().splitlines()) for name in names]


PLAYER = np.dtype(
    _fields("""
        u1 present source_player team_relation team_id
        <f4 pos_x pos_y speed_air_x_self speed_ground_x_self speed_y_self speed_x_attack speed_y_attack percent shield_hp
        <u2 action_id
        <i2 action_frame
        <u2 hitlag hitstun
        u1 char_id stocks facing on_ground jumps_left hurtbox_state invulnerable _pad0
    """)
)
ITEM = np.dtype(
    _fields("""
        u1 exists state
        <u2 type
        i1 owner
        u1 _pad0
        <u2 instance_id attack_id attack_instance
        <f4 direction vel_x vel_y pos_x pos_y
        <u2 damage _pad1
        <f4 timer
        <u4 spawn_id
        u1 misc0 misc1 misc2 misc3
    """)
)
PAD = np.dtype(_fields("<u2 buttons\n i1 main_x main_y c_x c_y\n u1 l r"))
PADS = np.dtype([("players", PAD, (4,))])
TERMINAL = np.dtype(
    _fields("""
        <i4 frame_id
        <u4 stage_id
        u1 done match_ended stockout max_frame_reached alive_count alive_team_count team_alive_mask _pad0
    """)
)
RANDALL = np.dtype([("exists", "u1"), ("_pad0", "u1", (3,)), ("x", "<f4"), ("y", "<f4")])
STAGE = np.dtype([("randall", RANDALL), ("fod_platforms", [("left", "<f4"), ("right", "<f4")])])
_HEAD: list[Any] = _fields("""
    <i4 frame_id
    <u4 frame_pre_random_seed stage_id
    u1 num_players viewpoint_player is_teams _pad0
""")
_BODY: list[Any] = [("stage", STAGE), ("slots", PLAYER, (4,)), ("items", ITEM, (15,))]
FRAME = np.dtype(_HEAD + _BODY)
FRAME_WITH_FOLLOWERS = np.dtype([*_HEAD, *_BODY, ("followers", PLAYER, (4,))])
"""Later versions show Nana. Where in the record stands in no public file; fields are read by name."""

_RAW = {
    "percent": "percent", "x": "pos_x", "y": "pos_y", "shield": "shield_hp", "stocks": "stocks", "jumps": "jumps_left",
    "on_ground": "on_ground", "hurtbox": "hurtbox_state", "hitlag": "hitlag", "speed_air_x": "speed_air_x_self",
    "speed_y": "speed_y_self", "speed_attack_x": "speed_x_attack", "speed_attack_y": "speed_y_attack",
    "speed_ground_x": "speed_ground_x_self", "action_state": "action_id", "character": "char_id",
}  # fmt: skip


class EnvBatch:
    made: ClassVar[list[Self]] = []
    frame_dtype, pads_dtype = FRAME, PADS

    def __init__(
        self,
        batch_size: int,
        length: int = 256,
        num_players: int = 2,
        *,
        data_dir: str | os.PathLike[str] | None = None,
        action_format: str = "controller",
    ) -> None:
        data = Path(data_dir or os.environ.get("MSL_DATA_DIR", "data"))
        if not (data / "raw" / "manifest.json").is_file():
            raise FileNotFoundError(f"melee_sim data directory is incomplete: {data}")
        assert (num_players, action_format) == (2, "raw")
        self.batch_size, self.length, self.t = batch_size, length, 0
        self._frames = np.zeros((length + 1, batch_size), self.frame_dtype)
        self._pads = np.zeros((length, batch_size), self.pads_dtype)
        self._terminals = np.zeros((length, batch_size), TERMINAL)
        self.is_closed = False
        self._world: DuelWorld | None = None
        self.made.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.is_closed = True

    @property
    def gamestate_view(self) -> np.ndarray:
        return self._frames

    @property
    def raw_action_view(self) -> np.ndarray:
        return self._pads

    @property
    def terminal_view(self) -> np.ndarray:
        return self._terminals

    @property
    def current_frame(self) -> np.ndarray:
        return self.gamestate_view[self.t]

    def configure_matches(self, configs: Sequence[MatchConfig], *, env_ids: Sequence[int] | None = None) -> None:
        assert len(configs) == self.batch_size
        self.configs = list(configs)

    def reset_all(self) -> None:
        by_number = {each.internal: each.name for each in CHARACTERS}
        stages = {stage.slippi: stage.name for stage in STAGES}
        matches = []
        for config in self.configs:
            first, second = config.players or ()
            assert (first.controller_port, second.controller_port, config.stocks) == (0, 1, 4)
            characters = by_number[first.character], by_number[second.character]
            matches.append(Match(characters, stages[config.stage], config.seed or 0))
        self._world, self.t = DuelWorld(), 0
        self._write(self._world.reset(matches).raw)
        self._is_done = np.zeros(self.batch_size, np.bool_)

    def reset_cursor(self) -> None:
        self.gamestate_view[0] = self.gamestate_view[self.t]
        self.t = 0

    def step(self, step_mask: np.ndarray | None = None) -> None:
        if self.is_closed or self._world is None:
            raise RuntimeError("EnvBatch is closed")
        if self.t >= self.length:
            raise RuntimeError("buffer length exhausted")
        mask = np.ones(self.batch_size, np.uint8) if step_mask is None else step_mask
        assert mask.shape == (self.batch_size,)
        assert not (mask.astype(np.bool_) & self._is_done).any(), "a game that has ended is stepped"
        pads = self.raw_action_view["players"][self.t, :, :2]
        names = ("main_x", "main_y", "c_x", "c_y", "l", "buttons")
        frames = self._world.step(np.stack([pads[name] for name in names], axis=-1).astype(np.int32))
        self.terminal_view[self.t]["done"] = frames.is_over
        self.t += 1
        self._write(frames.raw)
        self._is_done = frames.is_over

    def done_at(self, t: int) -> np.ndarray:
        return self.terminal_view[t]["done"]

    def _write(self, raw: np.ndarray) -> None:
        now = self.gamestate_view[self.t]
        now[:] = np.zeros((), now.dtype)
        now["frame_id"] = raw[:, RAW_ROW["frame"]]
        now["stage_id"] = [STAGES[int(stage)].slippi for stage in raw[:, RAW_ROW["stage"]]]
        for slot, side in enumerate("ab"):
            player = now["slots"][:, slot]
            for column, field in _RAW.items():
                player[field] = raw[:, RAW_ROW[f"{side}_{column}"]]
            player["present"], player["source_player"] = 1, slot
            player["facing"] = raw[:, RAW_ROW[f"{side}_facing"]] > 0
            player["action_frame"] = np.floor(raw[:, RAW_ROW[f"{side}_action_frame"]])
            is_hit = np.isin(raw[:, RAW_ROW[f"{side}_action_state"]], HITSTUN_STATES)
            player["hitstun"] = np.where(is_hit, raw[:, RAW_ROW[f"{side}_misc"]], 0)
        for game, row in enumerate(raw):
            self._write_items(now["items"][game], row)

    def _write_items(self, items: np.ndarray, row: np.ndarray) -> None:
        """Items without gaps, as the simulator lists them; the slot of a duel's item serves as its spawn id."""
        slots = [slot for slot in range(5) if row[RAW_ROW[f"item{slot}_kind"]]]
        for place, slot in enumerate(slots):
            item = items[place]
            item["exists"], item["spawn_id"] = 1, 1000 + slot
            item["type"] = row[RAW_ROW[f"item{slot}_kind"]] - 1
            item["owner"] = {1: 0, -1: 1, 0: -1}[int(row[RAW_ROW[f"item{slot}_owner"]])]
            item["pos_x"], item["pos_y"] = row[RAW_ROW[f"item{slot}_x"]], row[RAW_ROW[f"item{slot}_y"]]
            item["vel_x"], item["vel_y"] = row[RAW_ROW[f"item{slot}_speed_x"]], row[RAW_ROW[f"item{slot}_speed_y"]]


class EnvBatchWithFollowers(EnvBatch):
    frame_dtype = FRAME_WITH_FOLLOWERS


def install(monkeypatch: pytest.MonkeyPatch, data: Path, **changed: Any) -> None:
    """Put the package and its data where they are looked for."""
    monkeypatch.setitem(sys.modules, "melee_sim", module(**changed))
    monkeypatch.setenv("MSL_DATA_DIR", str(data))
    monkeypatch.setattr(EnvBatch, "made", [])


def data_folder(folder: Path) -> Path:
    """A folder that looks like extracted data."""
    (folder / "raw").mkdir()
    (folder / "raw" / "manifest.json").write_text("{}")
    return folder


def module(**changed: Any) -> ModuleType:
    """The package, with some names changed; None leaves one out."""
    made = ModuleType("melee_sim")
    names = {each.__name__: each for each in (Character, Stage, PlayerConfig, MatchConfig, EnvBatch)} | changed
    for name, value in names.items():
        if value is not None:
            setattr(made, name, value)
    made.__file__ = "/somewhere/melee_sim/__init__.py"
    return made
