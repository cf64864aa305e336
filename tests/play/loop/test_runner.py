"""The frame loop against a scripted session: what is stepped, what is sent, what is counted."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import melee
import numpy as np
import pytest

from dataset.codecs.registry import get_codec
from dataset.errors import DolphinError
from dataset.features.layout import RAW_NAMES, RAW_ROW
from dataset.melee.controller import Classes, Controllers
from play.agent.agent import Agent, Players, PolicyInput
from play.dolphin.session import Ended, Event, Frame, Lost, Menu
from play.loop.runner import GameResult, Runner, Score

CODEC = get_codec("axis17")
STICK = np.array([-80, -70, -60, -50, -40, -30, -23, 0, 23, 30, 40, 50, 60, 70, 80], dtype=np.int32)


class Counting:
    """Turns the stick one level further on every step since the game began."""

    def __init__(self) -> None:
        self.steps, self.games = 0, -1

    def reset(self) -> None:
        self.steps, self.games = 0, self.games + 1

    def step(self, given: PolicyInput) -> Classes:
        self.steps += 1
        return CODEC.encode(np.array([[STICK[self.steps % len(STICK)], 0, 0, 0, 0, 0]], dtype=np.int32))


def player(stocks: int, percent: float) -> melee.PlayerState:
    return melee.PlayerState(
        character=melee.Character.FOX, action=melee.Action.STANDING, stock=np.uint8(stocks), percent=np.float32(percent)
    )


def frame(number: int, own: tuple[int, float] = (4, 0.0), other: tuple[int, float] = (4, 0.0)) -> Frame:
    """One state at 60 frames a second; the agent is on port 3, the other player on port 1."""
    game = melee.GameState(frame=number, players={1: player(*other), 3: player(*own)})
    return Frame(game, number, 1000 + number / 60)


class Script:
    """A session that gives events in order; those of one inner list have all arrived at once."""

    def __init__(self, *bursts: list[Event]) -> None:
        self.bursts = list(bursts)
        self.sent: list[int] = []
        self.navigated = 0
        self.flushed_at = 0.0
        self.zero_indices: Mapping[int, Collection[int]] = {}

    def next(self, *, wait: bool = True) -> Event | None:
        if wait:
            while self.bursts and not self.bursts[0]:
                self.bursts.pop(0)
            self.flushed_at += 1
        if not self.bursts:
            return Lost("the script is over")
        return self.bursts[0].pop(0) if self.bursts[0] else None

    def send(self, *controllers: Controllers) -> None:
        self.sent.append(int(controllers[0][0]))

    def navigate(self, menu: Menu) -> None:
        self.navigated += 1


def port_three(game: Any) -> int:
    return 3


def runner(session: Script, delay: int = 0, policy: Counting | None = None, **options: Any) -> Runner:
    players = Players(Agent(policy or Counting(), CODEC, delay=delay))
    return Runner(session, players, find_port=port_three, **({"is_sync": False} | options))


def test_sync_answers_every_frame() -> None:
    session = Script([frame(-123), frame(-122), frame(-121)])
    report = runner(session, is_sync=True).run()
    assert session.sent == [-70, -60, -50]
    assert (report.frames, report.frames_stale, report.frames_missing) == (3, 0, 0)


def test_async_steps_every_frame_and_answers_only_the_newest() -> None:
    session = Script([frame(-123)], [frame(-122), frame(-121), frame(-120)], [frame(-119)])
    report = runner(session).run()
    assert session.sent == [-70, -40, -30], "the state has seen every frame: -60 and -50 came too late"
    assert (report.frames, report.frames_stale) == (5, 2)
    assert report.summary()["stale_share"] == 0.4
    assert len(report.frame_to_controller_ms) == 3


def test_a_loop_that_is_far_behind_still_answers_now_and_then() -> None:
    session = Script([frame(number) for number in range(-123, -43)])
    report = runner(session).run()
    assert report.answered == [-94, -64, -44], "the eighty frames that have arrived are answered thirty at a time"
    assert (report.frames, report.frames_stale) == (80, 77)


def test_with_delay_a_burst_loses_no_decision_that_is_in_time() -> None:
    session = Script([frame(-123)], [frame(-122), frame(-121)], [frame(-120)])
    runner(session, delay=2).run()
    assert session.sent == [0, -70, -60], "on frame -121 the decision of -123 is due, on -120 that of -122"


def test_missing_frames_are_counted_and_the_queue_moves_on() -> None:
    session = Script([frame(-123)], [frame(-120)])
    report = runner(session, delay=1).run()
    assert session.sent == [0, -70]
    assert report.frames_missing == 2


def test_after_a_second_of_missing_frames_the_policy_begins_anew() -> None:
    session = Script([frame(-123)], [frame(-122)], [frame(-50)])
    runner(session).run()
    assert session.sent == [-70, -60, -70]


def test_the_magnifying_glass_deals_no_damage() -> None:
    score = Score(0)
    column = np.zeros(len(RAW_NAMES), np.float32)
    score.add(column)
    column[[RAW_ROW["a_x"], RAW_ROW["b_x"]]] = 180
    column[[RAW_ROW["a_percent"], RAW_ROW["b_percent"]]] = 1, 2
    score.add(column)
    assert (score.result().damage_dealt, score.result().damage_taken) == (2.0, 0.0)


def test_games_are_scored_from_the_players_side() -> None:
    first = [
        frame(-123),
        frame(-122, (4, 12.5), (4, 3.0)),
        frame(-121, (3, 0.0), (4, 10.0)),
        frame(-120, (3, 1.0), (2, 0.0)),
    ]
    session = Script([*first, Ended(), frame(-123), frame(-122, (4, 5.0)), Ended()])
    report = runner(session, is_sync=True).run()
    assert report.games == [
        GameResult(stocks_taken=2, stocks_lost=1, damage_dealt=10.0, damage_taken=13.5, frames=4),
        GameResult(stocks_taken=0, stocks_lost=0, damage_dealt=0.0, damage_taken=5.0, frames=2),
    ]
    assert session.sent == [-70, -60, -50, -40, -70, -60], "each game begins with a fresh state"


def test_an_end_that_arrives_with_the_last_frames_is_not_lost() -> None:
    session = Script([frame(-123), frame(-122), Ended(), frame(-123)], [frame(-122)])
    report = runner(session).run()
    assert [game.frames for game in report.games] == [2, 2]


def test_play_stops_after_the_wanted_games() -> None:
    session = Script([Menu(None), frame(-123), Ended(), Menu(None), frame(-123), Ended(), frame(-123)])
    report = runner(session, num_games=2).run()
    assert (len(report.games), session.navigated, report.lost) == (2, 2, None)


def test_play_stops_after_the_wanted_seconds() -> None:
    session = Script([frame(number) for number in range(-123, 400)])
    report = runner(session, is_sync=True, seconds=2.0).run()
    assert (report.frames, report.lost) == (121, None)
    assert report.summary()["fps"] == 60.0


def test_a_pause_is_no_time_of_play() -> None:
    before, after = [frame(number) for number in range(-123, -63)], [frame(number) for number in range(-63, 400)]
    after = [replace(each, received_at=each.received_at + 600) for each in after]
    report = runner(Script(before, after), is_sync=True, seconds=1.99).run()
    assert (report.frames, report.summary()["fps"]) == (121, 60.0)
    assert (report.seconds, report.seconds_paused) == (pytest.approx(2.0), pytest.approx(600.0))


def test_a_lost_session_keeps_what_was_played() -> None:
    report = runner(Script([frame(-123), frame(-122)]), is_sync=True).run()
    assert report.lost == "the script is over"
    assert [game.frames for game in report.games] == [2]


def test_a_game_without_the_agent_is_refused() -> None:
    players = Players(Agent(Counting(), CODEC, delay=0))
    with pytest.raises(DolphinError, match=r"port 2, found players on \(1, 3\)"):
        Runner(Script([frame(-123)]), players, find_port=lambda game: 2, is_sync=True).run()


def test_a_session_without_frames_reports_nothing_measured() -> None:
    summary = runner(Script()).run().summary()
    assert summary["frames"] == 0
    assert (summary["step_ms_p50"], summary["stale_share"], summary["fps"]) == (None, None, None)


class Interrupted(Script):
    """Somebody presses Ctrl-C once the script is over."""

    def next(self, *, wait: bool = True) -> Event | None:
        event = super().next(wait=wait)
        if isinstance(event, Lost):
            raise KeyboardInterrupt
        return event


def test_an_interrupted_session_is_lost_and_its_game_counts() -> None:
    report = runner(Interrupted([frame(-123), frame(-122)]), is_sync=True).run()
    assert report.lost == "somebody interrupted it"
    assert [game.frames for game in report.games] == [2]


class Notes:
    """Writes down what a listener hears, and how many games the loop had counted by then."""

    def __init__(self, loop: Runner) -> None:
        self.heard: list[tuple[str, int, int]] = []
        self.loop = loop
        loop.listeners.append(self)

    def game_started(self, port: int, frame: Frame) -> None:
        self.heard.append((f"start {port}", frame.number, len(self.loop.report.games)))

    def game_ended(self, last: Frame) -> None:
        self.heard.append(("end", last.number, len(self.loop.report.games)))


def noted(session: Script, **options: Any) -> Notes:
    notes = Notes(runner(session, **options))
    notes.loop.run()
    return notes


def test_listeners_hear_of_a_games_end_once_the_loop_has_counted_it() -> None:
    session = Script([Menu(None), frame(-123), frame(-122), Ended(), Menu(None), frame(-123)])
    notes = noted(session, is_sync=True)
    assert notes.heard == [("start 3", -123, 0), ("end", -122, 1), ("start 3", -123, 1), ("end", -123, 2)]
    assert (notes.loop.num_games, notes.loop.is_in_game, session.navigated) == (2, False, 2)


def test_an_end_that_comes_with_the_next_game_is_heard_before_its_start() -> None:
    notes = noted(Script([frame(-123), frame(-122), Ended(), frame(-123)], [frame(-122)]))
    assert notes.heard == [("start 3", -123, 0), ("end", -122, 1), ("start 3", -123, 1), ("end", -122, 2)]


def test_a_game_that_the_loop_cuts_off_has_an_end_too() -> None:
    notes = noted(Script([frame(number) for number in range(-123, 400)]), is_sync=True, seconds=1.0)
    assert notes.heard == [("start 3", -123, 0), ("end", -63, 1)]


def test_the_newest_frame_and_the_controller_on_the_pad_can_be_read() -> None:
    session = Script([frame(-123)], [frame(-122), frame(-121)])
    loop = noted(session).loop
    assert loop.newest is not None
    assert loop.held is not None
    assert (loop.newest.number, int(loop.held[0])) == (-121, session.sent[-1])
