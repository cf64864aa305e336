"""How good a game is to learn from: one score for each player and the parts that it is made of, from the frame table alone.

The score is a product of parts between 0 and 1, so each part can only lower it. It filters nothing by itself: ``exphil encode
--where`` and a training's weights may use it, or weigh the parts in another way.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dataset.melee.controller import START
from dataset.melee.damage import NOBODY, is_dealt
from dataset.melee.winner import winner
from dataset.schema import CONTROLLER_NAMES, FIRST_CONTROLLED_FRAME, FRAMES_PER_MINUTE, SIDES, Columns

IDLE_FRAMES = 120
"""A controller at rest for these two seconds is idle; people who play rarely let it rest for one."""
STICK_ZONE = 24
"""In 1/80: from here on a stick counts as tilted. slippi-js asks for 0.2875, which 23/80 just misses as a float32."""
TRIGGER_ZONE = 42
"""In 1/140: from here on a trigger counts as pressed (slippi-js's 0.3 in ``stats/inputs.ts``; Melee reads one from 43 on)."""
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

Rates are per minute from frame −39 on, the first on which the game reads controllers.
``ending``: see ``_ending``. ``idle_share``: of the same frames, those in rests of ``IDLE_FRAMES`` and more.
``inputs_per_minute``: buttons pressed (Start is none), sticks moved to another of eight directions and triggers pressed, as
slippi-js counts them. ``damage_per_minute``: percent dealt (``damage_taken`` of the other side). ``sds``: stocks lost while the
game credits nobody with a hit on the player. ``resimulated_share`` and ``gap_share``: of all frames. ``is_handwarmer``:
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
    minutes = max(1, frames - int(np.searchsorted(columns["frame"], FIRST_CONTROLLED_FRAME))) / FRAMES_PER_MINUTE
    fight = min(1.0, sum(dealt.values()) / minutes / FULL_FIGHT)
    game = fight * (BROKEN_OFF if is_broken_off else 1.0) * (1 - resimulated) * (1 - gaps) * (not is_handwarmer)
    for side in SIDES:
        idle, inputs = _activity(columns, side)
        tempo = inputs / minutes
        sds = self_destructs(columns, side)
        care = 1 - min(1.0, sds / max(1, int(columns[f"{side}_stocks"][0])))
        found |= {
            f"idle_share_{side}": idle,
            f"inputs_per_minute_{side}": tempo,
            f"damage_per_minute_{side}": dealt[side] / minutes,
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
    """Percent that the opponent dealt to a side: rises that it and the camera did not make (``is_dealt``), heals aside."""
    percent: NDArray[Any] = columns[f"{side}_percent"]
    frames = np.flatnonzero(percent[1:] > percent[:-1]) + 1
    rises = percent[frames].astype(np.float64) - percent[frames - 1]
    character, state, x, y = (columns[f"{side}_{name}"][frames] for name in ("character", "action_state", "x", "y"))
    hitlag = columns[f"{side}_hitlag"][frames] if f"{side}_hitlag" in columns else np.zeros(len(frames))
    return float(np.round(rises[is_dealt(rises, character, state, x, y, hitlag)].sum(), 2))


def self_destructs(columns: Columns, side: str) -> int:
    """Stocks a side lost while the game counted no hit against it."""
    stocks = columns[f"{side}_stocks"].astype(np.int16)
    deaths = np.flatnonzero(stocks[1:] < stocks[:-1])
    return int(np.count_nonzero(columns[f"{side}_last_hit_by"][deaths] == NOBODY))


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


def _activity(columns: Columns, side: str) -> tuple[float, int]:
    """Share of idle frames, and the number of inputs, of the frames on which the game reads controllers."""
    first = int(np.searchsorted(columns["frame"], FIRST_CONTROLLED_FRAME))
    frames = len(columns["frame"]) - first
    if not frames:
        return 1.0, 0
    before = max(0, first - 1)
    pads = {name: columns[f"{side}_{name}"][before:] for name in CONTROLLER_NAMES}
    triggers = [columns[name][before:] for name in (f"{side}_trigger_l", f"{side}_trigger_r") if name in columns]
    inputs = _presses(pads["buttons"]) + _moves(pads["main_x"], pads["main_y"]) + _moves(pads["c_x"], pads["c_y"])
    inputs += sum(_pulls(trigger) for trigger in triggers)
    is_change = np.zeros(frames - 1, dtype=np.bool_)
    for values in pads.values():
        is_change |= values[-frames:][1:] != values[-frames:][:-1]
    rests = np.diff(np.concatenate([[0], np.flatnonzero(is_change) + 1, [frames]]))
    return float(rests[rests >= IDLE_FRAMES].sum() / frames), inputs


def _presses(buttons: NDArray[Any]) -> int:
    return int(np.bitwise_count(buttons[1:] & ~buttons[:-1] & (START - 1)).sum())


def _pulls(trigger: NDArray[Any]) -> int:
    return int(np.count_nonzero((trigger[1:] >= TRIGGER_ZONE) & (trigger[:-1] < TRIGGER_ZONE)))


def _moves(x: NDArray[Any], y: NDArray[Any]) -> int:
    """How often a stick comes to another direction than the frame before; back to the middle is none."""
    zones = stick_zones(x, y)
    return int(np.count_nonzero((zones[1:] != zones[:-1]) & (zones[1:] != 0)))


def stick_zones(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.int8]:
    """Where a stick is: 3 × right (1) or left (-1) + up (1) or down (-1), so 0 in the middle and -4 to 4 around it."""
    return 3 * _sign(x) + _sign(y)


def _sign(axis: NDArray[Any]) -> NDArray[np.int8]:
    """1 or -1 outside the zone around the middle, 0 inside."""
    return (axis >= STICK_ZONE).view(np.int8) - (axis <= -STICK_ZONE).view(np.int8)
