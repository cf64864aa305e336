"""Technique statistics of kept replays, by the commands that a user would give."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dataset.duels.generate import generate_replay
from play.commands.play import technique_rows

REPLAYS = [Path("a.slp"), Path("b.slp")]


class Shell:
    """Answers commands without running them."""

    def __init__(self, *answers: tuple[int, str, str]) -> None:
        self.answers, self.commands = list(answers), list[list[str]]()

    def run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert command[:3] == [sys.executable, "-m", "exphil"]
        assert command[-1] == "--json"
        code, out, err = self.answers[len(self.commands)]
        self.commands.append(command[3:-1])
        return subprocess.CompletedProcess(command, code, out, err)


def test_two_commands_make_a_store_and_ask_it_for_the_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"technique": "wavedash", "count": 3}]
    shell = Shell((0, '{"frames": 9}', ""), (0, "a table\n" + json.dumps({"rows": rows}), ""))
    monkeypatch.setattr(subprocess, "run", shell.run)
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
    shell = Shell((1, "", "warning\nerror: peppi_py is not installed\n"))
    monkeypatch.setattr(subprocess, "run", shell.run)
    assert technique_rows(REPLAYS, Path("store"), "mewtwo", None) is None
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "techniques: the command above must exit 0, found: error: peppi_py is not installed"
    assert len(shell.commands) == 1


@pytest.mark.slow
def test_a_duel_has_techniques(tmp_path: Path) -> None:
    generate_replay(tmp_path / "duel.slp", seed=1)
    rows = technique_rows([tmp_path / "duel.slp"], tmp_path / "store", "mewtwo", None)
    assert rows is not None
    assert {row["character"] for row in rows} == {"mewtwo"}
    assert {"approach", "kill"} <= {row["technique"] for row in rows}
