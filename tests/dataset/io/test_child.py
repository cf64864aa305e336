"""Commands of exphil in processes of their own; small programs stand in for exphil."""

import os
import signal
import sys
import time

import pytest

from dataset.errors import ExphilError
from dataset.io import child
from dataset.io.child import run_child


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(child, "PROGRAM", (sys.executable, "-c", f"import sys, os, time; {code}"))


def test_a_command_answers_with_the_object_on_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    stand_in(
        monkeypatch,
        "print('a table', file=sys.stderr); print('one'); print('two'); print('{\"words\": %d}' % len(sys.argv))",
    )
    assert run_child("stats", "--store", "s", say=said.append) == ({"words": 5}, ["one", "two"])
    assert said == ["a table"]


def test_long_output_on_both_streams_blocks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "print('{\"x\": \"' + 'y' * 10**6 + '\"}'); print('z' * 10**6, file=sys.stderr)")
    assert len(run_child("stats", say=lambda line: None)[0]["x"]) == 10**6


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("sys.exit('warning\\nerror: run r: no such run\\n\\n')", "run r: no such run"),
        ("os._exit(3)", "'exphil arena' ended with exit code 3"),
    ],
)
def test_a_command_that_fails_raises_its_own_message(monkeypatch: pytest.MonkeyPatch, code: str, message: str) -> None:
    stand_in(monkeypatch, code)
    said: list[str] = []
    with pytest.raises(ExphilError) as raised:
        run_child("arena", say=said.append)
    assert str(raised.value) == message
    assert not any("no such run" in line for line in said), "an error is raised and not said as well"


def test_an_interruption_ends_the_command_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "print(os.getpid(), file=sys.stderr, flush=True); time.sleep(60)")
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        signal.raise_signal(signal.SIGINT)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_child("arena", say=interrupt)
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
