"""The log of a session: one line an event, each on disk at once."""

import json
from pathlib import Path
from typing import Any

import melee
import numpy as np
import pytest

from dataset.melee.controller import Classes
from dataset.slippi.slp import pack, raw_length
from play.agent.agent import PolicyInput
from play.dolphin.session import Ended, Event, Frame, Lost
from play.loop.session_log import SessionLog, logging, new_folder
from tests.play.loop.test_runner import Counting, Script, frame, runner


def lines(log: SessionLog) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.path.read_text().splitlines()]


def played(folder: Path, *bursts: list[Event], replay_dir: Path | None = None, **options: Any) -> SessionLog:
    """Play a script with a log, as a match is played."""
    loop = runner(Script(*bursts), **({"is_sync": True} | options))
    log = SessionLog(folder, {"run": "runs/x", "delay": 2}, loop.report, replay_dir)
    with logging(log, loop):
        loop.run()
    return log


def untimed(line: dict[str, Any]) -> dict[str, Any]:
    """A line without what the machine decides."""
    return {key: value for key, value in line.items() if key not in ("time", "seconds", "fps") and "_ms_" not in key}


def test_a_session_is_told_from_its_settings_to_its_end(tmp_path: Path) -> None:
    lost = frame(-121, (0, 0.0), (2, 60.5))
    log = played(tmp_path, [frame(-123, (4, 0.0), (3, 10.0)), frame(-122, (1, 99.0), (3, 40.0)), lost, Ended()])
    settings, start, end, error, session_end = lines(log)
    assert {key: settings[key] for key in ("event", "run", "delay")} == {
        "event": "session",
        "run": "runs/x",
        "delay": 2,
    }
    assert {"time", "python", "system", "melee"} <= set(settings)
    assert untimed(start) == {
        "event": "game_start",
        "game": 1,
        "port": 3,
        "stage": "final_destination",
        "players": {
            "own": {"port": 3, "character": "fox", "cpu_level": 0},
            "other": {"port": 1, "character": "fox", "cpu_level": 0},
        },
    }
    assert untimed(end) == {
        "event": "game_end",
        "game": 1,
        "stocks_taken": 1,
        "stocks_lost": 4,
        "damage_dealt": 50.5,
        "damage_taken": 99.0,
        "frames": 3,
        "end": "stocks",
        "won": False,
        "stocks_left": [0, 2],
        "percents_left": [0.0, 60.5],
        "frames_stale": 0,
        "frames_missing": 0,
        "seconds_paused": 0.0,
        "replay": None,
    }
    assert (end["seconds"], end["fps"]) == (0.033, 60.0), "of play: neither pauses nor the menus after it"
    assert {"frame_to_controller_ms_p50", "frame_to_controller_ms_p99"} < set(end)
    assert end["step_ms_p99"] >= end["step_ms_p50"] > 0
    assert (error["event"], error["error"], error["reason"]) == ("error", "Lost", "the script is over")
    assert (session_end["event"], session_end["games"], session_end["frames"]) == ("session_end", 1, 3)


def test_lateness_and_gaps_are_those_of_each_game(tmp_path: Path) -> None:
    first: list[Event] = [frame(-123), frame(-122), frame(-121), Ended()]
    log = played(tmp_path, first, [frame(-123)], [frame(-119), Ended()], is_sync=False)
    ends = [line for line in lines(log) if line["event"] == "game_end"]
    assert [(end["game"], end["frames"], end["frames_stale"], end["frames_missing"]) for end in ends] == [
        (1, 3, 2, 0),
        (2, 2, 0, 3),
    ]


@pytest.mark.parametrize(
    ("last", "end", "won"),
    [
        (frame(500, (2, 30.0), (0, 0.0)), "stocks", True),
        (frame(500, (0, 0.0), (1, 0.0)), "stocks", False),
        (frame(28_800, (2, 30.0), (2, 90.0)), "time", True),
        (frame(28_800, (1, 0.0), (2, 90.0)), "time", False),
        (frame(28_800, (2, 9.0), (2, 9.0)), "time", None),
        (frame(500, (4, 30.0), (1, 0.0)), "unfinished", None),
        (frame(500, (0, 0.0), (0, 10.0)), "stocks", None),
    ],
)
def test_who_won_is_told_only_where_the_game_decided(tmp_path: Path, last: Frame, end: str, won: bool | None) -> None:
    start = frame(last.number - 1)
    (told,) = [line for line in lines(played(tmp_path, [start, last, Ended()])) if line["event"] == "game_end"]
    assert (told["end"], told["won"]) == (end, won)


class Keeping(Script):
    """A session whose Dolphin keeps a replay as each game ends."""

    def __init__(self, folder: Path, *bursts: list[Event]) -> None:
        super().__init__(*bursts)
        self.folder, self.num_kept = folder, 0

    def next(self, *, wait: bool = True) -> Event | None:
        event = super().next(wait=wait)
        if isinstance(event, Ended):
            self.num_kept += 1
            self.folder.mkdir(exist_ok=True)
            (self.folder / f"Game_{self.num_kept}.slp").write_bytes(pack(b"events", {}))
        return event


def test_dolphin_may_finish_the_replay_of_the_last_game_before_it_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes the length of the events last, from a thread that looks every 85 ms; cut off, no program reads the file."""
    kept = tmp_path / "replays" / "Game.slp"
    kept.parent.mkdir()
    looked: list[float] = []

    def pause(seconds: float) -> None:
        looked.append(seconds)
        if len(looked) == 5:
            kept.write_bytes(pack(b"events", {}))

    monkeypatch.setattr("play.loop.session_log.time.sleep", pause)
    loop = runner(Script([frame(-123), Ended()]), num_games=1)
    log = SessionLog(tmp_path, {}, loop.report, kept.parent)
    loop.listeners.append(log)
    kept.write_bytes(pack(b"", {}) + b"events")
    loop.run()
    assert (len(looked), log.replays, raw_length(kept.read_bytes())) == (5, [kept.resolve()], 6)


def test_every_game_names_the_replay_that_dolphin_kept_of_it(tmp_path: Path) -> None:
    (tmp_path / "old.slp").touch()
    session = Keeping(tmp_path / "2026-11", [frame(-123), Ended(), frame(-123), Ended(), frame(-123)])
    loop = runner(session, is_sync=True)
    log = SessionLog(new_folder(tmp_path / "sessions"), {}, loop.report, tmp_path)
    loop.listeners.append(log)
    loop.run()
    kept = [tmp_path.resolve() / "2026-11" / f"Game_{number}.slp" for number in (1, 2)]
    names = [f"../../2026-11/Game_{number}.slp" for number in (1, 2)]
    assert [line["replay"] for line in lines(log) if line["event"] == "game_end"] == [*names, None]
    assert log.replays == kept


def test_every_line_is_on_disk_before_play_goes_on(tmp_path: Path) -> None:
    class Looking(Counting):
        def step(self, given: PolicyInput) -> Classes:
            seen.append([line["event"] for line in lines(log)])
            return super().step(given)

    seen: list[list[str]] = []
    loop = runner(Script([frame(-123), Lost("x")]), policy=Looking())
    log = SessionLog(tmp_path, {}, loop.report)
    loop.listeners.append(log)
    loop.run()
    assert seen == [["session", "game_start"]]
    log.failed(MemoryError("out of memory"))
    assert lines(log)[-1] | {"time": ""} == {
        "event": "error",
        "time": "",
        "error": "MemoryError",
        "reason": "out of memory",
    }


def test_nothing_in_the_log_names_a_person(tmp_path: Path) -> None:
    players = frame(-123).game.players
    for number, player in players.items():
        player.connectCode, player.displayName, player.nickName = f"ABC#{number}", "Somebody", "Somebody"
    log = played(tmp_path, [Frame(melee.GameState(frame=np.int32(-123), players=players), -123, 0.0), Ended()])
    assert "ABC#" not in log.path.read_text()
    assert "Somebody" not in log.path.read_text()
    log.failed(FileNotFoundError(f"[Errno 2] No such file or directory: '{Path.home()}/melee.iso'"))
    assert lines(log)[-1]["reason"] == "[Errno 2] No such file or directory: '~/melee.iso'"


def test_a_folder_for_sessions_that_is_a_link_to_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sessions").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        new_folder(tmp_path / "sessions")


def test_two_sessions_of_one_second_get_a_folder_each(tmp_path: Path) -> None:
    folders = [new_folder(tmp_path / "sessions") for _ in range(3)]
    assert len(set(folders)) == 3
    assert all(folder.is_dir() and folder.parent == tmp_path / "sessions" for folder in folders)
