"""Replays without a game: two scripted players fight a duel, and every frame is written as Slippi 3.18.0 would.

Row *t* holds the state after controller *t* acted, as in real replays, and peppi and libmelee read the files. Each says what
it is: ``playedOn`` is "exphil duel", match ids start with "generated-". Without ``frames`` a game lasts until one player is out
of stocks (GAME!), with it until then or the clock (TIME!).
"""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from dataset.duels.duel import ENTRY_FRAMES, STOCKS, WAIT_LOOP, Duel
from dataset.duels.moves import DEAD, SHIELDING, TRAITS
from dataset.duels.player import ScriptedPlayer, View, drill, view
from dataset.errors import ConfigError, require_known
from dataset.melee.controller import NEUTRAL_PAD, STICK_RANGE, TRIGGER_RANGE, A, Pad, Z
from dataset.melee.ids import STAGES, Character, Stage, character_from_name, stage_from_name
from dataset.slippi import slp

Script = Literal["duel", "drill"]
PLAYED_ON = "exphil duel"
REACTION = 4
"""Frames after which a scripted player sees what the other did."""
LONGEST = 28_800
"""Frames after which the clock ends any game: eight minutes."""
DRILL_FRAMES = 360
_DRAMATIC_PAUSE = 60
"""Frames between the last stock and the end of the game."""


def generate_replay(
    path: str | Path,
    *,
    seed: int,
    characters: tuple[str, str] = ("mewtwo", "fox"),
    stage: str = "final_destination",
    frames: int | None = None,
    ports: tuple[int, int] = (1, 2),
    script: Script = "duel",
) -> None:
    """Write one replay, the same bytes for the same arguments.

    Args:
        path: file to write.
        seed: whole number ≥ 0 that decides every choice of both players, and the match id.
        characters: names of :data:`dataset.duels.moves.TRAITS`, one for each port of ``ports``.
        stage: name of a legal stage.
        frames: most frames to play, counted from frame -123; None plays until one player has no stocks left.
        ports: distinct ports 1–4.
        script: "duel", or "drill" for a fixed routine without noise, 360 frames unless ``frames`` says otherwise.

    Raises:
        ConfigError: a name, port or number is out of range.
    """
    _check(seed, frames, ports, script)
    found = [character_from_name(name) for name in characters]
    for character in found:
        require_known("character in a duel", character.name, sorted(TRAITS))
    sides = sorted(zip(ports, found, strict=True))
    limit = frames or (DRILL_FRAMES if script == "drill" else LONGEST)
    where = stage_from_name(stage)
    duel = Duel([character.name for _, character in sides], where, 1 if script == "drill" else WAIT_LOOP)
    recorder = Recorder([character for _, character in sides], [port for port, _ in sides])
    _play(duel, recorder, _players(duel, seed, script), limit)
    recorder.write(path, duel, where, seed, limit)


def generate_replays(folder: str | Path, count: int, seed: int) -> list[Path]:
    """Write ``count`` duels with Mewtwo in each, on all stages and several opponents, and return their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    foes = [name for name in TRAITS if name != "mewtwo"]
    paths = []
    for index in range(count):
        path = folder / f"duel-{seed + index:06d}.slp"
        stage = STAGES[(5 - index) % len(STAGES)].name
        generate_replay(path, seed=seed + index, characters=("mewtwo", foes[index % len(foes)]), stage=stage)
        paths.append(path)
    return paths


def _check(seed: int, frames: int | None, ports: tuple[int, int], script: str) -> None:
    if len(set(ports)) != 2 or not set(ports) <= {1, 2, 3, 4}:
        raise ConfigError(f"ports {ports}: must be two different ports 1 to 4; pass for example (1, 2)")
    if seed < 0:
        raise ConfigError(f"seed {seed}: must be 0 or more; choose another")
    if frames is not None and not 1 <= frames <= LONGEST:
        raise ConfigError(f"frames {frames}: must be 1 to {LONGEST}; choose another")
    require_known("script", script, get_args(Script))


def _players(duel: Duel, seed: int, script: Script) -> list[Any]:
    """For each side a callable from the view of the foe to a controller."""
    if script == "drill":
        routines = [drill(1), drill(-1)]
        return [lambda _, routine=routine: next(routine) for routine in routines]
    return [
        ScriptedPlayer(fighter, random.Random(f"{seed}-{side}")).choose for side, fighter in enumerate(duel.fighters)
    ]


def _play(duel: Duel, recorder: "Recorder", players: Sequence[Any], limit: int) -> None:
    seen: list[list[View]] = [[view(fighter)] * REACTION for fighter in duel.fighters]
    over = 0
    for frame in range(limit):
        pads = [NEUTRAL_PAD, NEUTRAL_PAD]
        if frame >= ENTRY_FRAMES:
            pads = [player(seen[1 - side][-REACTION]) for side, player in enumerate(players)]
        recorder.before(duel, pads)
        duel.step(pads)
        recorder.after(duel)
        for views, fighter in zip(seen, duel.fighters, strict=True):
            views.append(view(fighter))
        over += duel.is_over
        if over > _DRAMATIC_PAUSE:
            return


class Recorder:
    """Gathers what a duel shows before and after each frame, and writes it as a replay.

    Rows are kept as plain tuples and become numpy columns once, at the end, which is most of the generator's speed.
    """

    def __init__(self, characters: Sequence[Character], ports: Sequence[int]) -> None:
        self.characters, self.ports = characters, ports
        self.pre: list[tuple[float, ...]] = []
        self.post: list[tuple[float, ...]] = []
        self.items: list[tuple[float, ...]] = []
        self.num_frames = 0

    def before(self, duel: Duel, pads: Sequence[Pad]) -> None:
        """Record the states the controllers are about to act on."""
        for me, now in zip(duel.fighters, pads, strict=True):
            state = (me.state, me.x, me.y, me.facing, me.percent)
            sticks = (now.x, now.y, now.cstick_x, now.cstick_y, now.trigger, now.buttons)
            self.pre.append((*state, *sticks, *now.analog, *now.raw))

    def after(self, duel: Duel) -> None:
        """Record the frame's result."""
        for character, me in zip(self.characters, duel.fighters, strict=True):
            body = (character.internal, me.state, me.x, me.y, me.facing, me.percent, me.shield)
            tally = (me.last_landed, me.combo, me.last_hit_by, me.stocks, me.age)
            motion = (me.air_x + me.ground_x, me.speed_y, me.knock_x, me.knock_y, me.ground_x, me.hitlag)
            flags = (me.airborne, me.jumps, me.l_cancel, 2 if me.invulnerable else 0)
            extra = (me.hitstun, me.is_fast_falling, me.instances)
            self.post.append((*body, *tally, *motion, *flags, *extra))
        frame = slp.FIRST_FRAME + self.num_frames
        for shot in duel.shots:
            speed = shot.speed if shot.is_launched else 0.0
            place = (frame, shot.kind, shot.is_launched, 1.0 if shot.speed > 0 else -1.0, speed, shot.x, shot.y)
            self.items.append((*place, shot.timer, shot.spawn_id, self.ports[shot.owner] - 1, shot.charge))
        self.num_frames += 1

    def write(self, path: str | Path, duel: Duel, stage: Stage, seed: int, limit: int) -> None:
        """Write everything recorded to ``path``, as a game of at most ``limit`` frames that ended as ``duel`` stands."""
        replay = slp.build_slp(
            start=self._game_start(stage, seed, limit),
            frames=self._tables(seed, stage.name == "fountain_of_dreams"),
            end=self._game_end(duel),
            metadata=self._metadata(seed),
        )
        Path(path).write_bytes(replay)

    def _game_start(self, stage: Stage, seed: int, limit: int) -> slp.Table:
        start = np.zeros(1, slp.LAYOUTS[slp.GAME_START])
        start["version"] = [*slp.WRITTEN_VERSION, 0]
        start["bitfields"] = [0x32, 0x01, 0x86, 0x4C, 0xC3]
        start["item_spawn"] = start["self_destruct_score"] = -1
        start["stage"], start["timer_s"], start["damage_ratio"] = stage.slippi, -(-limit // 60), 1.0
        players = start["players"][0]
        players["character"], players["kind"] = 0x1A, 3
        players["offense"] = players["defense"] = players["scale"] = 1.0
        for port, character in zip(self.ports, self.characters, strict=True):
            players["character"][port - 1], players["kind"][port - 1] = character.external, 0
            players["stocks"][port - 1] = STOCKS
            start["display_name"][0, port - 1] = f"Duelist {port}".encode()
            start["connect_code"][0, port - 1] = f"DUEL＃{port}".encode("cp932")
        start["random_seed"] = seed % (1 << 32)
        start["is_frozen"], start["language"], start["game_number"] = 1, 1, 1
        start["minor_scene"], start["major_scene"] = 2, 8
        start["match_id"] = f"generated-{seed}".encode()
        return start

    def _game_end(self, duel: Duel) -> slp.Table:
        end = np.zeros(1, slp.LAYOUTS[slp.GAME_END])
        first, second = duel.fighters
        end["method"] = 2 if duel.is_over else 1
        end["quitter"], end["placements"] = -1, -1
        second_leads = (second.stocks, -second.percent) > (first.stocks, -first.percent)
        end["placements"][0, [port - 1 for port in self.ports]] = [int(second_leads), int(not second_leads)]
        return end

    def _metadata(self, seed: int) -> dict[str, Any]:
        started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=10 * (seed % 1_000_000))
        players = {
            str(port - 1): {
                "names": {"netplay": f"Duelist {port}", "code": f"DUEL#{port}"},
                "characters": {str(character.internal): self.num_frames},
            }
            for port, character in zip(self.ports, self.characters, strict=True)
        }
        return {
            "startAt": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lastFrame": slp.FIRST_FRAME + self.num_frames - 1,
            "players": players,
            "playedOn": PLAYED_ON,
        }

    def _tables(self, seed: int, is_fountain: bool) -> dict[int, slp.Table]:
        frames = slp.FIRST_FRAME + np.arange(self.num_frames)
        start = np.zeros(self.num_frames, slp.LAYOUTS[slp.FRAME_START])
        start["frame"], start["scene_frame"] = frames, np.arange(self.num_frames)
        start["random_seed"] = (seed * 2_654_435_761 + np.arange(self.num_frames) * 69_069) % (1 << 32)
        bookend = np.zeros(self.num_frames, slp.LAYOUTS[slp.BOOKEND])
        bookend["frame"] = bookend["latest_finalized_frame"] = frames
        tables = {
            slp.FRAME_START: start,
            slp.PRE_FRAME: self._pre_table(frames),
            slp.POST_FRAME: self._post_table(frames),
            slp.ITEM: self._item_table(),
            slp.BOOKEND: bookend,
        }
        tables[slp.PRE_FRAME]["random_seed"] = np.repeat(start["random_seed"], 2)
        if is_fountain:
            tables[slp.FOD_PLATFORM] = _fountain(frames)
        return tables

    def _per_player(self, command: int, frames: npt.NDArray[np.int64]) -> slp.Table:
        table = np.zeros(2 * len(frames), slp.LAYOUTS[command])
        table["frame"] = np.repeat(frames, 2)
        table["port"] = np.tile(np.array(self.ports) - 1, len(frames))
        return table

    def _pre_table(self, frames: npt.NDArray[np.int64]) -> slp.Table:
        table = self._per_player(slp.PRE_FRAME, frames)
        columns = np.array(self.pre, np.float64).T
        names = ["state", "position_x", "position_y", "direction", "percent"]
        for name, column in zip(names, columns[:5], strict=True):
            table[name] = column
        for name, column in zip(["joystick_x", "joystick_y", "cstick_x", "cstick_y"], columns[5:9], strict=True):
            table[name] = column / STICK_RANGE
        table["trigger"] = columns[9] / TRIGGER_RANGE
        table["buttons_physical"] = columns[10]
        table["buttons"] = _processed_buttons(columns[10].astype(np.uint32), columns[5:9], columns[9])
        table["l_physical"], table["r_physical"] = columns[11:13] / TRIGGER_RANGE
        for name, column in zip(["raw_x", "raw_y", "raw_cstick_x", "raw_cstick_y"], columns[13:], strict=True):
            table[name] = column
        return table

    def _post_table(self, frames: npt.NDArray[np.int64]) -> slp.Table:
        table = self._per_player(slp.POST_FRAME, frames)
        columns = np.array(self.post, np.float64).T
        names = ["character", "state", "position_x", "position_y", "direction", "percent", "shield"]
        names += ["last_attack_landed", "combo_count", "last_hit_by", "stocks", "state_age", "self_x_air", "self_y"]
        names += ["knockback_x", "knockback_y", "self_x_ground", "hitlag", "airborne", "jumps", "l_cancel"]
        names += ["hurtbox_state", "misc_as"]
        for name, column in zip(names, columns[: len(names)], strict=True):
            table[name] = column
        hitstun, is_fast_falling, instances = columns[len(names) - 1 :]
        is_shielding = np.isin(table["state"], list(SHIELDING))
        table["state_flags"][:, 1] = 0x08 * (is_fast_falling > 0) + 0x20 * (table["hitlag"] > 0)
        table["state_flags"][:, 2] = 0x80 * is_shielding
        table["state_flags"][:, 3] = 0x02 * (hitstun > 0)
        table["state_flags"][:, 4] = 0x40 * (table["state"] == DEAD)
        table["animation_index"] = 0xFFFFFFFF
        table["instance_id"] = instances
        return table

    def _item_table(self) -> slp.Table:
        table = np.zeros(len(self.items), slp.LAYOUTS[slp.ITEM])
        columns = np.array(self.items, np.float64).reshape(-1, 11).T
        names = ["frame", "type", "state", "direction", "velocity_x", "position_x", "position_y"]
        names += ["timer", "spawn_id", "owner"]
        for name, column in zip(names, columns[:-1], strict=True):
            table[name] = column
        table["misc"][:, 2], table["misc"][:, 3] = columns[2], columns[-1]
        return table


def _processed_buttons(
    physical: npt.NDArray[np.uint32], sticks: npt.NDArray[np.float64], trigger: npt.NDArray[np.float64]
) -> npt.NDArray[np.uint32]:
    """Slippi's processed buttons: Z also presses A; stick directions and any trigger have bits of their own."""
    found = physical | np.where(physical & Z, A, 0).astype(np.uint32)
    x, y, cstick_x, cstick_y = sticks
    for bit, value in enumerate([y, -y, -x, x, cstick_y, -cstick_y, -cstick_x, cstick_x], 16):
        found |= (value > 0.7 * STICK_RANGE).astype(np.uint32) << bit
    found |= (trigger > 0).astype(np.uint32) << 31
    return found


def _fountain(frames: npt.NDArray[np.int64]) -> slp.Table:
    """Platform events: every ten seconds one platform moves for a second; right first (0), then left."""
    heights, rows = [28.0, 20.0], []
    for begin in range(300, int(frames[-1]), 600):
        platform = (begin // 600) % 2
        step = (15.0 if heights[platform] > 22 else 30.0) - heights[platform]
        base = heights[platform]
        rows += [(begin + i, platform, base + step * (i + 1) / 60) for i in range(60) if begin + i <= frames[-1]]
        heights[platform] = base + step
    return np.array(rows, slp.LAYOUTS[slp.FOD_PLATFORM])
