"""Whose games are compared: the bot's sides and people's, and what is said where there are none."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

import dataset.cli
from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError, ExphilError
from dataset.melee.ids import character_from_name
from dataset.stats.likeness import games, likeness
from dataset.stats.likeness.games import bot_players, measure_players, opened, people_players, run_games
from dataset.store.store import Store
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions

MEWTWO = character_from_name("mewtwo")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "RESAMPLES", 200)


def unsaid(line: str) -> None:
    raise AssertionError(line)


def test_of_a_ditto_without_a_cpu_both_players_are_the_bot(generated_store: Path) -> None:
    said: list[str] = []
    players, who = bot_players(Store(generated_store), None, None, said.append)
    assert (who.name, len(players), players["id"].n_unique()) == ("mewtwo", 7, 6)
    assert said == ["1 games are between two mewtwo, and both are counted; --port counts one of them"]
    assert set(bot_players(Store(generated_store), MEWTWO, 1, unsaid)[0]["port"]) == {1}


def test_a_cpu_is_neither_the_bot_in_a_ditto_nor_a_person(
    generated_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(generated_store)
    replays = store.replays().with_columns(type_b=pl.lit("cpu"))
    monkeypatch.setattr(store, "replays", lambda: replays)
    assert bot_players(store, MEWTWO, None, unsaid)[0]["side"].to_list() == ["a"] * 6
    assert people_players(store, MEWTWO, None)["side"].to_list() == ["a"] * 6
    assert len(bot_players(store, character_from_name("marth"), None, unsaid)[0]) == 2, "a CPU may be the bot elsewhere"


def test_the_character_that_is_in_all_games_is_the_bots_and_others_must_be_named(generated_store: Path) -> None:
    store = Store(generated_store)
    players, who = bot_players(store, character_from_name("marth"), None, unsaid)
    assert (who.name, len(players)) == ("marth", 2)
    with pytest.raises(ConfigError, match=r"--character ness: must be played by the bot, found mewtwo \(7\)"):
        bot_players(store, character_from_name("ness"), None, unsaid)


def test_people_who_play_the_character_are_found_in_a_split(generated_store: Path) -> None:
    store = Store(generated_store)
    assert people_players(store, MEWTWO, "train")["id"].n_unique() == 4
    with pytest.raises(ConfigError, match=r"people who play marth in its val split, found mewtwo"):
        people_players(store, character_from_name("marth"), "val")


def test_measured_is_each_side_of_the_player_alone_in_the_games_chosen(generated_store: Path) -> None:
    store = Store(generated_store)
    players = people_players(store, MEWTWO, None)
    whole = measure_players(store, players, None)
    assert (whole.games, whole.minutes, len(whole.measured.sums)) == (6, round(7 * (2400 - 84) / 3600, 2), 7)
    few = measure_players(store, players, 2)
    assert (few.games, few.games_there) == (2, 6)
    assert set(few.measured.values["replay"]) <= set(few.measured.sums["replay"])


def test_a_folder_of_replays_becomes_a_store_of_all_its_games(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_child(*arguments: str, say: Any) -> tuple[dict[str, Any], list[str]]:
        assert {"--include-cpu", "--keep-all"} < set(arguments)
        options = IngestOptions(include_cpu=True, keep_all=True, workers=1)
        report = ingest([arguments[1]], arguments[3], options)
        return {"replays_found": report.replays_found, "failures": report.failures}, []

    monkeypatch.setattr(games, "run_child", run_child)
    (tmp_path / "replays").mkdir()
    generate_replay(tmp_path / "replays" / "short.slp", seed=3, frames=400)
    (tmp_path / "replays" / "broken.slp").write_bytes(b"{U")
    said: list[str] = []
    with opened(tmp_path / "replays", said.append) as store:
        players, _ = bot_players(store, MEWTWO, None, unsaid)
        assert measure_players(store, players, None).games == 1, (
            "the ingest for training would leave it out as too short"
        )
    assert len(said) == 1
    assert "1 replays cannot be read" in said[0]
    assert not Path(store.path).exists()
    (tmp_path / "empty").mkdir()
    for folder, reason in ((tmp_path / "none", "must be a folder"), (tmp_path / "empty", "needs replays of games")):
        with pytest.raises(ConfigError, match=reason), opened(folder, unsaid):
            pass


def test_a_run_has_its_games_in_its_folder_or_is_told_how_to_get_some(tmp_path: Path) -> None:
    run = tmp_path / "first"
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"config": {"data": {"character": "mewtwo"}}}), encoding="utf-8")
    command = f"exphil arena {run} --save-replays {run / 'replays'}"
    with pytest.raises(ConfigError, match="needs games that the run played") as caught:
        run_games(str(run))
    assert command in str(caught.value)
    (run / "replays").mkdir()
    (run / "replays" / "game.slp").touch()
    assert run_games(str(run)) == (run / "replays", MEWTWO)


def stats(*arguments: object) -> Any:
    app = typer.Typer()
    dataset.cli.register(app)
    return CliRunner().invoke(app, ["stats", *map(str, arguments)])


def test_the_query_prints_every_statistic_and_writes_a_page_without_network(
    generated_store: Path, tmp_path: Path
) -> None:
    page = tmp_path / "likeness.html"
    sides = ["--query", "likeness", "--replays", generated_store, "--against", generated_store]
    done = stats(*sides, "--html", page, "--json")
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["character"] == "mewtwo"
    assert answer["bot"] == answer["people"] == {"games": 6, "games_there": 6, "minutes": 4.5}
    assert {row["verdict"] for row in answer["rows"]} <= {"like a person", "unclear", "unknown"}, (
        "they are the same games"
    )
    text = page.read_text(encoding="utf-8")
    assert all(row["statistic"] in text for row in answer["rows"])
    assert "http" not in text
    assert "<script" not in text
    csv = stats(*sides, "--csv").stdout
    assert csv.startswith(
        "statistic,unit,verdict,outside,bot,bot_low,bot_high,people,people_low,people_high,definition\n"
    )
    assert csv.count("\n") == len(answer["rows"]) + 1
    shown = stats(*sides).stdout
    assert "No statistic lies surely outside people's spread." in shown


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--query", "likeness", "--store", "s"], "--store: has no effect with --query likeness"),
        (["--query", "likeness", "--replays", "r"], "--against STORE"),
        (["--query", "likeness", "--against", "s"], "--run RUN or --replays FOLDER"),
        (["--query", "likeness", "--run", "r", "--replays", "r", "--against", "s"], "one of them"),
        (["--store", "s", "--run", "r"], "--run r: concerns --query likeness alone"),
        (["--query", "summary"], "--store: every query but likeness needs a store"),
        (["--query", "likeness", "--replays", "r", "--against", "s", "--csv", "--json"], "--csv and --json"),
    ],
)
def test_an_option_that_cannot_take_effect_is_refused(arguments: Sequence[str], reason: str) -> None:
    error = stats(*arguments).exception
    assert isinstance(error, ExphilError)
    assert reason in str(error)
