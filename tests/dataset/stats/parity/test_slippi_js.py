"""Parity with slippi-js: every statistic that both have, for every player of every game of the archives in ``$EXPHIL_REPLAYS``.

    pytest -m slow -s tests/dataset/stats/parity

needs node and the package ``@slippi/slippi-js``. ``npm`` installs it for the run, or ``$EXPHIL_SLIPPI_JS`` names a folder
whose ``node_modules`` hold it. Without them the test skips. It prints a table, which benchmarks/results/stats.md keeps.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from dataset.schema import FIRST_CONTROLLED_FRAME, FIRST_FRAME, FRAMES_PER_MINUTE, SIDES
from dataset.stats.techniques.moves import SPECIALS
from dataset.stats.techniques.spans import HURT, is_among
from dataset.stats.techniques.statistics import measure
from dataset.stats.techniques.stocks import ATTACK_IDS
from dataset.stats.techniques.table import find_events
from dataset.store.store import Store
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions
from tests.conftest import replay_archive

PACKAGE, VERSION = "@slippi/slippi-js", "9.1.2"
ARCHIVES = ("falco-129.zip", "modern.zip", "edge-cases.zip")
PROGRAM = Path(__file__).with_name("slippi_js.mjs")

Counts = dict[str, Any]
"""Of one player in one game: the sums of ``measure``, and what slippi_js.mjs writes."""


class Both(NamedTuple):
    """One statistic that both have: a number, or one for each of several moves."""

    ours: Callable[[Counts], Any]
    theirs: Callable[[Counts], Any]


def _count(technique: str) -> Callable[[Counts], Any]:
    return lambda found: found[f"{technique} count"]


def _tries(technique: str) -> Callable[[Counts], Any]:
    return lambda found: found[f"{technique} tries"]


def _failed(technique: str) -> Callable[[Counts], Any]:
    def missed(found: Counts) -> int | None:
        tries, made = found[f"{technique} tries"], found[f"{technique} count"]
        return None if tries is None else tries - made

    return missed


def _by_move(technique: str, moves: Sequence[str]) -> Callable[[Counts], Any]:
    return lambda found: tuple(found[f"{technique} by {move} count"] for move in moves)


def _ids(name: str, moves: Sequence[str]) -> Callable[[Counts], Any]:
    return lambda found: tuple(sum(number in ATTACK_IDS[move] for number in found[name]) for move in moves)


def _action(*names: str) -> Callable[[Counts], Any]:
    """Sum of action counts, each ``name`` or ``name.part``."""

    def total(found: Counts) -> int:
        parts = [name.split(".") for name in names]
        return sum(found["actions"][name][part[0]] if part else found["actions"][name] for name, *part in parts)

    return total


def _field(name: str) -> Callable[[Counts], Any]:
    return lambda found: found[name]


def _input(name: str) -> Callable[[Counts], Any]:
    return lambda found: found["inputs"][name]


ATTACKS = {
    "jab": ("jab1", "jab2", "jab3", "jabm"),
    "dash attack": ("dash",),
    **{f"{way} tilt": (f"{way[0]}tilt",) for way in ("forward", "up", "down")},
    **{f"{way} smash": (f"{way[0]}smash",) for way in ("forward", "up", "down")},
    **{f"{way} air": (f"{way[0]}air",) for way in ("neutral", "forward", "back", "up", "down")},
}
"""Attacks by slippi-js's names for them."""

OPENERS = (*ATTACKS, *SPECIALS)
"""Moves that open for both: where we say grab, slippi-js says which throw or pummel hurts first."""

STATISTICS: dict[str, Both] = {
    "L-cancels made": Both(_count("l-cancel"), _action("lCancelCount.success")),
    "L-cancels missed": Both(_failed("l-cancel"), _action("lCancelCount.fail")),
    "techs in place": Both(_count("tech in place"), _action("groundTechCount.neutral")),
    "tech rolls towards": Both(_count("tech towards"), _action("groundTechCount.in")),
    "tech rolls away": Both(_count("tech away"), _action("groundTechCount.away")),
    "tech rolls": Both(_count("tech roll"), _action("groundTechCount.in", "groundTechCount.away")),
    "missed techs": Both(_count("missed tech"), _action("groundTechCount.fail")),
    "wall techs made": Both(_count("wall tech"), _action("wallTechCount.success")),
    "wall techs missed": Both(_failed("wall tech"), _action("wallTechCount.fail")),
    "wavedashes": Both(_count("wavedash"), _action("wavedashCount")),
    "wavelands": Both(_count("waveland"), _action("wavelandCount")),
    "dash-dances": Both(_count("dash-dance"), _action("dashDanceCount")),
    "rolls": Both(_count("roll"), _action("rollCount")),
    "spot dodges": Both(_count("spot dodge"), _action("spotDodgeCount")),
    "air dodges": Both(_count("air dodge"), _action("airDodgeCount")),
    "ledge grabs": Both(_count("ledge grab"), _action("ledgegrabCount")),
    "taunts": Both(_count("taunt"), _action("tauntCount")),
    "edge cancels": Both(_count("edge cancel"), _action("edgeCancelCount.success", "edgeCancelCount.slow")),
    "grabs made": Both(_count("grab made"), _action("grabCount.success")),
    "grabs missed": Both(_failed("grab made"), _action("grabCount.fail")),
    **{
        f"{way} throws": Both(_count(f"{way} throw"), _action(f"throwCount.{way}"))
        for way in ("forward", "back", "up", "down")
    },
    **{
        f"uses of {name}": Both(_count(name), _action(*(f"attackCount.{part}" for part in parts)))
        for name, parts in ATTACKS.items()
    },
    "openings": Both(_count("opening"), _field("openings")),
    "openings by move": Both(_by_move("opening", OPENERS), _ids("openedBy", OPENERS)),
    "conversions": Both(_count("conversion"), _field("conversions")),
    "kills": Both(_count("kill"), _field("kills")),
    "kills by move": Both(_by_move("kill", tuple(ATTACK_IDS)), _ids("killedBy", tuple(ATTACK_IDS))),
    "percent at kills, summed": Both(
        lambda found: round(found["kill value"], 1), lambda found: round(found["killPercent"], 1)
    ),
    "neutral wins": Both(_count("neutral win"), _field("neutralWins")),
    "counter-attacks": Both(_count("counter-attack"), _field("counterAttacks")),
    "trades": Both(_count("trade"), _field("trades")),
    "stocks lost": Both(_count("stock lost"), _field("stocksLost")),
    "buttons pressed": Both(_count("button press"), _input("buttons")),
    "stick moves": Both(_count("stick move"), _input("joystick")),
    "C-stick moves": Both(_count("c-stick move"), _input("cstick")),
    "triggers pulled": Both(_count("trigger pull"), _input("triggers")),
    "inputs": Both(_field("inputs"), _input("total")),
    "damage dealt": Both(_field("damage"), lambda found: round(found["damage"], 1)),
    "damage to hurt players": Both(_field("damage to the hurt"), lambda found: round(found["damage"], 1)),
}

KEPT = {
    "L-cancels missed": (
        0.021,
        "an edge ended the lag, so nothing was missed; slippi-js calls it so if an L-cancel would have been faster",
    ),
    "wavedashes": (
        0.012,
        "landings on platforms, which slippi-js takes for wavedashes after fewer than 5 frames of jump, and the reverse",
    ),
    "wavelands": (0.012, "see wavedashes"),
    "edge cancels": (0.006, "slippi-js leaves out those that were no faster than the whole lag of its tables"),
    **{
        f"uses of {way} air": (0.023, "Peach's aerials out of her float are aerials too")
        for way in ("neutral", "forward", "back", "up", "down")
    },
    "openings by move": (0.015, "an opening by a grab is one by that grab, and not by the move that hurt first"),
    "kills by move": (0.023, "the game's last attack landed, and not the move of the last hit that slippi-js saw"),
    "conversions": (0.035, "slippi-js takes the 1 % of the magnifying glass for a hit while the victim tumbles"),
    "neutral wins": (
        0.018,
        "slippi-js calls an escaped grab a counter-attack, and a counter-attack on a conversion that the game cut off a "
        "neutral win",
    ),
    "counter-attacks": (0.018, "see neutral wins"),
    "damage dealt": (
        0.5,
        "slippi-js leaves out throws, lasers and whatever else does not stun, and counts the magnifying glass while the "
        "victim tumbles; the next row counts as it does",
    ),
}
"""Differences that stay: the most player-games, as a share, in which the two differ, and why ours is kept."""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose ``node_modules`` hold slippi-js."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed, and slippi-js runs on it")
    given = os.environ.get("EXPHIL_SLIPPI_JS")
    folder = Path(given) if given else tmp_path_factory.mktemp("slippi-js")
    if not given:
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed; install slippi-js otherwise and name its folder in EXPHIL_SLIPPI_JS")
        command = ["npm", "install", "--no-save", "--ignore-scripts", "--prefix", str(folder), f"{PACKAGE}@{VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot install slippi-js: {(done.stderr.strip().splitlines() or ['no reason given'])[0]}")
    about = folder / "node_modules" / PACKAGE / "package.json"
    if not about.exists():
        pytest.skip(f"EXPHIL_SLIPPI_JS: {folder} holds no node_modules/{PACKAGE}")
    assert json.loads(about.read_text())["version"] == VERSION
    return folder


@pytest.fixture(scope="module")
def replays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all replays of the archives."""
    folder = tmp_path_factory.mktemp("replays")
    for name in ARCHIVES:
        with zipfile.ZipFile(replay_archive(name)) as archive:
            archive.extractall(folder / Path(name).stem)
    return folder


def test_every_statistic_that_slippi_js_has_too_agrees_or_differs_for_a_reason(
    package: Path, replays: Path, tmp_path: Path
) -> None:
    ingest([replays], tmp_path / "store", IngestOptions(keep_names=True))
    store = Store(tmp_path / "store")
    # Of damaged files both read what they can, and not the same.
    rows = store.replays().filter(pl.col("status") == "ok", pl.col("repaired").is_null()).collect()
    ours, theirs = _ours(store, rows), _theirs(package, rows)
    assert ours.keys() == theirs.keys()
    assert len(ours) > 300
    compared = {}
    for name, both in STATISTICS.items():
        pairs = [(both.ours(ours[player]), both.theirs(theirs[player])) for player in ours]
        compared[name] = [pair for pair in pairs if None not in np.atleast_1d(pair[0])]  # null: not told
    sys.stdout.write(f"{_markdown(compared)}\n")  # what a run by hand is for
    for name, pairs in compared.items():
        allowed = KEPT[name][0] if name in KEPT else 0.0
        assert sum(mine != other for mine, other in pairs) <= allowed * len(pairs), name
        assert any(np.any(mine) for mine, _ in pairs), name


def test_both_figures_of_self_destructs_are_one(replays: Path, tmp_path: Path) -> None:
    ingest([replays / "modern"], tmp_path / "store", IngestOptions())
    store = Store(tmp_path / "store")
    events = find_events(store.frames()).filter("success", technique="self-destruct")
    rows = store.replays().filter(pl.col("status") == "ok").collect().to_dicts()
    told = {(row["id"], side): row[f"sds_{side}"] for row in rows for side in SIDES}
    counted = dict.fromkeys(told, 0) | {
        (replay, side): count for replay, side, count in events.group_by("replay", "side").len().iter_rows()
    }
    assert counted == told
    assert sum(told.values()) > 0


def _ours(store: Store, rows: pl.DataFrame) -> dict[tuple[str, str], Counts]:
    """By replay and side."""
    frames = store.frames().filter(pl.col("replay").is_in(rows["id"].to_list()))
    found = {(row["replay"], row["side"]): row for row in measure(frames).sums.to_dicts()}
    hurt = _damage_to_the_hurt(frames)
    for row in rows.to_dicts():
        minutes = (row["frames"] - FIRST_CONTROLLED_FRAME + FIRST_FRAME) / FRAMES_PER_MINUTE
        for side in SIDES:
            found[row["id"], side] |= {
                "inputs": round(row[f"inputs_per_minute_{side}"] * minutes),
                "damage": round(row[f"damage_{side}"], 1),
                "damage to the hurt": round(hurt[row["id"], side], 1),
            }
    return found


def _damage_to_the_hurt(frames: pl.LazyFrame) -> dict[tuple[str, str], float]:
    """Percent by which the opponent of a side changed on frames on which it was hurt or held, as slippi-js sums it."""
    same = pl.col("replay") == pl.col("replay").shift(1)
    sums = []
    for side, other in (SIDES, SIDES[::-1]):
        percent = pl.col(f"{other}_percent").cast(pl.Float64)
        change = pl.when(same & is_among(HURT, f"{other}_action_state")).then(percent - percent.shift(1))
        sums.append(
            frames.select("replay", change=change).group_by("replay").agg(pl.col("change").sum(), side=pl.lit(side))
        )
    return {(replay, side): change for replay, change, side in pl.concat(sums).collect().iter_rows()}


def _theirs(package: Path, rows: pl.DataFrame) -> dict[tuple[str, str], Counts]:
    """By replay and side."""
    paths = "".join(f"{path}\n" for path in rows["source"])
    told = subprocess.run(
        ["node", str(PROGRAM), str(package)], input=paths, capture_output=True, text=True, check=True
    ).stdout
    games = {game["path"]: game["players"] for game in map(json.loads, told.splitlines())}
    return {
        (row["id"], side): games[row["source"]][str(row[f"port_{side}"])] for row in rows.to_dicts() for side in SIDES
    }


def _markdown(compared: dict[str, list[tuple[Any, Any]]]) -> str:
    """The table for people."""
    lines = [
        "| statistic | players' games | equal | differing | ours | slippi-js | why |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, pairs in compared.items():
        equal = sum(mine == other for mine, other in pairs)
        mine, other = (round(sum(np.sum(pair[place]) for pair in pairs)) for place in range(2))
        why = KEPT[name][1] if name in KEPT else ""
        lines.append(f"| {name} | {len(pairs)} | {equal} | {len(pairs) - equal} | {mine:,} | {other:,} | {why} |")
    return "\n".join(lines)
