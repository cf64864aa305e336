"""The delay queue, index by index, with a policy whose decisions say which state they were made on."""

import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.codecs.registry import get_codec
from dataset.errors import ConfigError
from dataset.features.layout import FEATURE_ROW, RAW_NAMES, RAW_ROW
from dataset.melee.controller import NEUTRAL, Classes
from play.agent.agent import Agent, PolicyInput, as_read
from tests.play.builders import act

CODEC = get_codec("axis17")


class Scripted:
    """Decides class script[t] for main x on the t-th frame, and remembers what it was given."""

    def __init__(self, script: list[int]) -> None:
        self.script = script
        self.resets = 0
        self.previous: list[int] = []
        self.delays: list[int] = []
        self.noise: list[NDArray[np.float32]] = []
        self.own_x: list[float] = []

    def reset(self) -> None:
        self.resets += 1

    def step(self, given: PolicyInput) -> Classes:
        self.previous.append(int(CODEC.decode(given.previous)[0, 0]))
        self.delays.append(given.delay)
        self.noise.append(given.noise[0].copy())
        self.own_x.append(float(given.continuous[0, FEATURE_ROW["a_x"]]) * 20)
        meant = np.array([self.script[len(self.previous) - 1], 0, 0, 0, 0, 0], dtype=np.int32)
        return CODEC.encode(meant[None])


def column(a_x: float = 0.0, b_x: float = 0.0) -> NDArray[np.float32]:
    raw = np.zeros(len(RAW_NAMES), dtype=np.float32)
    raw[RAW_ROW["a_x"]], raw[RAW_ROW["b_x"]] = a_x, b_x
    return raw


def sent(agent: Agent, frames: int) -> list[int]:
    """What is put on the pad after each state: it acts in the frame after that state."""
    return [int(act(agent, column())[0]) for _ in range(frames)]


@pytest.mark.parametrize("delay", [0, 1, 2, 5])
def test_what_acts_in_frame_t_plus_1_plus_d_was_decided_on_state_t(delay: int) -> None:
    script = [80, 23, 30, 40, 50, 60, 70, 80, 23, 30]
    policy = Scripted(script)
    acting = [0, *sent(Agent(policy, CODEC, delay=delay), len(script))]
    assert [acting[t + 1 + delay] for t in range(len(script) - delay)] == script[: len(script) - delay]
    assert acting[: delay + 1] == [0] * (delay + 1), "neutral acts until the first decision does"


@pytest.mark.parametrize("delay", [0, 1, 2, 5])
def test_p_is_the_controller_that_will_act_in_frame_t_plus_d(delay: int) -> None:
    script = [80, 23, 30, 40, 50, 60, 70, 80, 23, 30]
    policy = Scripted(script)
    acting = [0, *sent(Agent(policy, CODEC, delay=delay), len(script))]
    upcoming = [*acting, *script[len(script) - delay :]]
    assert policy.previous == upcoming[delay : delay + len(script)]
    assert policy.delays == [delay] * len(script)


def test_netplays_own_delay_is_part_of_the_delay() -> None:
    script = [80, 23, 30, 40, 50, 60]
    policy = Scripted(script)
    agent = Agent(policy, CODEC, delay=3, online_delay=2)
    assert sent(agent, 6) == [0, *script[:5]], "one frame of delay is left to the queue"
    assert policy.previous == [0, *script[:5]]


def test_more_online_delay_than_delay_is_refused() -> None:
    with pytest.raises(ConfigError, match="found online delay 3"):
        Agent(Scripted([]), CODEC, delay=2, online_delay=3)


def test_a_decision_that_comes_too_late_is_dropped_and_the_newest_one_stands() -> None:
    policy = Scripted([80, 23, 30, 40])
    agent = Agent(policy, CODEC, delay=0)
    assert int(act(agent, column())[0]) == 80
    assert int(act(agent, column(), frames_late=2)[0]) == 80
    assert int(act(agent, column(), frames_late=1)[0]) == 80
    assert int(act(agent, column())[0]) == 40
    assert policy.previous == [0, 80, 80, 80], "every frame is stepped, with the p that was really on the pad"


def test_a_late_decision_that_is_still_in_time_is_kept() -> None:
    policy = Scripted([80, 23, 30, 40])
    agent = Agent(policy, CODEC, delay=1)
    assert int(act(agent, column())[0]) == 0
    assert int(act(agent, column(), frames_late=1)[0]) == 80
    assert int(act(agent, column())[0]) == 23
    assert policy.previous == [0, 80, 23]


def test_missing_frames_move_the_queue_on() -> None:
    policy = Scripted([80, 23, 30, 40])
    agent = Agent(policy, CODEC, delay=2)
    sent(agent, 2)
    agent.skip(2)
    assert int(act(agent, column())[0]) == 23, "the frames of both decisions have passed; the newest one stands"
    assert policy.previous == [0, 80, 23]


def test_p_is_what_the_game_reads_not_what_was_pressed() -> None:
    pressed = np.array([80, 80, 0, 0, 0, 0x0010], dtype=np.int32)
    assert as_read(pressed).tolist() == [56, 56, 0, 0, 49, 0x0010]

    class Corner(Scripted):
        def step(self, given: PolicyInput) -> Classes:
            seen.append(given.previous[0].copy())
            return CODEC.encode(pressed[None])

    seen: list[Classes] = []
    policy = Corner([])
    agent = Agent(policy, CODEC, delay=0)
    assert act(agent, column()).tolist() == CODEC.decode(CODEC.encode(pressed)).tolist()
    act(agent, column())
    assert CODEC.decode(seen[1]).tolist() == [60, 60, 0, 0, 49, 0x0010]


def test_a_game_begins_neutral_with_a_fresh_state() -> None:
    policy = Scripted([80, 80, 80, 80])
    agent = Agent(policy, CODEC, delay=1)
    sent(agent, 2)
    resets = policy.resets
    agent.start_game(0)
    sent(agent, 1)
    assert policy.resets == resets + 1
    assert policy.previous == [0, 80, 0]


def test_the_player_sees_the_game_from_the_own_side() -> None:
    policy = Scripted([0, 0])
    agent = Agent(policy, CODEC, delay=0)
    act(agent, column(a_x=20.0, b_x=-40.0))
    agent.start_game(1)
    act(agent, column(a_x=20.0, b_x=-40.0))
    assert policy.own_x == [20.0, -40.0]


def test_noise_is_a_function_of_the_seed() -> None:
    def noise(seed: int) -> list[list[float]]:
        policy = Scripted([0, 0, 0])
        sent(Agent(policy, CODEC, delay=0, seed=seed), 3)
        return [row.tolist() for row in policy.noise]

    assert noise(1) == noise(1)
    assert noise(1) != noise(2)
    assert len(noise(1)[0]) == len(CODEC.components)
    assert all(0 < value < 1 for row in noise(1) for value in row)


def test_the_resting_controller_is_read_as_itself() -> None:
    assert as_read(NEUTRAL).tolist() == NEUTRAL.tolist()


def test_a_controller_that_comes_back_is_the_one_of_before_and_nobody_can_change_it() -> None:
    agent = Agent(Scripted([80, 23, 80, 23]), CODEC, delay=0)
    first, other, again = (act(agent, column()) for _ in range(3))
    assert (first.tolist(), other.tolist()) == ([80, 0, 0, 0, 0, 0], [23, 0, 0, 0, 0, 0])
    assert again is first
    with pytest.raises(ValueError, match="read-only"):
        again[0] = 0
