"""``exphil arena`` in the duel: figures that its own replays confirm, and replays that the rest of exphil reads."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError
from dataset.melee.ids import character_from_name
from play.arena.arena import ArenaOptions, hold_arena
from play.games.find import replay_game
from play.worlds.kinds import worlds
from tests.play.builders import random_run
from tests.play.fake_dolphin import write_fake_dolphin, write_fake_iso
from tests.play.simulators.melee_sim import data_folder, install


def invoke(*arguments: object) -> Result:
    app = typer.Typer()
    for stage in ("ingest", "play"):
        import_module(f"{stage}.cli").register(app)
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    if done.exception is not None:
        raise done.exception
    return done


@pytest.fixture(scope="module")
def played(exported_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, str]:
    """The JSON of an arena, the folder of its replays, and what it said."""
    folder = tmp_path_factory.mktemp("replays")
    options = ("--games", 6, "--seconds", 15, "--seed", 3, "--save-replays", folder, "--json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dataset.reporting.terminal.LINE_EVERY_S", 0.0)
        done = invoke("arena", exported_run, *options)
    return json.loads(done.stdout.splitlines()[-1]), folder, done.stderr


def test_its_figures_are_those_of_the_replays_it_saves(played: tuple[dict[str, Any], Path, str]) -> None:
    result, folder, _ = played
    (row,) = result["rows"]
    games = [
        replay_game(path, character=character_from_name("mewtwo").internal, port=None)
        for path in sorted(folder.glob("*.slp"))
    ]
    assert [str(path) for path in sorted(folder.glob("*.slp"))] == result["replays"]
    assert (row["run"], row["against"], row["games"]) == ("random", "scripted", 6)
    assert row["stocks_lost"] == sum(game.stocks_lost for game in games) > 0
    assert row["stocks_taken"] == sum(game.stocks_taken for game in games)
    assert row["damage_taken"] == pytest.approx(sum(game.damage_taken for game in games), abs=0.1)
    assert row["damage_dealt"] == pytest.approx(sum(game.damage_dealt for game in games), abs=0.1)
    assert row["win_rate"] == pytest.approx(sum(game.won is True for game in games) / 6, abs=1e-4)


def test_its_replays_are_ingested(played: tuple[dict[str, Any], Path, str], tmp_path: Path) -> None:
    _, folder, _ = played
    options = ("--store", tmp_path / "store", "--workers", 1, "--min-frames", 100)
    result = json.loads(invoke("ingest", folder, *options, "--json").stdout.splitlines()[-1])
    assert (result["replays_ingested"], result["replays_rejected"], result["replays_failed"]) == (6, 0, 0)
    assert result["replays_duplicate"] == 0


def test_the_scripted_player_beats_a_policy_that_was_never_trained(played: tuple[dict[str, Any], Path, str]) -> None:
    (row,) = played[0]["rows"]
    assert row["net_stocks_interval"][1] < 0
    assert row["conduct_of_opponent"]["presses_per_attack"] < 2 < row["conduct"]["presses_per_attack"]


def test_progress_and_speed_go_to_stderr(played: tuple[dict[str, Any], Path, str]) -> None:
    _, _, said = played
    assert "run random: ONNX Runtime, f32, delay 2, plays mewtwo" in said
    assert "random against scripted: 6 games, frame 300 of 900 in all, about" in said
    assert "game frames in" in said


def test_tables_show_results_conduct_and_with_several_runs_a_matrix(exported_run: Path, tmp_path: Path) -> None:
    other = random_run(tmp_path / "second", hidden=9, character="fox")
    options = ("--games", 2, "--seconds", 3, "--level", 1, "--stages", "battlefield", "--opponent-character", "peach")
    page = tmp_path / "pages" / "arena.html"
    shown = invoke("arena", exported_run, other, *options, "--html", page).stdout
    assert "random and second against scripted and each other in duel" in page.read_text(encoding="utf-8")
    for title in ("per minute, with 95 % intervals over games", "conduct", "net stocks per minute", "ratings"):
        assert title in shown
    assert shown.count("scripted") >= 6


def test_unknown_worlds_are_refused(exported_run: Path) -> None:
    with pytest.raises(ConfigError, match="--world 'melee': unknown; use one of duel, melee-sim, dolphin"):
        invoke("arena", exported_run, "--world", "melee")


def test_runs_play_in_the_simulator(exported_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against its double, which plays duels: the figures of a run against itself are the duel's own."""
    install(monkeypatch, data_folder(tmp_path))
    common: dict[str, Any] = {"runs": [str(exported_run)], "against": "self", "games": 2, "seconds": 6.0}
    found = [
        hold_arena(ArenaOptions(world=world, **common), worlds(), lambda line: None, lambda *progress: None).rows
        for world in ("melee-sim", "duel")
    ]
    assert found[0] == found[1]
    assert found[0][0].conduct.presses_per_minute["a"] > 0


def test_runs_play_in_dolphin(exported_run: Path, tmp_path: Path) -> None:
    """In a program that plays a replay whatever is pressed."""
    generate_replay(tmp_path / "game.slp", seed=5, frames=30)
    dolphin, iso = write_fake_dolphin(tmp_path).parent, write_fake_iso(tmp_path / "melee.iso", tmp_path / "game.slp")
    options = ("--dolphin", dolphin, "--iso", iso, "--games", 1, "--level", 3, "--json")
    saved = ("--save-replays", tmp_path / "saved")
    found = json.loads(invoke("arena", exported_run, "--world", "dolphin", *options, *saved).stdout.splitlines()[-1])
    (row,) = found["rows"]
    assert (row["against"], row["games"], found["game_frames"]) == (
        "cpu",
        1,
        31,
    )  # the last shows that the game has ended
    assert [Path(path).read_bytes() for path in found["replays"]] == [(tmp_path / "game.slp").read_bytes()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dolphins", 2), "--dolphins: has no effect with --world duel; leave it out, or give --world dolphin"),
        (("--headless",), "--headless: has no effect with --world duel"),
        (("--world", "melee-sim", "--iso", "melee.iso"), "--iso: has no effect with --world melee-sim"),
        (("--world", "dolphin"), "--world dolphin: needs --dolphin, found none"),
    ],
)
def test_flags_of_dolphin_are_for_dolphin(exported_run: Path, options: tuple[object, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        invoke("arena", exported_run, *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--world melee-sim: has no player of its own.*give --against self or a run"),
        (("--against", "scripted"), "--against scripted: in melee-sim must be self or a run"),
        (("--against", "self", "--save-replays", "replays"), "--save-replays replays: melee-sim writes no replays"),
        (("--against", "self", "--character", "kirby"), "character in melee-sim 'kirby': unknown"),
    ],
)
def test_what_the_simulator_cannot_do_is_refused(
    exported_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], message: str
) -> None:
    install(monkeypatch, data_folder(tmp_path))
    with pytest.raises(ConfigError, match=message):
        invoke("arena", exported_run, "--world", "melee-sim", *options)


def test_a_page_that_cannot_be_written_is_refused_before_anything_is_played(
    exported_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=r"--html /proc/x\.html: needs a folder that can be written to"):
        invoke("arena", exported_run, "--html", "/proc/x.html")
    assert "plays" not in capsys.readouterr().err


def test_more_games_than_any_machine_holds_are_wrong_usage(exported_run: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        invoke("arena", exported_run, "--games", 100_001)


def test_watching_needs_a_terminal(exported_run: Path) -> None:
    with pytest.raises(ConfigError, match="--watch: needs a terminal to draw on, found none"):
        invoke("arena", exported_run, "--watch")
