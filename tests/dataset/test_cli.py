import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import dataset.cli
from dataset.errors import ConfigError

HEAVY = ("numpy", "polars", "pyarrow", "rich.table", "zstandard")


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    app = typer.Typer()
    dataset.cli.register(app)
    return app


def _json(app: typer.Typer, *arguments: object) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_importing_the_commands_imports_nothing_heavy() -> None:
    code = f"import sys, dataset.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_verify_prints_a_table_and_exits_0(app: typer.Typer, generated_store: Path) -> None:
    result = CliRunner().invoke(app, ["verify", "--store", str(generated_store)])
    assert result.exit_code == 0
    assert "every check holds" in result.stdout
    assert "FAILED" not in result.stdout


def test_verify_exits_1_and_names_the_fault(app: typer.Typer, store: Path) -> None:
    (store / "windows/train-000000.tar").unlink()
    result = CliRunner().invoke(app, ["verify", "--store", str(store), "--quick"])
    assert result.exit_code == 1
    assert "NOT in order" in result.stdout
    assert "windows/train-000000.tar is missing" in result.stdout


def test_stats_answer_as_table_csv_and_json(app: typer.Typer, generated_store: Path) -> None:
    asked = ["stats", "--store", str(generated_store), "--query", "stages"]
    assert "battlefield" in CliRunner().invoke(app, asked).stdout
    rows = list(csv.DictReader(io.StringIO(CliRunner().invoke(app, [*asked, "--csv"]).stdout)))
    assert {row["stage"]: row["games"] for row in rows}["battlefield"] == "1"
    assert [row["stage"] for row in _json(app, *asked)["rows"]] == [row["stage"] for row in rows]


def test_stats_default_to_the_summary(app: typer.Typer, generated_store: Path) -> None:
    rows = _json(app, "stats", "--store", generated_store)["rows"]
    assert [(row["replays"], row["frames"]) for row in rows] == [(6, 14_400)]


def test_an_answer_without_rows_says_so(app: typer.Typer, generated_store: Path) -> None:
    sql = "select id from replays where frames < 0"
    result = CliRunner().invoke(app, ["stats", "--store", str(generated_store), "--sql", sql])
    assert result.stderr == f"no rows; 'exphil stats --store {generated_store}' says what the store holds\n"


def test_stats_of_a_character_and_sql_reach_the_store(app: typer.Typer, generated_store: Path) -> None:
    rows = _json(app, "stats", "--store", generated_store, "--query", "characters", "--character", "falco")["rows"]
    assert [(row["character"], row["games"]) for row in rows] == [("falco", 1)]
    rows = _json(app, "stats", "--store", generated_store, "--sql", "select count(*) as n from frames")["rows"]
    assert rows == [{"n": 14_400}]


def test_conduct_is_of_the_character_split_and_number_of_games_asked_for(
    app: typer.Typer, generated_store: Path
) -> None:
    query = ("stats", "--store", generated_store, "--query", "conduct", "--character", "fox")
    (row,) = _json(app, *query)["rows"]
    assert (len(row["games"]), row["games_there"]) == (2, 2)
    (row,) = _json(app, *query, "--split", "train", "--games", "1")["rows"]
    assert (len(row["games"]), row["games_there"]) == (1, 2)
    shown = CliRunner().invoke(app, [*map(str, query), "--games", "1"])
    assert "recoveries made" in shown.stdout
    assert "1 of 2 games, 1 minutes of play" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sql", "select 1", "--query", "stages"], "--sql: replaces"),
        (["--sql", "select 1", "--character", "fox"], "--sql: replaces"),
        (["--csv", "--json"], "one output at a time"),
        (["--sql", "select 1", "--by-player"], "--sql: replaces"),
        (["--port", "1"], "--port 1: separates the players' techniques"),
        (["--by-player"], "--by-player: separates the players' techniques"),
        (["--query", "vibes"], "query 'vibes': unknown; use one of summary"),
        (["--games", "3"], "--games 3: concerns the queries conduct and likeness"),
        (["--query", "stages", "--split", "val"], "--split val: concerns the queries conduct and likeness"),
        (["--query", "conduct", "--split", "eval"], "--split 'eval': unknown; use one of train, val, test"),
        (["--query", "conduct", "--port", "1"], "--port: has no effect with --query conduct"),
        (["--query", "conduct", "--csv"], "--csv: has no effect with --query conduct"),
        (["--character", "waluigi"], "character 'waluigi': unknown"),
    ],
)
def test_settings_that_cannot_take_effect_are_errors(
    app: typer.Typer, generated_store: Path, arguments: list[str], message: str
) -> None:
    result = CliRunner().invoke(app, ["stats", "--store", str(generated_store), *arguments])
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)


def test_encode_says_what_it_wrote_and_what_to_do_next(app: typer.Typer, store: Path) -> None:
    result = CliRunner().invoke(app, ["encode", "--store", str(store), "--codec", "axis17"])
    assert "14,400 frames in 4 window shards, codec axis17" in result.stdout
    assert f"next: exphil verify --store {store}" in result.stderr


def test_encode_takes_a_condition_and_says_how_many_replays_it_leaves_out(app: typer.Typer, store: Path) -> None:
    found = _json(app, "encode", "--store", store, "--where", "character_b = 1")
    assert (found["replays"], found["left"]) == (2, 4)
    result = CliRunner().invoke(app, ["encode", "--store", str(store)])
    assert "4 replays left out" in result.stdout
    assert _json(app, "encode", "--store", store, "--where", "")["left"] == 0


@pytest.mark.parametrize("other", [("--codec", "axis17"), ("--where", "")])
def test_encode_writes_quality_again_and_refuses_what_concerns_windows_beside_it(
    app: typer.Typer, store: Path, other: tuple[str, str]
) -> None:
    found = _json(app, "encode", "--store", store, "--quality")
    assert (found["replays"], found["left"], found["frames"]) == (6, 0, 14_400)
    result = CliRunner().invoke(app, ["encode", "--store", str(store), "--quality", *other])
    assert isinstance(result.exception, ConfigError)
    assert "beside --quality" in str(result.exception)
