"""Technique statistics of kept replays, by the commands that a user would give."""

from pathlib import Path
from typing import Any

import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import ExphilError
from play.commands.play import technique_rows

REPLAYS = [Path("a.slp"), Path("b.slp")]


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


def test_two_commands_make_a_store_and_ask_it_for_the_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"technique": "wavedash", "count": 3}]
    shell = Shell({"frames": 9}, {"rows": rows})
    monkeypatch.setattr("play.commands.play.run_child", shell.run_child)
    assert technique_rows(REPLAYS, Path("store"), "mewtwo", 2) == rows
    assert shell.commands == [
        [
            *("ingest", "a.slp", "b.slp", "--store", "store"),
            *("--include-cpu", "--min-frames", "600", "--workers", "1"),
        ],
        ["stats", "--store", "store", "--query", "techniques", "--character", "mewtwo", "--port", "2"],
    ]
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[:3] for line in said] == [["$", "exphil", "ingest"], ["$", "exphil", "stats"]]


def test_a_command_that_fails_is_told_and_ends_the_matter(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(ExphilError("peppi_py is not installed"))
    monkeypatch.setattr("play.commands.play.run_child", shell.run_child)
    assert technique_rows(REPLAYS, Path("store"), "mewtwo", None) is None
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "techniques: the command above must succeed, found: peppi_py is not installed"
    assert len(shell.commands) == 1


@pytest.mark.slow
def test_a_duel_has_techniques(tmp_path: Path) -> None:
    generate_replay(tmp_path / "duel.slp", seed=1)
    rows = technique_rows([tmp_path / "duel.slp"], tmp_path / "store", "mewtwo", None)
    assert rows is not None
    assert {row["character"] for row in rows} == {"mewtwo"}
    assert {"approach", "kill"} <= {row["technique"] for row in rows}
