"""Arenas: who meets whom, what is saved, and what is refused before anything is played."""

import io
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from dataset.errors import ConfigError
from play.arena.arena import ArenaOptions, Outcome, hold_arena
from play.arena.watch import Watch
from play.worlds.world import WorldKind
from tests.play.arena.builders import Fields
from tests.play.builders import random_run

made: list[Fields] = []


def make(limit: int) -> Fields:
    made.append(Fields(limit))
    return made[-1]


FIELDS = WorldKind(characters=("mewtwo", "fox", "falco"), levels=(1, 2), longest=600, make=make, own_player="scripted")
PLAIN = replace(FIELDS, own_player=None, levels=(), can_save=False)
"""A world that can do no more than it must."""
TURNS = replace(FIELDS, own_characters=("fox",), at_once=3)
"""A world that plays three games at once, whose own player plays Fox only."""
WORLDS = {"fields": lambda: FIELDS, "plain": lambda: PLAIN, "turns": lambda: TURNS}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("arena")
    return [
        str(random_run(folder / name, delay=delay, hidden=hidden, character=character))
        for name, delay, hidden, character in (
            ("first", 0, 16, "mewtwo"),
            ("second", 2, 17, "fox"),
            ("third", 1, 18, None),
        )
    ]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("play.arena.ratings.RESAMPLES", 10)


def hold(
    *run: str, say: Callable[[str], None] = lambda line: None, watch: Watch | None = None, **options: Any
) -> Outcome:
    values: dict[str, Any] = {"world": "fields", "games": 4, "seconds": 0.5} | options
    return hold_arena(ArenaOptions(runs=run, **values), WORLDS, say, lambda about, done, total: None, watch=watch)


def met(outcome: Outcome) -> list[tuple[str, str]]:
    return [(row.run, row.against) for row in outcome.rows]


def test_one_run_meets_the_scripted_player_with_all_its_characters(runs: Sequence[str]) -> None:
    outcome = hold(runs[0], games=8)
    assert met(outcome) == [("first", "scripted")]
    assert (outcome.rows[0].games, outcome.names, outcome.replays) == (8, ["first"], [])
    seats = [(dict(zip(match.characters, match.levels, strict=True)), match.stage) for match in made[-1].matches]
    assert all(levels["mewtwo"] is None for levels, _ in seats)
    assert [max(level or 0 for level in levels.values()) for levels, _ in seats] == [2] * 8
    assert {name for levels, _ in seats for name in levels} == {"mewtwo", "fox", "falco"}
    assert len({stage for _, stage in seats}) == 4


def test_a_world_without_a_player_of_its_own_lets_runs_play_each_other_and_every_world_is_closed(
    runs: Sequence[str],
) -> None:
    assert met(hold(runs[0], world="plain", against="self")) == [("first", "self")]
    assert made[-1].is_closed


def test_games_in_turns_are_the_same_games(runs: Sequence[str], tmp_path: Path) -> None:
    whole, turns = (hold(runs[0], world=world, against=runs[1], games=7) for world in ("fields", "turns"))
    assert turns.rows == whole.rows
    assert [len(world.matches) for world in made[-3:]] == [3, 3, 1]
    outcome = hold(runs[0], world="turns", against=runs[1], games=4, save_replays=tmp_path / "replays")
    assert [path.name for path in outcome.replays] == [f"first-second-{number:04d}.slp" for number in range(4)]
    assert [world.saved for world in made[-2:]] == [[0, 1, 2], [0]]


def test_a_worlds_own_player_plays_only_what_it_can(runs: Sequence[str]) -> None:
    hold(runs[0], world="turns", games=4)
    assert {name for world in made[-2:] for match in world.matches for name in match.characters} == {"mewtwo", "fox"}
    with pytest.raises(ConfigError, match="character in turns 'falco': unknown; use one of fox"):
        hold(runs[0], world="turns", opponent_characters=["falco"])
    hold(runs[0], world="turns", against="self", opponent_characters=["falco"])


def test_several_runs_meet_it_and_each_other(runs: Sequence[str]) -> None:
    outcome = hold(*runs, character="falco")
    pairs = [("first", "second"), ("first", "third"), ("second", "third")]
    assert met(outcome) == [("first", "scripted"), ("second", "scripted"), ("third", "scripted"), *pairs]
    assert outcome.names == ["first", "second", "third"]
    assert outcome.matrix[0][0] is None
    assert len({match.seed for world in made[-6:] for match in world.matches}) == 6 * 4


def test_several_runs_and_whom_they_met_are_rated(runs: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def rated(*run: str, **options: Any) -> dict[str, bool] | None:
        """Who is rated, and whether with an interval."""
        ratings = hold(*run, games=2, **options).ratings
        return None if ratings is None else {each.run: each.low is not None for each in ratings}

    assert rated(runs[0]) == {}
    assert rated(*runs[:2]) == {"scripted": False, "first": True, "second": True}
    assert rated(*runs[:2], against="self") == {"first": True, "second": True}
    met_a_run = rated(runs[0], runs[2], character="fox", against=runs[1])
    assert met_a_run == {"first": True, "second": True, "third": True}
    monkeypatch.setitem(sys.modules, "choix", None)
    said: list[str] = []
    assert rated(*runs[:2], say=said.append) is None
    assert "choix, which is not installed" in said[-1]
    assert "exphil[arena]" in said[-1]


def test_a_run_may_meet_itself_or_a_run_that_meets_nobody_else(runs: Sequence[str]) -> None:
    assert met(hold(runs[0], against="self")) == [("first", "self")]
    assert {match.characters for match in made[-1].matches} == {("mewtwo", "mewtwo")}
    assert met(hold(runs[0], against=runs[1])) == [("first", "second")]
    assert {match.characters for match in made[-1].matches} == {("mewtwo", "fox"), ("fox", "mewtwo")}
    assert {match.levels for match in made[-1].matches} == {(None, None)}


def test_the_same_seed_gives_the_same_games_and_another_seed_others(runs: Sequence[str]) -> None:
    one, again, other = (hold(runs[0], seed=seed) for seed in (1, 1, 2))
    assert one.rows == again.rows
    assert one.rows != other.rows


def test_watching_changes_no_result(runs: Sequence[str]) -> None:
    drawn = io.StringIO()
    terminal = Console(file=drawn, force_terminal=True, width=100, height=30)
    with Watch(terminal, sleep=lambda seconds: None) as watch:
        watched = hold(runs[0], against=runs[1], games=2, watch=watch)
    assert watched.rows == hold(runs[0], against=runs[1], games=2).rows
    assert "1 first" in drawn.getvalue()
    assert "2 second" in drawn.getvalue()


def test_temperature_reaches_the_policy(runs: Sequence[str]) -> None:
    assert hold(runs[0]).rows != hold(runs[0], temperature=0.2).rows


def test_every_game_is_saved(runs: Sequence[str], tmp_path: Path) -> None:
    outcome = hold(runs[0], against=runs[1], save_replays=tmp_path / "new" / "replays", games=2)
    assert [path.name for path in outcome.replays] == ["first-second-0000.slp", "first-second-0001.slp"]
    assert all(path.is_file() for path in outcome.replays)
    assert made[-1].saved == [0, 1]
    with pytest.raises(ConfigError, match=r"--save-replays .*first-second-0000\.slp; give another folder"):
        hold(runs[0], against=runs[1], save_replays=tmp_path / "new" / "replays", games=3)


def test_an_arena_that_is_stopped_while_it_saves_leaves_whole_replays_only(
    runs: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(self: Fields, game: int, path: Path) -> None:
        path.write_bytes(b"half a rep" if game else b"a replay")
        if game:
            raise KeyboardInterrupt

    monkeypatch.setattr(Fields, "save", stopped)
    with pytest.raises(KeyboardInterrupt):
        hold(runs[0], save_replays=tmp_path, games=3)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"first-scripted-0000.slp": b"a replay"}
    monkeypatch.undo()
    with pytest.raises(ConfigError, match=r"--save-replays .*first-scripted-0000\.slp"):
        hold(runs[0], save_replays=tmp_path, games=3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_arena_that_is_killed_leaves_no_film_behind(
    runs: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    filmed: list[int] = []

    def kill(about: str, done: int, total: int) -> None:
        filmed.append(len(list(tmp_path.iterdir())))
        os.kill(os.getpid(), number)

    before = signal.signal(number, lambda *_: None)  # a test that fails must not end its process
    try:
        with pytest.raises(KeyboardInterrupt):
            hold_arena(ArenaOptions(runs=runs[:1], world="fields", games=2, seconds=0.5), WORLDS, print, kill)
        assert signal.getsignal(number) is not signal.default_int_handler
    finally:
        signal.signal(number, before)
    assert filmed == [1]
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_frames_of_all_pairings(runs: Sequence[str]) -> None:
    seen: list[tuple[str, int, int]] = []
    options = ArenaOptions(runs=runs[:2], world="fields", games=3, seconds=0.5)
    hold_arena(options, WORLDS, lambda line: None, lambda *progress: seen.append(progress))
    assert seen[0] == ("first against scripted", 1, 90)
    assert {about for about, _, _ in seen} == {
        "first against scripted",
        "second against scripted",
        "first against second",
    }
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_runs_are_introduced(runs: Sequence[str]) -> None:
    said: list[str] = []
    options = ArenaOptions(runs=runs[1:2], world="fields", games=1, seconds=0.1)
    hold_arena(options, WORLDS, said.append, lambda about, done, total: None)
    (line,) = said
    assert "run second: PyTorch" in line
    assert "delay 2, plays fox" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"world": "melee"}, "--world 'melee': unknown; use one of fields, plain, turns"),
        ({"against": "cup"}, "--against cup: in fields must be scripted, self or a run, found none of them"),
        ({"world": "plain"}, "--world plain: has no player of its own.*give --against self or a run"),
        ({"world": "plain", "against": "scripted"}, "--against scripted: in plain must be self or a run, found none"),
        ({"world": "plain", "against": "self", "level": 1}, "--level 1: .*no effect with --against self"),
        ({"world": "plain", "against": "self", "save_replays": Path("r")}, "--save-replays r: plain writes no replays"),
        ({"against": "self", "level": 1}, "--level 1: .*no effect with --against self"),
        ({"level": 7}, "--level '7': unknown; use one of 1, 2"),
        ({"seconds": 0}, "--seconds 0: games in fields last up to 10 seconds; choose at least 0.02"),
        ({"seconds": 11}, "--seconds 11: games in fields last up to 10 seconds"),
        ({"seconds": float("inf")}, "--seconds inf: games in fields last up to 10 seconds"),
        ({"seconds": float("nan")}, "--seconds nan: games in fields last up to 10 seconds"),
        ({"stages": ["battlefield", "hyrule"]}, "stage 'hyrule': unknown"),
        ({"opponent_characters": ["peach"]}, "character in fields 'peach': unknown; use one of mewtwo, fox, falco"),
        ({"character": "peach"}, "character in fields 'peach': unknown"),
        ({"temperature": 0.0}, "--temperature 0.0: must be a number above 0"),
        ({"temperature": float("inf")}, "--temperature inf: must be a number above 0"),
        ({"save_replays": Path("/proc/x")}, "--save-replays /proc/x: needs a folder that can be written to"),
    ],
)
def test_what_cannot_be_played_is_refused(runs: Sequence[str], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        hold(runs[0], **options)


def test_a_run_that_imitates_everybody_needs_a_character(runs: Sequence[str]) -> None:
    with pytest.raises(
        ConfigError, match=r"run third: imitates everybody.*give --character, one of mewtwo, fox, falco"
    ):
        hold(runs[2])


@pytest.mark.parametrize("against", ["scripted", "named again"])
def test_a_run_takes_part_once(runs: Sequence[str], against: str) -> None:
    named = [runs[0], f"{runs[0]}/best.safetensors"]
    with pytest.raises(ConfigError, match="each is named once, found one twice"):
        hold(*named) if against == "scripted" else hold(named[0], against=named[1])


def test_folders_called_alike_are_told_apart_by_their_paths(runs: Sequence[str], tmp_path: Path) -> None:
    twin = str(random_run(tmp_path / "first", hidden=19))
    assert met(hold(runs[0], against=twin)) == [(runs[0], twin)]


@pytest.mark.parametrize("name", ["self", "scripted"])
def test_a_run_called_as_another_player_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"run {name}: must not be called what --against calls another player"):
        hold(str(random_run(tmp_path / name)))


def test_replays_of_runs_whose_names_look_alike_as_files_are_all_saved(tmp_path: Path) -> None:
    alike = [str(random_run(tmp_path / name, hidden=19 + place)) for place, name in enumerate(("a b", "a_b"))]
    outcome = hold(*alike, games=2, save_replays=tmp_path / "saved")
    assert len(set(outcome.replays)) == len(list((tmp_path / "saved").iterdir())) == 6


@pytest.mark.parametrize("options", [{"level": 7}, {"opponent_characters": ["peach"]}])
def test_what_is_asked_of_the_opponent_is_checked_before_runs_are_loaded(
    runs: Sequence[str], options: dict[str, Any]
) -> None:
    said: list[str] = []
    with pytest.raises(ConfigError, match="unknown"):
        hold(runs[0], say=said.append, **options)
    assert said == []


def test_every_pairing_is_filmed_and_gets_its_techniques(runs: Sequence[str]) -> None:
    filmed: list[tuple[int, list[int]]] = []

    def count(folders: Sequence[Path]) -> list[dict[str, NDArray[np.int64]]]:
        for folder in folders:
            lengths = np.load(folder / "lengths.npy").tolist()
            frames = np.fromfile(folder / "frames.bin", np.float32).reshape(-1, len(lengths), 2, 5)
            filmed.append((len(frames), lengths))
        return [{"wavedash": np.full((3, 4, 2), number)} for number in range(len(folders))]

    options = ArenaOptions(runs=runs[:2], world="fields", games=4, seconds=0.5)
    outcome = hold_arena(options, WORLDS, lambda line: None, lambda *progress: None, count=count)
    rates = [row.conduct.techniques["wavedash"] for row in outcome.rows]
    assert [technique and technique.count for technique in rates] == [0, 4, 8]
    assert [longest for longest, _ in filmed] == [max(lengths) for _, lengths in filmed]
    assert sum(sum(lengths) for _, lengths in filmed) == outcome.game_frames


def test_rows_of_a_run_tell_whom_it_imitates(runs: Sequence[str]) -> None:
    plain = hold(*runs[:2]).rows
    imitated = [replace(plain[0].conduct, recoveries=number) for number in (7, 8)]
    options = ArenaOptions(runs=runs[:2], world="fields", games=4, seconds=0.5)
    outcome = hold_arena(options, WORLDS, lambda line: None, lambda *progress: None, imitated=imitated)
    told = [row.conduct_of_imitated and row.conduct_of_imitated.recoveries for row in outcome.rows]
    assert told == [7, 8, 7]
    assert {row.conduct_of_imitated for row in plain} == {None}


def compared(said: list[str], compare: Any, *run: str, **options: Any) -> Outcome:
    asked = ArenaOptions(runs=run, **({"world": "fields", "games": 4, "seconds": 0.5} | options))
    return hold_arena(asked, WORLDS, said.append, lambda *progress: None, compare=compare)


def test_games_of_each_run_against_whom_all_meet_are_compared_with_people(runs: Sequence[str], tmp_path: Path) -> None:
    asked: list[tuple[str, list[Path]]] = []

    def compare(character: str, replays: Sequence[Path]) -> dict[str, Any]:
        assert all(path.is_file() for path in replays)
        asked.append((character, list(replays)))
        return {"character": character}

    outcome = compared([], compare, *runs[:2])
    assert outcome.likeness == [{"character": "mewtwo"}, {"character": "fox"}]
    assert [len(replays) for _, replays in asked] == [4, 4]
    assert outcome.replays == [], "they were written to be compared, not to be kept"
    assert not any(path.exists() for _, replays in asked for path in replays)
    saved = compared([], compare, runs[0], save_replays=tmp_path)
    assert asked[-1] == ("mewtwo", saved.replays)


def test_games_that_do_not_tell_who_the_run_is_are_not_compared_and_it_is_said(runs: Sequence[str]) -> None:
    said: list[str] = []
    options = {"against": runs[1], "opponent_characters": ["mewtwo"]}
    assert compared(said, lambda *games: {}, runs[0], **options).likeness == [None]
    assert "run first: not compared with people, since second plays mewtwo, too" in said[-1]
    assert compared(said, lambda *games: {"itself": True}, runs[0], against="self").likeness == [{"itself": True}]
    assert compared(said, lambda *games: {}, runs[0], world="plain", against="self").likeness == [None]
    assert "run first: not compared with people, since this world writes no replays" in said[-1]
