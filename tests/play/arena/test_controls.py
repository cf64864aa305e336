"""Controls of the duel world: its own player is even with itself in the seat of a policy, and policies without sense lose."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.duels.duel import ENTRY_FRAMES
from dataset.duels.moves import TRAITS
from dataset.features.layout import RAW_ROW
from dataset.melee.controller import A, L
from dataset.melee.ids import STAGES
from play.worlds.duel import DuelWorld
from play.worlds.world import Frames, Match

Policy = Callable[[Frames, NDArray[np.intp]], NDArray[np.int32]]
"""From one frame of N games and our side in each to our controllers [N, 6]."""

STRONGEST = 3


class Score(NamedTuple):
    """Net stocks per minute over some games, and half the width of its 95 % interval."""

    net: float
    half_width: float


def cohort(num_games: int, ours: int | None, theirs: int, seed: int) -> tuple[list[Match], NDArray[np.intp]]:
    """Games and our side in each. Every two games exchange seats, so that neither characters nor sides favour anyone."""
    names = list(TRAITS)
    matches = []
    for game in range(num_games):
        pair = game // 2
        characters = (names[pair % 6], names[(pair // 6 + pair) % 6])
        seats = ((ours, theirs), (theirs, ours))[game % 2]
        swapped = characters if game % 2 == 0 else (characters[1], characters[0])
        matches.append(Match(swapped, STAGES[pair % 6].name, seed + game, seats))
    return matches, np.arange(num_games) % 2


def play(matches: list[Match], sides: NDArray[np.intp], seconds: int, policy: Policy | None) -> Iterator[Frames]:
    world, games = DuelWorld(limit=ENTRY_FRAMES + 60 * seconds), np.arange(len(matches))
    frames = world.reset(matches)
    yield frames
    while not frames.is_over.all():
        controllers = np.zeros((len(matches), 2, 6), np.int32)
        if policy is not None:
            controllers[games, sides] = policy(frames, sides)
        frames = world.step(controllers)
        yield frames


def score(num_games: int, seconds: int, policy: Policy | None = None, level: int | None = None, seed: int = 0) -> Score:
    """How a policy, or a scripted player of ``level``, does against the strongest scripted player."""
    matches, sides = cohort(num_games, level, STRONGEST, seed)
    *_, last = play(matches, sides, seconds, policy)
    games = np.arange(num_games)
    stocks = last.raw[:, [RAW_ROW["a_stocks"], RAW_ROW["b_stocks"]]]
    net = stocks[games, sides] - stocks[games, 1 - sides]
    minutes = (last.raw[:, RAW_ROW["frame"]] + 40) / 3600
    rate = float(net.sum() / minutes.sum())
    return Score(rate, float(1.96 * np.std(net - rate * minutes) * np.sqrt(num_games) / minutes.sum()))


def persistence(frames: Frames, sides: NDArray[np.intp]) -> NDArray[np.int32]:
    """What was pressed in the frame before: nothing, for ever."""
    pressed: NDArray[np.int32] = frames.controllers[np.arange(len(sides)), sides]
    return pressed


def situations(frames: Frames, sides: NDArray[np.intp]) -> list[tuple[float, bool, int]]:
    """In each game our action state, whether the foe is to the right, and how far away it is."""
    games = np.arange(len(sides))
    state, x = (
        frames.raw[:, [RAW_ROW[f"a_{name}"], RAW_ROW[f"b_{name}"]]][games[:, None], np.stack([sides, 1 - sides], 1)]
        for name in ("action_state", "x")
    )
    dx = x[:, 1] - x[:, 0]
    near = np.digitize(np.abs(dx), [12, 24, 40, 70])
    return list(zip(state[:, 0].tolist(), (dx > 0).tolist(), near.tolist(), strict=True))


def lookup_policy(num_games: int, seconds: int) -> Policy:
    """In every situation, what the scripted player pressed most often in other games."""
    matches, _ = cohort(num_games, STRONGEST, STRONGEST, seed=5000)
    pressed: dict[tuple[float, bool, int], Counter[tuple[int, ...]]] = defaultdict(Counter)
    before: list[list[tuple[float, bool, int]]] = []
    for frames in play(matches, np.zeros(num_games, np.intp), seconds, None):
        for side, found in enumerate(before):
            for situation, controller in zip(found, frames.controllers[:, side].tolist(), strict=True):
                pressed[situation][tuple(controller)] += 1
        before = [situations(frames, np.full(num_games, side)) for side in range(2)]
    most = {situation: counts.most_common(1)[0][0] for situation, counts in pressed.items()}
    return lambda frames, sides: np.array([most.get(s, (0,) * 6) for s in situations(frames, sides)], np.int32)


def holding(*controller: int) -> Policy:
    return lambda frames, sides: np.tile(np.array(controller, np.int32), (len(sides), 1))


def off_the_stage(frames: Frames, sides: NDArray[np.intp]) -> NDArray[np.int32]:
    """Runs off the nearest edge and drifts on."""
    x = frames.raw[:, [RAW_ROW["a_x"], RAW_ROW["b_x"]]][np.arange(len(sides)), sides]
    controllers = np.zeros((len(sides), 6), np.int32)
    controllers[:, 0] = np.where(x < 0, -80, 80)
    return controllers


@pytest.mark.parametrize(
    ("make", "worst"),
    [
        (lambda: persistence, -3.0),
        (lambda: lookup_policy(4, 30), -1.5),
        (lambda: off_the_stage, -8.0),
        (lambda: holding(0, 0, 0, 0, 0, A), -3.0),
        (lambda: holding(0, 0, 0, 0, 140, L), -1.0),
    ],
    ids=["persistence", "lookup", "off the stage", "held A", "held shield"],
)
def test_a_policy_without_sense_clearly_loses(make: Callable[[], Policy], worst: float) -> None:
    found = score(12, 40, make())
    assert found.net + found.half_width < worst


@pytest.mark.parametrize("character", sorted(TRAITS))
def test_running_off_the_stage_costs_every_stock_without_a_hit(character: str) -> None:
    match = Match((character, character), "battlefield", 0)
    *_, last = play([match], np.array([0]), 60, off_the_stage)
    assert [last.raw[0, RAW_ROW[name]] for name in ("a_stocks", "a_percent", "b_stocks")] == [0, 0, 4]


@pytest.mark.slow
def test_the_scripted_player_is_even_with_itself() -> None:
    found = score(600, 60, level=STRONGEST)
    assert found.half_width <= 0.1
    assert abs(found.net) <= found.half_width


@pytest.mark.slow
def test_weaker_levels_lose_more() -> None:
    scores = [score(60, 60, level=level) for level in (1, 2)]
    assert scores[0].net + scores[0].half_width < scores[1].net
    assert scores[1].net + scores[1].half_width < -0.5


@pytest.mark.slow
@pytest.mark.parametrize(("name", "worst"), [("persistence", -3.5), ("lookup", -1.5)])
def test_persistence_and_lookup_clearly_lose_over_many_games(name: str, worst: float) -> None:
    found = score(120, 60, persistence if name == "persistence" else lookup_policy(24, 120))
    assert found.net + found.half_width < worst
