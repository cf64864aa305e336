"""Environments: a session is one, a simulator can be one, and the loop plays both."""

import doctest
import time
from typing import Any

import melee
import numpy as np

from dataset.melee.controller import Controllers
from play.agent.agent import Agent, Players
from play.dolphin.session import Ended, Event, Frame, Lost, Menu
from play.loop import environment
from play.loop.environment import SessionEnvironment, Stepped
from play.loop.runner import Runner
from tests.play.loop.test_runner import CODEC, Counting, Script, frame, player

SCRIPT: list[Event] = [
    Menu(None),
    Menu(None),
    *[frame(number) for number in range(-123, -119)],
    Ended(),
    Menu(None),
    *[frame(number, (4, 5.0)) for number in range(-123, -121)],
    Ended(),
]


def play(source: Any, port: int = 3, **options: Any) -> Runner:
    players = Players(Agent(Counting(), CODEC, delay=1))
    loop = Runner(source, players, find_port=lambda game: port, is_sync=True, **options)
    loop.run()
    return loop


def test_a_session_is_reset_through_its_menus_and_stepped_to_the_games_end() -> None:
    session = Script(list(SCRIPT))
    played = SessionEnvironment(session)
    first = played.reset()
    assert isinstance(first, Frame)
    assert (first.number, session.navigated) == (-123, 2)
    seen = [played.step(np.full(6, number, dtype=np.int32)) for number in range(4)]
    assert [type(event) for event in seen] == [Frame, Frame, Frame, Ended]
    assert session.sent == [0, 1, 2, 3]
    second = played.reset()
    assert (isinstance(second, Frame), session.navigated) == (True, 3)
    played.step(np.zeros(6, dtype=np.int32))
    assert played.reset() == Lost("the script is over")


def test_the_loop_plays_a_session_and_the_same_session_as_an_environment_alike() -> None:
    plain, wrapped = Script(list(SCRIPT)), Script(list(SCRIPT))
    one, two = play(plain), play(Stepped(SessionEnvironment(wrapped)))
    assert wrapped.sent == plain.sent
    assert two.report.games == one.report.games
    assert (two.report.answered, two.report.lost) == (one.report.answered, one.report.lost)
    assert (wrapped.navigated, plain.navigated) == (3, 3)


def test_play_stops_after_the_wanted_games_without_looking_for_another() -> None:
    session = Script([*SCRIPT, Menu(None)])
    assert len(play(Stepped(SessionEnvironment(session)), num_games=1).report.games) == 1
    assert session.navigated == 2


def test_the_example_of_plugging_a_simulator_in_works() -> None:
    parsed = doctest.DocTestParser().get_doctest(
        str(environment.__doc__),
        {**vars(environment), "melee": melee, "time": time, "Runner": Runner, "fox": lambda: player(4, 0.0)}
        | {"players": Players(Agent(Counting(), CODEC, delay=0))},
        "play.loop.environment",
        None,
        None,
    )
    assert len(parsed.examples) == 3
    assert doctest.DocTestRunner().run(parsed).failed == 0


class Walk:
    """A simulator: the player walks as far as the stick is tilted, and the game ends at the edge."""

    zero_indices: dict[int, list[int]] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.flushed_at = 0.0
        self.at: list[float] = []

    def reset(self) -> Frame | Lost:
        if self.at:
            return Lost("one walk is enough")
        self.at = [0.0]
        return self._frame()

    def step(self, *controllers: Controllers) -> Frame | Ended | Lost:
        (own,) = controllers
        self.flushed_at += 1
        self.at.append(self.at[-1] + float(own[0]))
        return self._frame() if abs(self.at[-1]) < 150 else Ended()

    def _frame(self) -> Frame:
        own = player(4, 0.0)
        own.position = melee.Position(np.float32(self.at[-1]), np.float32(0.0))
        number = len(self.at) - 124
        return Frame(melee.GameState(frame=number, players={1: player(4, 0.0), 3: own}), number, 0.0)


def test_a_simulator_can_be_played_and_reacts() -> None:
    walk = Walk()
    report = play(Stepped(walk)).report
    assert walk.at == [0.0, 0.0, -70.0, -130.0, -180.0], "with a delay of one frame the first controller is neutral"
    assert ([game.frames for game in report.games], report.lost) == ([4], "one walk is enough")
