"""Parity with slippi-js: every statistic that both have, for every player of every game of the archives in ``$EXPHIL_REPLAYS``.

    pytest -m slow -s tests/dataset/stats/parity

needs node and the package ``@slippi/slippi-js``. ``npm`` installs it for the run, or ``$EXPHIL_SLIPPI_JS`` names a folder
whose ``node_modules`` hold it. Without them the test skips. It prints a table, which benchmarks/results/stats.md keeps.
"""

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from dataset.schema import FIRST_CONTROLLED_FRAME, FIRST_FRAME, FRAMES_PER_MINUTE, SIDES
from dataset.stats.techniques.spans import HURT, is_among
from dataset.stats.techniques.table import count_events, find_events
from dataset.store.store import Store
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions
from tests.conftest import replay_archive

PACKAGE, VERSION = "@slippi/slippi-js", "9.1.2"
ARCHIVES = ("falco-129.zip", "modern.zip", "edge-cases.zip")
PROGRAM = Path(__file__).with_name("slippi_js.mjs")

Counts = dict[str, Any]
"""Of one player in one game."""


class Both(NamedTuple):
    """One statistic that both have."""

    ours: Callable[[Counts], float]
    theirs: Callable[[Counts], float]


def _count(technique: str) -> Callable[[Counts], float]:
    return lambda found: found.get(technique, (0, 0))[0]


def _tries(technique: str) -> Callable[[Counts], float]:
    return lambda found: found.get(technique, (0, 0))[1]


def _failed(technique: str) -> Callable[[Counts], float]:
    return lambda found: _tries(technique)(found) - _count(technique)(found)


def _action(*names: str) -> Callable[[Counts], float]:
    """Sum of action counts, each ``name`` or ``name.part``."""

    def total(found: Counts) -> float:
        parts = [name.split(".") for name in names]
        return sum(found["actions"][name][part[0]] if part else found["actions"][name] for name, *part in parts)

    return total


def _field(name: str) -> Callable[[Counts], float]:
    return lambda found: found[name]


STATISTICS: dict[str, Both] = {
    "L-cancels made": Both(_count("l-cancel"), _action("lCancelCount.success")),
    "L-cancels missed": Both(_failed("l-cancel"), _action("lCancelCount.fail")),
    "techs in place": Both(_count("tech in place"), _action("groundTechCount.neutral")),
    "tech rolls": Both(_count("tech roll"), _action("groundTechCount.in", "groundTechCount.away")),
    "missed techs": Both(_count("missed tech"), _action("groundTechCount.fail")),
    "wavedashes": Both(_count("wavedash"), _action("wavedashCount")),
    "wavelands": Both(_count("waveland"), _action("wavelandCount")),
    "dash-dances": Both(_count("dash-dance"), _action("dashDanceCount")),
    "openings": Both(_count("opening"), _field("openings")),
    "conversions": Both(_count("conversion"), _field("conversions")),
    "kills": Both(_count("kill"), _field("kills")),
    "percent at kills, summed": Both(_field("kill percent"), lambda found: round(found["killPercent"], 1)),
    "neutral wins": Both(_count("neutral win"), _field("neutralWins")),
    "counter-attacks": Both(_count("counter-attack"), _field("counterAttacks")),
    "trades": Both(_count("trade"), _field("trades")),
    "stocks lost": Both(_tries("self-destruct"), _field("stocksLost")),
    "inputs": Both(_field("inputs"), lambda found: found["inputs"]["total"]),
    "damage dealt": Both(_field("damage"), lambda found: round(found["damage"], 1)),
    "damage to hurt players": Both(_field("damage to the hurt"), lambda found: round(found["damage"], 1)),
}

KEPT = {
    "L-cancels missed": (
        0.03,
        "an edge ended the lag, so nothing was missed; slippi-js calls it so if an L-cancel would have been faster",
    ),
    "wavedashes": (
        0.03,
        "landings on platforms, which slippi-js takes for wavedashes after fewer than 5 frames of jump, and the reverse",
    ),
    "wavelands": (0.03, "see wavedashes"),
    "conversions": (0.05, "slippi-js takes the 1 % of the magnifying glass for a hit while the victim tumbles"),
    "neutral wins": (
        0.03,
        "slippi-js calls an escaped grab a counter-attack, and a counter-attack on a conversion that the game cut off a "
        "neutral win",
    ),
    "counter-attacks": (0.03, "see neutral wins"),
    "damage dealt": (
        0.6,
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
    compared = {
        name: [(both.ours(ours[player]), both.theirs(theirs[player])) for player in ours]
        for name, both in STATISTICS.items()
    }
    print(_markdown(compared))  # noqa: T201 (the table is what a run by hand is for)
    for name, pairs in compared.items():
        allowed = KEPT[name][0] if name in KEPT else 0.0
        assert sum(mine != other for mine, other in pairs) <= allowed * len(pairs), name
        assert any(mine for mine, _ in pairs), name


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
    found: dict[tuple[str, str], Counts] = {(row["id"], side): {} for row in rows.to_dicts() for side in SIDES}
    frames = store.frames().filter(pl.col("replay").is_in(rows["id"].to_list()))
    events = find_events(frames)
    names = ("replay", "side", "technique", "count", "tries")
    for replay, side, technique, *counts in (
        count_events(events.lazy(), ["replay", "side"]).select(names).collect().iter_rows()
    ):
        found[replay, side][technique] = counts
    kills = events.filter("success", technique="kill").group_by("replay", "side").agg(pl.col("value").sum())
    percents = {(replay, side): value for replay, side, value in kills.iter_rows()}
    hurt = _damage_to_the_hurt(frames)
    for row in rows.to_dicts():
        minutes = (row["frames"] - FIRST_CONTROLLED_FRAME + FIRST_FRAME) / FRAMES_PER_MINUTE
        for side in SIDES:
            found[row["id"], side] |= {
                "kill percent": round(percents.get((row["id"], side), 0.0), 1),
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


def _markdown(compared: dict[str, list[tuple[float, float]]]) -> str:
    """The table for people."""
    lines = [
        "| statistic | players' games | equal | differing | ours | slippi-js | why |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, pairs in compared.items():
        equal = sum(mine == other for mine, other in pairs)
        mine, other = (round(sum(pair[place] for pair in pairs)) for place in range(2))
        why = KEPT[name][1] if name in KEPT else ""
        lines.append(f"| {name} | {len(pairs)} | {equal} | {len(pairs) - equal} | {mine:,} | {other:,} | {why} |")
    return "\n".join(lines)
