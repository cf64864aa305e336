"""A session of play as a file of JSON lines: what played, each game with its result and its lateness, and how it ended.

``session.jsonl`` holds one object per line, each with an ``event``: ``session``, ``game_start``, ``game_end``, ``error``,
``session_end``. Every line is on disk before play continues, so the log of a session that is killed has all its games. Nothing
in it names a person: not even the home folder, which is ``~``. A kept replay is named as seen from the log, so that both may
move together.
"""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dataset.errors import ReplayError
from dataset.melee.ids import character_name, stage_index_from_libmelee, stage_name
from dataset.slippi.slp import raw_length
from play.dolphin.session import Frame
from play.loop.runner import Report, Runner, spread

NAME = "session.jsonl"
REPLAY = "replay"
"""The opponent of a session against the stand-in, which does not react."""
TIME_LIMIT = 28_800
"""Frames of eight minutes, after which stocks and then percent decide."""


FINISH_S = 2.0
"""How long Dolphin may take to finish the replay of a game that is over: after the last one it is ended."""

_HEAD_BYTES, _LOOK_S = 15, 0.05

_HOME = json.dumps(str(Path.home())).strip('"')
"""As JSON has it, where a backslash is two."""


def new_folder(parent: Path) -> Path:
    """A new folder for a session in ``parent``, named by the time in UTC."""
    parent.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in range(1000):
        folder = parent / (stamp if number == 0 else f"{stamp}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("a thousand sessions in one second")


class SessionLog:
    """One session's log; a listener of a ``Runner``.

    Args:
        folder: where ``session.jsonl`` goes.
        settings: what plays and how, for the first line.
        report: the loop's, filled while it plays.
        replay_dir: where Dolphin keeps the replays; None where it keeps none.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], report: Report, replay_dir: Path | None = None) -> None:
        self.path = folder / NAME
        self.replays: list[Path] = []
        """Kept replays of the games played, as far as they were found."""
        self._report, self._replay_dir = report, replay_dir
        self._known = self._kept()
        self._begin = _Marks(report)
        self._port, self._game = 0, 0
        machine = {"python": platform.python_version(), "system": platform.system(), "melee": version("melee")}
        self._write("session", {**settings, **machine})

    def game_started(self, port: int, frame: Frame) -> None:
        """Write what is played on which ports."""
        self._game, self._port, self._begin = self._game + 1, port, _Marks(self._report)
        self._write("game_start", {"game": self._game, "port": port, **_opening(frame.game, port)})

    def game_ended(self, last: Frame) -> None:
        """Write the result of the game that the loop counted last."""
        result = asdict(self._report.games[-1])
        kept = self._newest_replay()
        found = {"replay": None if kept is None else _seen_from(self.path.parent, kept)}
        self._write(
            "game_end", {"game": self._game, **result, **_outcome(last, self._port), **self._begin.since(), **found}
        )

    def failed(self, error: BaseException) -> None:
        """Write why the session broke off."""
        self._write("error", {"error": type(error).__name__, "reason": str(error)})

    def close(self) -> None:
        """Write what the session came to."""
        report = self._report
        if report.lost is not None:
            self._write("error", {"error": "Lost", "reason": report.lost})
        self._write("session_end", {"games": len(report.games), **report.summary()})

    def _kept(self) -> set[Path]:
        return set() if self._replay_dir is None else set(self._replay_dir.rglob("*.slp"))

    def _newest_replay(self) -> Path | None:
        """The replay that has appeared since the last game; Dolphin names it by the time of day."""
        new = sorted(self._kept() - self._known, key=lambda path: path.stat().st_mtime)
        self._known.update(new)
        if not new:
            return None
        self.replays.append(new[-1].resolve())
        if self._report.lost is None:
            _await_whole(new[-1])
        return self.replays[-1]

    def _write(self, event: str, values: dict[str, Any]) -> None:
        line = {"event": event, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **values}
        text = json.dumps(line)
        with self.path.open("a", encoding="utf-8") as file:
            file.write((text.replace(_HOME, "~") if len(_HOME) > 1 else text) + "\n")


def _await_whole(replay: Path) -> None:
    """Wait until Dolphin has written how long the events are, which it does last."""
    deadline = time.monotonic() + FINISH_S
    while time.monotonic() < deadline:
        with replay.open("rb") as file, suppress(ReplayError):
            if raw_length(file.read(_HEAD_BYTES)) > 0:
                return
        time.sleep(_LOOK_S)


def _seen_from(folder: Path, path: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:  # on Windows there is no way from one drive to another
        return str(path)


@contextmanager
def logging(log: SessionLog | None, runner: Runner) -> Iterator[None]:
    """Write ``log``, if there is one, while the body runs ``runner``; an error of the body is written too."""
    if log is None:
        yield
        return
    runner.listeners.append(log)
    try:
        yield
    except BaseException as error:
        log.failed(error)
        raise
    finally:
        log.close()


class _Marks:
    """How far a report had come when a game began."""

    def __init__(self, report: Report) -> None:
        self._report, self._before = report, replace(report)
        self._num_answers, self._num_steps = len(report.frame_to_controller_ms), len(report.step_ms)

    def since(self) -> dict[str, Any]:
        """What has come since."""
        now, before = self._report, self._before
        frames, seconds = now.frames - before.frames, now.seconds - before.seconds
        return {
            "seconds": round(seconds, 3),
            "seconds_paused": round(now.seconds_paused - before.seconds_paused, 3),
            "fps": round((frames - 1) / seconds, 2) if seconds > 0 else None,
            "frames_stale": now.frames_stale - before.frames_stale,
            "frames_missing": now.frames_missing - before.frames_missing,
            **spread("frame_to_controller_ms", now.frame_to_controller_ms[self._num_answers :]),
            **spread("step_ms", now.step_ms[self._num_steps :]),
        }


def _opening(game: Any, own_port: int) -> dict[str, Any]:
    """Stage and players; names and connect codes stay out."""
    players = {int(port): player for port, player in game.players.items()}
    shown = {
        "own" if port == own_port else "other": {
            "port": port,
            "character": character_name(int(player.character.value)),
            "cpu_level": int(player.cpu_level),
        }
        for port, player in players.items()
    }
    return {"stage": stage_name(stage_index_from_libmelee(game.stage.value)), "players": shown}


def _outcome(last: Frame, own_port: int) -> dict[str, Any]:
    """Who won and by what; None where the last frame does not show it."""
    own, *_ = (player for port, player in last.game.players.items() if int(port) == own_port)
    other, *_ = (player for port, player in last.game.players.items() if int(port) != own_port)
    stocks, percents = [int(own.stock), int(other.stock)], [float(own.percent), float(other.percent)]
    end = "stocks" if 0 in stocks else "time" if last.number >= TIME_LIMIT else "unfinished"
    standing = [(stocks[side], -percents[side] if end == "time" else 0.0) for side in range(2)]
    is_decided = end != "unfinished" and standing[0] != standing[1]
    return {
        "end": end,
        "won": standing[0] > standing[1] if is_decided else None,
        "stocks_left": stocks,
        "percents_left": [round(percent, 2) for percent in percents],
    }
