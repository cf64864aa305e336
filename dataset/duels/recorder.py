"""Writes a duel as Slippi 3.18.0 would record it: what each frame shows before and after, then one replay of all of it.

Each file says what it is: ``playedOn`` is "exphil duel".
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset.duels.duel import STOCKS, Duel
from dataset.duels.moves import DEAD, SHIELDING
from dataset.melee.controller import STICK_RANGE, TRIGGER_RANGE, A, Pad, Z
from dataset.melee.ids import Character, Stage
from dataset.slippi import slp


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

    def write(self, path: str | Path, duel: Duel, stage: Stage, seed: int, limit: int, match_id: str) -> None:
        """Write everything recorded to ``path``, as a game of at most ``limit`` frames that ended as ``duel`` stands.

        ``match_id`` has to differ between games: ingest keeps one replay of each.
        """
        replay = slp.build_slp(
            start=self._game_start(stage, seed, limit, match_id),
            frames=self._tables(seed, stage.name == "fountain_of_dreams"),
            end=self._game_end(duel),
            metadata=self._metadata(seed),
        )
        Path(path).write_bytes(replay)

    def _game_start(self, stage: Stage, seed: int, limit: int, match_id: str) -> slp.Table:
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
        start["match_id"] = match_id.encode()
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
            "playedOn": "exphil duel",
        }

    def _tables(self, seed: int, is_fountain: bool) -> dict[int, slp.Table]:
        frames = slp.FIRST_FRAME + np.arange(self.num_frames)
        start = np.zeros(self.num_frames, slp.LAYOUTS[slp.FRAME_START])
        start["frame"], start["scene_frame"] = frames, np.arange(self.num_frames)
        start["random_seed"] = (seed * 2_654_435_761 % (1 << 32) + np.arange(self.num_frames) * 69_069) % (1 << 32)
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
