"""Technique statistics of kept replays, by the commands that a user would give."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import ExphilError
from play.commands.play import statistics_of
from play.games.statistics import likeness, make_store, technique_rows
from play.launch import Outcome
from play.loop.runner import Report
from play.options import PlayOptions

PLAYED = Outcome(
    report=Report(), log=Path("log/session.jsonl"), replays=(Path("a.slp"), Path("b.slp")), character="mewtwo", port=2
)


class Shell:
    """Answers commands without running them."""

    def __init__(self, *answers: dict[str, Any] | ExphilError) -> None:
        self.answers, self.commands = list(answers), list[list[str]]()

    def run_child(self, *arguments: str, say: Any) -> tuple[dict[str, Any], list[str]]:
        answer = self.answers[len(self.commands)]
        self.commands.append(list(arguments))
        if isinstance(answer, ExphilError):
            raise answer
        return answer, []


def test_two_commands_make_a_store_and_ask_it_for_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"technique": "wavedash", "count": 3}]
    shell = Shell({"frames": 9}, {"rows": rows})
    monkeypatch.setattr("play.games.statistics.run_child", shell.run_child)
    said: list[str] = []
    assert statistics_of(PLAYED, PlayOptions(), said.append) == {"techniques": rows, "likeness": None}
    store = str(Path("log/store"))
    assert shell.commands == [
        [
            *("ingest", "a.slp", "b.slp", "--store", store),
            *("--include-cpu", "--keep-all", "--min-frames", "600", "--workers", "1"),
        ],
        ["stats", "--store", store, "--query", "techniques", "--character", "mewtwo", "--port", "2"],
    ]
    assert [line.split()[:3] for line in said] == [["$", "exphil", "ingest"], ["$", "exphil", "stats"]]


def test_with_a_store_of_people_it_is_asked_what_is_most_unlike_them(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"summary": ["Of 9 statistics 9 are like a person."]}
    shell = Shell({"frames": 9}, answer)
    monkeypatch.setattr("play.games.statistics.run_child", shell.run_child)
    options = PlayOptions(store="people", as_json=True)
    online = replace(PLAYED, port=None)
    assert statistics_of(online, options, lambda line: None) == {"techniques": None, "likeness": answer}
    who = ("--replays", str(Path("log/store")), "--character", "mewtwo")
    assert shell.commands[1:] == [["stats", "--query", "likeness", *who, "--against", "people"]]


def test_what_needs_replays_says_so_where_dolphin_kept_none() -> None:
    said: list[str] = []
    assert statistics_of(replace(PLAYED, replays=()), PlayOptions(store="people"), said.append)["likeness"] is None
    assert said == ["--store: needs the replays that Dolphin keeps, found none of these games"]
    assert statistics_of(replace(PLAYED, replays=()), PlayOptions(), said.append)["techniques"] is None
    assert len(said) == 1


def test_a_command_that_fails_is_told_and_ends_the_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = Shell(ExphilError("peppi_py is not installed"))
    monkeypatch.setattr("play.games.statistics.run_child", shell.run_child)
    said: list[str] = []
    assert not make_store(PLAYED.replays, Path("store"), said.append)
    assert said[-1] == "statistics: the command above must succeed, found: peppi_py is not installed"
    assert len(shell.commands) == 1


@pytest.mark.slow
def test_a_duel_has_techniques_and_is_like_itself(tmp_path: Path) -> None:
    generate_replay(tmp_path / "duel.slp", seed=1)
    store = tmp_path / "store"
    assert make_store([tmp_path / "duel.slp"], store, print)
    rows = technique_rows(store, "mewtwo", None, print)
    assert rows is not None
    assert {row["character"] for row in rows} == {"mewtwo"}
    assert {"approach", "kill"} <= {row["technique"] for row in rows}
    answer = likeness(store, "mewtwo", None, str(store), print)
    assert answer is not None
    assert answer["summary"][-1] == "No statistic lies surely outside people's spread."
