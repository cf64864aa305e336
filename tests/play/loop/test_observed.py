"""A watched session: the loop plays as without it, and onlookers are told in time."""

import numpy as np
import pytest

from dataset.errors import DolphinError
from play.dolphin.session import Ended, Event, Frame, Menu
from play.loop.observed import Watched
from play.loop.runner import Runner
from tests.play.loop.test_runner import Script, frame, port_three, runner


class Notes:
    """Writes down what a listener is told, and how many games the loop had counted by then."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []
        self.loop: Runner

    def game_started(self, port: int, frame: Frame) -> None:
        self.told.append((f"start {port}", frame.number, len(self.loop.report.games)))

    def game_ended(self, last: Frame) -> None:
        self.told.append(("end", last.number, len(self.loop.report.games)))


def watch(session: Script, **options: object) -> tuple[Watched, Notes]:
    notes = Notes()
    watched = Watched(session=session, find_port=port_three, listeners=[notes])
    notes.loop = runner(watched, **options)  # type: ignore[arg-type]
    notes.loop.run()
    watched.stop()
    return watched, notes


def test_listeners_hear_of_a_games_end_once_the_loop_has_counted_it() -> None:
    session = Script([Menu(None), frame(-123), frame(-122), Ended(), Menu(None), frame(-123)])
    watched, notes = watch(session, is_sync=True)
    assert notes.told == [("start 3", -123, 0), ("end", -122, 1), ("start 3", -123, 1), ("end", -123, 2)]
    assert (watched.num_games, watched.is_in_game, session.navigated) == (2, False, 2)


def test_an_end_that_comes_with_the_next_game_is_told_before_its_start() -> None:
    _, notes = watch(Script([frame(-123), frame(-122), Ended(), frame(-123)], [frame(-122)]))
    assert notes.told == [("start 3", -123, 0), ("end", -122, 1), ("start 3", -123, 1), ("end", -122, 2)]


def test_a_game_that_the_loop_cuts_off_has_an_end_too() -> None:
    _, notes = watch(Script([frame(number) for number in range(-123, 400)]), is_sync=True, seconds=1.0)
    assert notes.told == [("start 3", -123, 0), ("end", -63, 1)]


def test_the_newest_frame_and_the_controller_on_the_pad_are_noted() -> None:
    session = Script([frame(-123)], [frame(-122), frame(-121)])
    watched, _ = watch(session)
    assert watched.newest is not None
    assert watched.held is not None
    assert (watched.newest.number, int(watched.held[0])) == (-121, session.sent[-1])


def test_a_game_without_the_agent_is_the_same_error_as_without_a_watch() -> None:
    def nobody(game: object) -> int:
        raise DolphinError("game: nobody")

    watched = Watched(session=Script([frame(-123)]), find_port=nobody)
    with pytest.raises(DolphinError, match="nobody"):
        runner(watched).run()  # type: ignore[arg-type]


def test_the_loop_plays_the_same_with_and_without_a_watch() -> None:
    bursts: list[list[Event]] = [[frame(-123)], [frame(-122), frame(-121), Ended(), frame(-123)], [frame(-122)]]
    plain, seen = Script(*[list(burst) for burst in bursts]), Script(*bursts)
    report = runner(plain).run()
    watched, notes = watch(seen)
    assert seen.sent == plain.sent
    assert notes.loop.report.games == report.games
    assert np.isfinite(watched.flushed_at)
