"""The live view: what it shows, and that it can stall without the loop noticing."""

import io
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from play.dolphin.session import Event, Lost, Menu
from play.loop import view
from play.loop.view import (
    Fighter,
    Snapshot,
    draw,
    histogram,
    latency_counts,
    line,
    snapshot,
    viewing,
)
from tests.play.loop.test_runner import Script, frame, runner

DEADLINE_S = 60.0
NOW = Snapshot(
    game=2,
    is_in_game=True,
    frame=3421,
    own=Fighter(port=3, name="Mewtwo", stocks=3, percent=34.2),
    others=(Fighter(port=1, name="Fox", stocks=2, percent=112.0),),
    fps=59.94,
    pad=(80, 0, 0, -80, 60, 0x0100 | 0x0400),
    latency=(1, 3, 0, 0, 0, 0, 0),
    frames=1000,
    frames_stale=12,
    frames_missing=4,
    quiet_s=0.01,
)


def test_latencies_are_counted_by_bin() -> None:
    assert latency_counts([]) == (0,) * 7
    assert latency_counts([0.1, 0.49, 0.5, 3.9, 4.0, 16.0, 900.0]) == (2, 1, 0, 1, 1, 0, 2)


def test_the_histogram_shows_shares() -> None:
    rows = histogram((1, 3, 0, 0, 0, 0, 0)).split("\n")
    assert rows[0] == "≤ 0.5 ms ▇▇▇▇        25%"
    assert rows[1] == "  ≤ 1 ms ▇▇▇▇▇▇▇▇▇▇  75%"
    assert rows[6] == " > 16 ms              0%"


def printed(now: Snapshot) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(draw(now))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_a_game_that_stands_still_is_told_of_as_paused() -> None:
    still = Snapshot(**vars(NOW) | {"quiet_s": 61.0})
    assert line(still).startswith("game 2, frame 3421: paused for 61 s; it continues where it stopped, Ctrl-C ends it")
    assert "paused for 61 s" in printed(still)
    assert "paused" not in line(NOW) + printed(NOW)


def test_how_long_no_frame_has_come_is_read_off_the_newest() -> None:
    first = frame(-123)

    def look() -> None:
        before = time.perf_counter()
        quiet_s = snapshot(loop, 0.0).quiet_s
        assert before - first.received_at <= quiet_s <= time.perf_counter() - first.received_at

    loop = runner(Then(look, [first]))
    assert snapshot(loop, 0.0).quiet_s == 0.0
    loop.run()
    assert snapshot(loop, 0.0).quiet_s == 0.0


def test_the_view_fits_a_terminal_and_shows_everything() -> None:
    text = printed(NOW)
    shown = ("game 2, frame 3,421", "59.9 frames/s", "agent, port 3", "Mewtwo", "●●●○ 34 %", "opponent, port 1", "Fox")
    for each in (*shown, "●●○○ 112 %", "A X", "▮▮▮▯▯", "75%", "late 12 (1.2%)", "never arrived 4"):
        assert each in text
    assert "in the menus" in printed(Snapshot(**vars(NOW) | {"is_in_game": False, "own": None, "others": ()}))


def test_where_no_terminal_is_a_line_tells_it() -> None:
    assert line(NOW) == "game 2, frame 3421: 3 at 34 % to 2 at 112 %, 59.9 frames/s, 12 late, 4 missing"
    assert line(Snapshot(**vars(NOW) | {"is_in_game": False})) == "game 2: in the menus"


def test_a_snapshot_is_taken_from_the_players_side() -> None:
    loop = runner(Script([frame(-123, (3, 20.5), (2, 50.0))]))
    empty = snapshot(loop, 0.0)
    assert (empty.own, empty.others, empty.pad, empty.is_in_game) == (None, (), (0,) * 6, False)
    loop.run()
    now = snapshot(loop, 60.0)
    assert now.own == Fighter(port=3, name="Fox", stocks=3, percent=20.5)
    assert now.others == (Fighter(port=1, name="Fox", stocks=2, percent=50.0),)
    assert (now.game, now.frame, now.pad[0], now.frames, sum(now.latency)) == (1, -123, -70, 1, 1)


class Then(Script):
    """A script after which something is done before the session is lost."""

    def __init__(self, then: Callable[[], object], *bursts: list[Event]) -> None:
        super().__init__(*bursts)
        self.then = then

    def next(self, *, wait: bool = True) -> Event | None:
        event = super().next(wait=wait)
        if isinstance(event, Lost):
            self.then()
        return event


class Stuck(io.StringIO):
    """A terminal that takes no more text until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_stuck, self.may_go_on = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.is_stuck.set()
        self.may_go_on.wait(DEADLINE_S)
        return super().write(text)


class After(Script):
    """A script that begins once an event has come."""

    def __init__(self, start: threading.Event, *bursts: list[Event]) -> None:
        super().__init__(*bursts)
        self.start = start

    def next(self, *, wait: bool = True) -> Event | None:
        assert self.start.wait(DEADLINE_S)
        return super().next(wait=wait)


def view_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "exphil view"]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_loop_plays_on_while_the_terminal_takes_no_text(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    monkeypatch.setattr(view, "_CLOSING_S", 0.01)
    monkeypatch.setattr(view, "LINE_EVERY_S", 0.01)
    stuck = Stuck()
    session = After(stuck.is_stuck, [frame(number) for number in range(-123, 400)])
    loop = runner(session, is_sync=True)
    before = sys.getswitchinterval()
    with viewing(loop, Console(file=stuck, force_terminal=is_terminal)):
        report = loop.run()
        assert not stuck.may_go_on.is_set()
    assert (report.frames, len(report.answered)) == (523, 523)
    assert sys.getswitchinterval() == before
    stuck.may_go_on.set()
    for thread in view_threads():
        thread.join(DEADLINE_S)
    assert view_threads() == []


class Drawn(io.StringIO):
    """A terminal that says when it has been written to three times."""

    def __init__(self) -> None:
        super().__init__()
        self.num_writes, self.is_drawn = 0, threading.Event()

    def write(self, text: str) -> int:
        self.num_writes += 1
        if self.num_writes >= 3:
            self.is_drawn.set()
        return super().write(text)


@pytest.mark.parametrize(("is_terminal", "shown"), [(True, "agent, port 3"), (False, "game 1, frame -123: 4 at 0 %")])
def test_the_view_draws_on_a_terminal_and_tells_elsewhere(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, shown: str
) -> None:
    monkeypatch.setattr(view, "LINE_EVERY_S", 0.01)
    monkeypatch.setattr(view, "REFRESH_S", 0.01)
    monkeypatch.setattr(view, "PAUSE_S", float("inf"))  # the frame is of another time
    drawn = Drawn()
    loop = runner(Then(lambda: drawn.is_drawn.wait(DEADLINE_S), [frame(-123)]))
    with viewing(loop, Console(file=drawn, force_terminal=is_terminal, width=80)):
        loop.run()
    assert drawn.is_drawn.is_set()
    assert shown in drawn.getvalue()
    assert view_threads() == []


def test_without_a_view_there_is_no_thread() -> None:
    with viewing(runner(Script([Menu(None)])), Console(quiet=True)):
        assert view_threads() == []


def test_the_view_is_only_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """A view that fails ends alone: the match is worth more than its picture."""

    def fail(now: Any) -> str:
        raise ValueError("no picture")

    monkeypatch.setattr(view, "draw", fail)
    monkeypatch.setattr(view, "REFRESH_S", 0.0)
    monkeypatch.setattr(threading, "excepthook", lambda failed: None)
    loop = runner(Script([frame(-123), frame(-122)]), is_sync=True)
    with viewing(loop, Console(file=io.StringIO(), force_terminal=True)):
        assert loop.run().frames == 2
