"""How good a game is to learn from: one score for each player and the parts that it is made of, from the frame table alone.

The score is a product of parts between 0 and 1, so each part can only lower it. It filters nothing by itself: ``exphil encode
--where`` and a training's weights may use it, or weigh the parts in another way.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dataset.melee.winner import winner
from dataset.schema import CONTROLLER_NAMES, FRAMES_PER_MINUTE, SIDES, Columns

IDLE_FRAMES = 120
"""A controller at rest for these two seconds is idle; people who play rarely let it rest for one."""
STICK_ZONE = 23
"""In 1/80: from here on Melee itself counts a stick as tilted (0.2875)."""
FULL_TEMPO = 120.0
"""Inputs per minute above which more are not better: slow games between people have about 200, idle ones under 50."""
FULL_FIGHT = 120.0
"""Percent per minute, both players' added up, above which more is not better: half of what games between people show."""
BROKEN_OFF = 0.8
"""What a game that nobody finished is worth, where a finished one is worth 1."""
HANDWARMER_FRAMES = 3600
"""A game broken off within this first minute was only a warm-up."""

_SIDE_PARTS = (
    *(("idle_share", pa.float32()), ("inputs_per_minute", pa.float32()), ("damage_per_minute", pa.float32())),
    *(("sds", pa.uint8()), ("quality", pa.float32())),
)
QUALITY_SCHEMA = pa.schema(
    [
        ("ending", pa.string()),
        ("is_handwarmer", pa.bool_()),
        ("resimulated_share", pa.float32()),
        ("gap_share", pa.float32()),
        *((f"{name}_{side}", kind) for name, kind in _SIDE_PARTS for side in SIDES),
    ]
)
"""What quality adds to the table of replays.

``ending``: see ``_ending``. ``idle_share``: of the frames from 0 on, those in rests of ``IDLE_FRAMES`` and more.
``inputs_per_minute``: buttons pressed and sticks moved to another of eight directions. ``damage_per_minute``: percent dealt.
``sds``: stocks lost that the opponent did not take. ``resimulated_share`` and ``gap_share``: of all frames. ``is_handwarmer``:
nobody was hit, or the game was broken off within a minute.
"""


def quality_of(columns: Columns, row: Mapping[str, Any]) -> dict[str, Any]:
    """Parts and scores of one game.

    Args:
        columns: its frame-table columns.
        row: its ``port_a``, ``port_b``, ``end_method``, ``quitter`` (side), ``frames_resimulated`` and ``frame_gaps``.
    """
    frames = len(columns["frame"])
    dealt = {"a": damage_taken(columns, "b"), "b": damage_taken(columns, "a")}
    ending = _ending(columns, row["end_method"], row.get("quitter"))
    is_broken_off = ending in ("quit", "disconnect")
    is_handwarmer = not any(dealt.values()) or (is_broken_off and frames < HANDWARMER_FRAMES)
    resimulated, gaps = row["frames_resimulated"] / frames, row["frame_gaps"] / (frames + row["frame_gaps"])
    found: dict[str, Any] = {"ending": ending, "is_handwarmer": is_handwarmer}
    found |= {"resimulated_share": resimulated, "gap_share": gaps}
    fight = min(1.0, sum(dealt.values()) / frames * FRAMES_PER_MINUTE / FULL_FIGHT)
    game = fight * (BROKEN_OFF if is_broken_off else 1.0) * (1 - resimulated) * (1 - gaps) * (not is_handwarmer)
    for side, other in (SIDES, SIDES[::-1]):
        idle, tempo = _activity(columns, side)
        sds = self_destructs(columns, side, row[f"port_{other}"])
        care = 1 - min(1.0, sds / max(1, int(columns[f"{side}_stocks"][0])))
        found |= {
            f"idle_share_{side}": idle,
            f"inputs_per_minute_{side}": tempo,
            f"damage_per_minute_{side}": dealt[side] / frames * FRAMES_PER_MINUTE,
            f"sds_{side}": sds,
            f"quality_{side}": (1 - idle) * min(1.0, tempo / FULL_TEMPO) * care * game,
        }
    return found


def decided_winner(columns: Columns, end_method: str | None, quitter: str | None) -> dict[str, str | None]:
    """``winner`` (a side, or ``None`` for nobody) where frames and the game end decide it; empty where they leave it open."""
    stocks, percents = ([float(columns[f"{side}_{what}"][-1]) for side in SIDES] for what in ("stocks", "percent"))
    if all(stocks) and quitter is None and end_method != "time":
        return {}
    left = None if quitter is None else SIDES.index(quitter)
    won = winner(stocks, percents, quitter=left, is_time_up=end_method == "time")
    return {"winner": None if won is None else SIDES[won]}


def damage_taken(columns: Columns, side: str) -> float:
    """Percent a side took: every rise, so heals and deaths do not lower it."""
    rises = np.diff(np.nan_to_num(columns[f"{side}_percent"]).astype(np.float64))
    return float(np.round(rises[rises > 0].sum(), 2))


def self_destructs(columns: Columns, side: str, opponent_port: int) -> int:
    """Stocks a side lost while the game counted no hit of the opponent (on physical port 1–4) against it."""
    stocks = columns[f"{side}_stocks"].astype(np.int16)
    deaths = np.flatnonzero(stocks[1:] < stocks[:-1])
    return int(np.count_nonzero(columns[f"{side}_last_hit_by"][deaths] != opponent_port - 1))


def _ending(columns: Columns, end_method: str | None, quitter: str | None) -> str:
    """How the game ended, the first that holds.

    ``stocks``: somebody has none left. ``quit``: somebody pressed L+R+A+Start. ``time``: the clock ran out. ``decided``: the
    recorder says that there was a winner, not how. ``disconnect``: the recorder saw no end, or one without a winner that
    nobody asked for.
    """
    if any(columns[f"{side}_stocks"][-1] == 0 for side in SIDES):
        return "stocks"
    if quitter is not None:
        return "quit"
    if end_method == "time":
        return "time"
    return "decided" if end_method in ("game", "resolved") else "disconnect"


def _activity(columns: Columns, side: str) -> tuple[float, float]:
    """Share of idle frames, and inputs per minute; frame 0 is the first in which players can act."""
    first = int(np.searchsorted(columns["frame"], 0))
    pads = {name: columns[f"{side}_{name}"][first:] for name in CONTROLLER_NAMES}
    frames = len(pads["buttons"])
    if not frames:
        return 1.0, 0.0
    is_change = np.zeros(frames - 1, dtype=np.bool_)
    for values in pads.values():
        is_change |= values[1:] != values[:-1]
    rests = np.diff(np.concatenate([[0], np.flatnonzero(is_change) + 1, [frames]]))
    inputs = _presses(pads["buttons"]) + _moves(pads["main_x"], pads["main_y"]) + _moves(pads["c_x"], pads["c_y"])
    return float(rests[rests >= IDLE_FRAMES].sum() / frames), inputs / frames * FRAMES_PER_MINUTE


def _presses(buttons: NDArray[Any]) -> int:
    return int(np.bitwise_count(buttons[1:] & ~buttons[:-1]).sum())


def _moves(x: NDArray[Any], y: NDArray[Any]) -> int:
    """How often a stick comes to another direction than the frame before; back to the middle is none."""
    zones = 3 * _sign(x) + _sign(y)
    return int(np.count_nonzero((zones[1:] != zones[:-1]) & (zones[1:] != 0)))


def _sign(axis: NDArray[Any]) -> NDArray[np.int8]:
    """1 or -1 outside the zone around the middle, 0 inside."""
    return (axis >= STICK_ZONE).view(np.int8) - (axis <= -STICK_ZONE).view(np.int8)
