"""Conduct in the arena: exact in a game whose every press is known, and the same in a store of the saved replays."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import chain, cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from dataset.duels.duel import ENTRY_FRAMES
from dataset.melee.controller import BUTTONS, A
from dataset.melee.ids import character_from_name
from dataset.stats.bootstrap import Bootstrap
from dataset.stats.conduct.conduct import Conduct, TechniqueCounts, conduct_of, sums_of
from dataset.stats.conduct.people import measure_people
from dataset.stats.conduct.tally import Tally
from dataset.stats.conduct.techniques import count_filmed
from dataset.store.store import Store
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions
from play.arena import imitated
from play.arena.film import Film
from play.arena.imitated import measure_imitated
from play.worlds.duel import DuelWorld
from play.worlds.world import Match
from tests.play.builders import random_run
from tests.play.worlds.test_duel import random_controllers
from train.config.run_config import DataConfig, RunConfig
from train.runs.checkpoint import run_record
from train.runs.run_folder import save_record

STILL, BETWEEN, PRESSES = 200, 40, 7


def known_pads() -> Iterator[tuple[int, ...]]:
    """Stand still for ``STILL`` frames, jab seven times, then run to the right, never with the same stick for two frames."""
    yield from [(0,) * 6] * (
        ENTRY_FRAMES - 2 + STILL
    )  # two: of the first frame, and the last of the entrance, who stands
    for _ in range(PRESSES):
        yield (0, 0, 0, 0, 0, A)
        yield from [(0,) * 6] * (BETWEEN - 1)
    for reach in cycle((80, 79)):
        yield (reach, 0, 0, 0, 0, 0)


def test_a_game_whose_every_press_is_known_is_counted_exactly() -> None:
    world, tally = DuelWorld(), Tally(1)
    tally.add(world.reset([Match(("mewtwo", "fox"), "final_destination", 0)]))
    for pad in known_pads():
        controllers = np.zeros((1, 2, 6), np.int32)
        controllers[0, 0] = pad
        tally.add(world.step(controllers))
        if tally.stocks_lost.any():
            break
    names = [name for name, _ in BUTTONS]
    assert dict(zip(names, tally.presses[0, 0].tolist(), strict=True)) == dict.fromkeys(names, 0) | {"a": PRESSES}
    counted = (tally.attack_presses, tally.attacks, tally.repeats, tally.stocks_lost, tally.self_destructs)
    assert [each[0].tolist() for each in counted] == [[PRESSES, 0], [PRESSES, 0], [PRESSES - 1, 0], [1, 0], [1, 0]]
    assert tally.recoveries.tolist() == [[2, 0]], "it catches the ledge, hangs until it must let go, and falls"
    assert tally.recovered.tolist() == [[1, 0]]
    assert tally.longest_freeze.tolist() == [[STILL, tally.frames[0] - ENTRY_FRAMES + 1]]
    assert tally.frozen.tolist() == tally.longest_freeze.tolist()
    assert tally.off_stage[0, 1] == 0 < tally.off_stage[0, 0]


MATCHES = [
    Match(("mewtwo", "fox"), "final_destination", 1, (None, 3)),
    Match(("marth", "mewtwo"), "battlefield", 2, (3, None)),
    Match(("mewtwo", "fox"), "dream_land", 3, (None, 2)),
]
"""Mewtwo's controllers come from outside: in the first game it runs to the right until it has no stock left."""


class Played(NamedTuple):
    """What an arena keeps of its games, and a store of their saved replays."""

    tally: Tally
    techniques: TechniqueCounts
    store: Store


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("played")
    (folder / "replays").mkdir()
    world, tally = DuelWorld(), Tally(len(MATCHES))
    controllers = random_controllers(0, 2400, len(MATCHES))
    controllers[:, 0, 0] = [80, 0, 0, 0, 0, 0]
    with closing(Film(folder / "film")) as film:
        for frames in chain([world.reset(MATCHES)], map(world.step, controllers)):
            tally.add(frames)
            film.add(frames)
        film.end(tally.frames)
    for game in range(len(MATCHES)):
        world.save(game, folder / "replays" / f"{game}.slp")
    ingest([folder / "replays"], folder / "store", IngestOptions(workers=1, min_frames=1, include_cpu=True))
    return Played(tally, count_filmed(film.folder), Store(folder / "store"))


def of_arena(played: Played, name: str) -> Conduct:
    """The conduct of a character as the arena counted it."""
    who = np.array([[character == name for character in match.characters] for match in MATCHES])
    sums = sums_of(played.tally, who, played.techniques)
    return conduct_of(sums, Bootstrap(sums, seed=0))


def values(conduct: Conduct) -> dict[str, Any]:
    """Conduct without intervals, which depend on the order of the games, and without L-cancels, which only replays tell."""
    told = asdict(conduct)
    techniques = {
        name: {part: value["value"] if isinstance(value, dict) else value for part, value in each.items()}
        for name, each in told.pop("techniques").items()
        if name != "l-cancel"
    }
    flat = {name: value["value"] if name in RATES else value for name, value in told.items()}
    return flat | {"techniques": techniques}


RATES = ("presses_per_attack", "repeated_attacks", "frozen", "off_stage", "recovered")


def test_a_store_of_the_saved_replays_gives_the_very_figures_that_the_arena_counted(played: Played) -> None:
    ends = played.tally.frames
    assert ends[0] < ends[1], "the replay of the first game goes on for a second after the last stock"
    for name in ("mewtwo", "fox", "marth"):
        found = measure_people(played.store, character_from_name(name)).conduct
        assert values(found) == values(of_arena(played, name))
    own = of_arena(played, "mewtwo")
    assert (own.recoveries, own.techniques["djc aerial"].tries) > (4, 0)


def test_l_cancels_are_not_told_in_the_arena_and_told_in_replays(played: Played) -> None:
    fox = character_from_name("fox")
    assert of_arena(played, "fox").techniques["l-cancel"] is None
    assert measure_people(played.store, fox).conduct.techniques["l-cancel"].tries > 0


def test_whom_runs_imitate_is_measured_once_a_character_and_said(
    played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = measure_people(played.store, character_from_name("mewtwo"))
    asked: list[tuple[str, ...]] = []

    def run_child(*arguments: str, say: object) -> tuple[dict[str, Any], list[str]]:
        asked.append(arguments)
        return {"rows": [json.loads(json.dumps(asdict(people)))]}, []

    monkeypatch.setattr(imitated, "run_child", run_child)
    runs = [random_run(tmp_path / name, character=who) for name, who in (("a", "mewtwo"), ("b", "mewtwo"), ("c", None))]
    config = RunConfig(data=DataConfig(character="mewtwo"))
    save_record(runs[0], run_record(config, data={"train": {"ids": [*people.games[:2], "another"]}}))
    said: list[str] = []
    assert measure_imitated([*map(str, runs)], "there", said.append) == [people.conduct] * 3
    query = ("stats", "--store", "there", "--query", "conduct", "--split", "train")
    assert asked == [(*query, "--character", "mewtwo"), query]
    assert "run a: imitates mewtwo" in said[0]
    assert "3 of 3 train games of there (2 of them it was trained on)" in said[0]
    assert "run c: imitates all players" in said[2]
