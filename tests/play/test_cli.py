"""``exphil play`` as users and scripts call it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError, DolphinError, ReplayError
from play.cli import register
from tests.play.fake_dolphin import MELEE

pytestmark = pytest.mark.usefixtures("patient_budget")

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 400
NUMBER = r"[\d,.e+-]+"
"""Any size of figure: how fast and how late a game is depends on the machine."""


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("replay") / "duel.slp"
    generate_replay(path, seed=2, frames=FRAMES)
    return str(path)


@pytest.fixture(scope="module")
def run(exported_run: Path) -> str:
    return str(exported_run)


def play(*arguments: str) -> tuple[str, str]:
    """Stdout and stderr; errors are raised."""
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    done = CliRunner().invoke(app, ["play", *arguments])
    if done.exception is not None:
        raise done.exception
    return done.stdout, done.stderr


def test_json_is_the_last_line_and_holds_the_figures(run: str, replay: str) -> None:
    out, _ = play("--policy", run, "--stand-in", replay, "--sync", "--json")
    result = json.loads(out.splitlines()[-1])
    assert (result["games"], result["replayed"], result["frames"]) == (None, True, FRAMES)
    assert (result["log"], result["replays"], result["techniques"]) == (None, [], None)
    assert (result["frames_missing"], result["stale_share"]) == (0, 0.0)
    assert all(result[name] > 0 for name in result if "_ms_" in name)


def test_what_is_no_replay_is_named_before_anything_is_loaded(run: str, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# notes")
    with pytest.raises(ReplayError, match=r"^notes.md: a .slp file starts with"):
        play("--policy", run, "--stand-in", str(tmp_path / "notes.md"))


def test_people_read_the_same_figures_as_a_sentence_and_a_table(run: str, replay: str) -> None:
    out, err = play("--policy", run, "--stand-in", replay, "--fps", "240")
    sentence = rf"^{FRAMES} frames at {NUMBER} per second: {NUMBER} % came late, 0 never arrived(; paused for \d+ s)?$"
    assert re.search(sentence, out, re.MULTILINE), out
    for what in ("one policy step", "game state to controller", "frame sent to controller read"):
        assert re.search(rf"{what} +│ +{NUMBER} ms │ +{NUMBER} ms", out), out
    assert not re.search(r"_(ms|p50|share)\b", out)
    assert "the agent plays on port 1" in err


def test_play_stops_after_the_seconds_given_and_logs_where_it_is_told_to(run: str, replay: str, tmp_path: Path) -> None:
    log_dir = ("--log-dir", str(tmp_path / "logs"))
    # In lock step: at the game's pace a busy machine may hand over all frames at once, within no time.
    out, _ = play("--policy", run, "--stand-in", replay, "--sync", "--seconds", "0.1", "--json", *log_dir)
    (log,) = (tmp_path / "logs").glob("*/session.jsonl")
    assert json.loads(out)["log"] == str(log)
    first, *_, last = (json.loads(line) for line in log.read_text().splitlines())
    assert (first["run"], first["opponent"], first["replay"]) == (run, "replay", "duel.slp")
    assert (last["event"], last["frames"]) == ("session_end", json.loads(out)["frames"])
    assert 0 < json.loads(out)["frames"] < FRAMES


def stopped_by(number: signal.Signals, run: str, replay: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a match that gets a signal, once all that writes there is over: worker and stand-in too."""
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # tests begun with & ignore it
    code += "import exphil, play.loop.view, play.runtime.load; "
    code += "play.runtime.load.FRAME_BUDGET_MS, play.loop.view.LINE_EVERY_S = 1e4, 0.2; exphil.main()"
    options = ["--policy", run, "--stand-in", replay, "--json", "--fps", "4"]  # the signal comes long before the end
    command = [sys.executable, "-c", code, "play", *options]
    with subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any("game 1, frame" in line and "frame -123" not in line for line in process.stderr)
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_the_command_what_was_played_is_told_and_nothing_runs_on(
    run: str, replay: str, number: signal.Signals
) -> None:
    code, out, err = stopped_by(number, run, replay)
    assert code == 1
    assert 0 < json.loads(out.splitlines()[-1])["frames"] < FRAMES
    assert "found: somebody interrupted it" in err


def test_a_stand_in_whose_command_was_killed_ends_and_libmelees_worker_with_it(run: str, replay: str) -> None:
    assert stopped_by(signal.SIGKILL, run, replay)[:2] == (-signal.SIGKILL, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either --dolphin and --iso, or --stand-in"),
        (["--stand-in", __file__, "--dolphin", "x"], "give one of them"),
        (["--stand-in", __file__, "--iso", "x"], "--iso: has no effect with --stand-in"),
        (["--stand-in", __file__, "--games", "3"], "--games: has no effect"),
        (["--stand-in", __file__, "--headless"], "--headless: has no effect"),
        (["--stand-in", __file__, "--techniques"], "--techniques: has no effect"),
        (["--stand-in", __file__, "--view"], "--view: needs a terminal"),
        (["--stand-in", __file__, "--opponent-character", "fox"], "--opponent-character: has no effect"),
        (["--dolphin", "x", "--fps", "60"], "--fps: has no effect with --dolphin"),
    ],
)
def test_an_option_that_could_not_take_effect_is_refused(run: str, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        play("--policy", run, *arguments)


def test_a_replay_that_is_not_there_is_wrong_usage(run: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        play("--policy", run, "--stand-in", "nowhere.slp")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fps", "0"],
        ["--fps", "nan"],
        ["--seed", "-1"],
        ["--slippi-port", "70000"],
        ["--seconds", "0"],
        ["--dolphin", "x", "--cpu-level", "0"],
        ["--dolphin", "x", "--cpu-level", "10"],
        ["--dolphin", "x", "--port", "5"],
    ],
)
def test_a_number_out_of_range_is_wrong_usage(run: str, replay: str, arguments: list[str]) -> None:
    where = [] if "--dolphin" in arguments else ["--stand-in", replay]
    with pytest.raises(SystemExit, match="2"):
        play("--policy", run, *where, *arguments)


def test_a_temperature_of_zero_is_refused(run: str, replay: str) -> None:
    with pytest.raises(ConfigError, match="must be a number above 0"):
        play("--policy", run, "--stand-in", replay, "--temperature", "0")


def test_a_missing_dolphin_is_refused(run: str, tmp_path: Path) -> None:
    (tmp_path / "melee.iso").write_bytes(MELEE)
    with pytest.raises(DolphinError, match="must be Dolphin or its folder"):
        play("--policy", run, "--dolphin", str(tmp_path), "--iso", str(tmp_path / "melee.iso"))


def test_a_replay_older_than_the_stand_in_serves_is_refused(run: str, edge_case_replays: dict[str, Path]) -> None:
    (old,) = (path for name, path in edge_case_replays.items() if "PichuVSelf-All-22" in name)
    with pytest.raises(ReplayError, match=r"serves Slippi 3\.8\.0 or newer, found 3\.7\.0"):
        play("--policy", run, "--stand-in", str(old))


def test_play_reads_no_store_and_logs_to_no_wandb() -> None:
    code = (
        "import sys, play.launch, play.dolphin.start, play.runtime.load\n"
        "print([m for m in ('polars', 'pyarrow', 'peppi_py', 'wandb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
