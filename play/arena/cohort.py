"""Plays a cohort: games that start together in a world, each run stepped once per frame for all the seats it has.

A cohort is never topped up: where a game ends early its row stands still until the others are over, since otherwise short
games would count more often. What happens in game number i is decided by the seed, the pairing, i and the side alone, so
adding games changes none of those before, and a game of a cohort is, bit for bit, the same game played alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import lcm
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset.features.encoder import encode, perspective
from dataset.melee.controller import Controllers
from play.agent.agent import Agent, Batch, Stepper
from play.runtime.load import LoadedRun
from play.worlds.world import Frames, Match, World

Rows = Callable[[int], Stepper]
"""Makes a stepper for a number of players."""


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """Who plays: a run, or a world's own player."""

    name: str
    """What tables and files call it."""
    characters: tuple[str, ...]
    """What it plays: the first one as a pairing's own entrant, all in turns as the other."""
    run: LoadedRun | None = None
    rows: Rows | None = None
    """What steps the run."""
    level: int | None = None
    """Strength of a world's own player."""


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Two entrants that meet."""

    own: Entrant
    other: Entrant
    number: int
    """Sets its games apart from those of other pairings."""


class Game(NamedTuple):
    """One game of a cohort."""

    number: int
    match: Match
    side: int
    """Where the pairing's own entrant sits: 0, the lower port, or 1."""
    seeds: tuple[tuple[int, ...], tuple[int, ...]]
    """Of the sampling noise of either side."""


def plan(pairing: Pairing, num_games: int, stages: Sequence[str], seed: int) -> list[Game]:
    """The games of a pairing: entrants change sides after each, stages and characters after two."""
    return [_planned(pairing, number, stages, seed) for number in range(num_games)]


def _planned(pairing: Pairing, number: int, stages: Sequence[str], seed: int) -> Game:
    side, turn = number % 2, number // 2
    foes = pairing.other.characters
    stage = stages[turn % len(stages)]
    foe = foes[(turn + turn // lcm(len(stages), len(foes))) % len(foes)]  # meets every stage before it meets one again
    seats = [(pairing.own.characters[0], pairing.own.level), (foe, pairing.other.level)]
    (first, first_level), (second, second_level) = seats[::-1] if side else seats
    from_seed = np.random.SeedSequence((seed, pairing.number, number)).generate_state(1)
    match = Match((first, second), stage, int(from_seed[0]), (first_level, second_level))
    noise = (seed, pairing.number, number)
    return Game(number, match, side, ((*noise, 0), (*noise, 1)))


class Team:
    """A run in some seats of a cohort.

    Args:
        run: the run.
        rows: what steps it.
        seats: (game, side, seed of the noise) of each, the game by its row in the world.
    """

    def __init__(self, run: LoadedRun, rows: Rows, seats: Sequence[tuple[int, int, tuple[int, ...]]]) -> None:
        self.stepper = rows(len(seats))
        self._agents = [Agent(self.stepper, run.codec, delay=run.delay, seed=seed) for _, _, seed in seats]
        self._games = np.array([game for game, _, _ in seats])
        self._sides = np.array([side for _, side, _ in seats])
        self._batch = Batch(self._agents)

    def answer(self, continuous: NDArray[np.float16], indices: NDArray[np.uint16], controllers: Controllers) -> None:
        """Decide on one frame for every seat.

        Args:
            continuous: features of all games as either side sees them, [2, C, N].
            indices: [2, I, N].
            controllers: int32 [N, 2, 6], filled in at this team's seats.
        """
        at = (self._sides, slice(None), self._games)
        decided = self._batch.decide_encoded(continuous[at], indices[at])
        controllers[self._games, self._sides] = [
            agent.commit(classes) for agent, classes in zip(self._agents, decided, strict=True)
        ]


def teams_of(pairing: Pairing, games: Sequence[Game]) -> list[Team]:
    """A team for each run of a pairing; a run against itself is one team in all seats."""
    seats: list[list[tuple[int, int, tuple[int, ...]]]] = [[], []]
    for row, game in enumerate(games):
        for which, side in enumerate((game.side, 1 - game.side)):
            seats[which].append((row, side, game.seeds[side]))
    entrants = [pairing.own, pairing.other]
    if pairing.own.run is pairing.other.run:
        seats, entrants = [seats[0] + seats[1]], entrants[:1]
    return [
        Team(entrant.run, entrant.rows, own)
        for entrant, own in zip(entrants, seats, strict=True)
        if entrant.run is not None and entrant.rows is not None
    ]


def play_cohort(world: World, games: Sequence[Game], teams: Sequence[Team], num_frames: int) -> Iterator[Frames]:
    """Play games until all are over or have had ``num_frames`` frames, and yield every frame, the first one included.

    Args:
        world: where; afterwards it holds the games as they ended, for ``World.save``.
        games: what to play.
        teams: who decides, see ``teams_of``.
        num_frames: at most.
    """
    frames = world.reset([game.match for game in games])
    yield frames
    controllers = np.zeros((len(games), 2, 6), np.int32)
    for _ in range(num_frames - 1):
        if frames.is_over.all():
            return
        if teams:
            seen = encode(np.ascontiguousarray(frames.raw.T))
            views = (seen, perspective(seen, 1))
            continuous, indices = np.stack([v.continuous for v in views]), np.stack([v.indices for v in views])
            for team in teams:
                team.answer(continuous, indices, controllers)
        frames = world.step(controllers)
        yield frames
