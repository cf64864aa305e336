"""Replays as the records in which simulators give frames, taken event by event from the file."""

from collections import Counter
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.features.layout import HITSTUN_STATES
from dataset.melee.ids import STAGES
from dataset.slippi import slp

UMI = {
    "frame": "frame", "stage": "stage", "players": "players", "nana": "nana", "exists": "exists", "x": "x", "y": "y",
    "shield": "shield_strength", "action": "action", "character": "character", "hitlag": "hitlag_left",
    "hitstun": "hitstun_left", "speed_x": "vx", "speed_y": "vy",
}  # fmt: skip
MELEE_SIM = {
    "frame": "frame_id", "stage": "stage_id", "players": "slots", "nana": "followers", "exists": "present",
    "x": "pos_x", "y": "pos_y", "shield": "shield_hp", "action": "action_id", "character": "char_id",
    "hitlag": "hitlag", "hitstun": "hitstun", "speed_x": "vel_x", "speed_y": "vel_y",
}  # fmt: skip


def championship() -> dict[str, np.ndarray]:
    """``umi-melee``'s recorded frames, [6 games, 720 frames, 2 seats], and who plays where; skips where it is not installed."""
    pytest.importorskip("umi", reason="umi-melee is not installed")
    with resources.files("umi.conform").joinpath("fixtures.npz").open("rb") as file:
        found = np.load(file)
        return {name: found[name] for name in found.files}


def records(path: Path, dtype: np.dtype[Any], names: dict[str, str], most: int | None = None) -> np.ndarray:
    """[T] frames of a game of two, the last copy of each, at most so many; UMI floors the percent."""
    events = slp.read_events(slp.read_slp(path)[0])
    header = slp.read_header(path)
    ports = [player.port - 1 for player in header.players]
    posts, items = events.tables[slp.POST_FRAME], events.tables.get(slp.ITEM)
    frames = dict(islice(_last_copies(events).items(), most))
    made = np.zeros(len(frames), dtype)
    is_umi = names is UMI
    made[names["frame"]] = list(frames)
    stage = next(each for each in STAGES if each.slippi == header.stage)
    made[names["stage"]] = stage.libmelee if is_umi else stage.slippi
    for record, (post_rows, item_rows) in zip(made, frames.values(), strict=True):
        for row in post_rows:
            post = posts[row]
            who = names["nana"] if post["is_follower"] else names["players"]
            _fill_fighter(record[who][ports.index(post["port"])], post, names, is_umi)
        for place, row in enumerate(item_rows[:15]):
            _fill_item(record["items"][place], items[row], names, ports)
    return made


def _last_copies(events: slp.Events) -> dict[int, tuple[list[int], list[int]]]:
    """Rows of post frames and of items by frame."""
    seen: Counter[int] = Counter()
    frames: dict[int, tuple[list[int], list[int]]] = {}
    for command in events.order.tolist():
        row = seen[command]
        seen[command] += 1
        if command == slp.FRAME_START:
            now = frames[int(events.tables[command]["frame"][row])] = ([], [])
        elif command == slp.POST_FRAME:
            now[0].append(row)
        elif command == slp.ITEM:
            now[1].append(row)
    return {frame: rows for frame, rows in frames.items() if rows[0]}


def _fill_fighter(fighter: Any, post: Any, names: dict[str, str], is_umi: bool) -> None:
    values = {
        names["exists"]: 1,
        names["character"]: post["character"],
        names["x"]: post["position_x"],
        names["y"]: post["position_y"],
        names["shield"]: post["shield"],
        names["action"]: post["state"],
        names["hitlag"]: post["hitlag"] if "hitlag" in post.dtype.names else 0,  # since Slippi 3.8
        names["hitstun"]: post["misc_as"] if post["state"] in HITSTUN_STATES else 0,
        "stocks": post["stocks"],
        "facing": post["direction"] > 0,
        "on_ground": post["airborne"] == 0,
        "hurtbox_state": post["hurtbox_state"],
        "invulnerable": post["hurtbox_state"] != 0,
        "jumps_left": post["jumps"],
        "action_frame": np.floor(post["state_age"]),
        "percent": np.floor(post["percent"]) if is_umi else post["percent"],
        "speed_air_x_self": post["self_x_air"],
        "speed_ground_x_self": post["self_x_ground"],
        "speed_y_self": post["self_y"],
        "speed_x_attack": post["knockback_x"],
        "speed_y_attack": post["knockback_y"],
    }
    for name, value in values.items():
        fighter[name] = value


def _fill_item(record: Any, item: Any, names: dict[str, str], ports: list[int]) -> None:
    record["exists"], record["type"], record["spawn_id"] = 1, item["type"], item["spawn_id"]
    record["owner"] = ports.index(item["owner"]) if item["owner"] in ports else -1
    record[names["x"]], record[names["y"]] = item["position_x"], item["position_y"]
    record[names["speed_x"]], record[names["speed_y"]] = item["velocity_x"], item["velocity_y"]
