"""Dolphin as a world: with a program that answers libmelee as a Dolphin does, and with sessions by hand."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path
from typing import Any, ClassVar

import melee
import numpy as np
import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError, DolphinError
from dataset.features.encoder import controller_matrix
from dataset.features.layout import RAW_NAMES, RAW_ROW
from dataset.melee.controller import D_LEFT, START, A, L
from ingest.replay.parse import parse_columns
from play.dolphin import match as dolphin_match
from play.dolphin.session import Ended, Event, Frame, Lost, Menu
from play.worlds.dolphin import DolphinSettings, DolphinWorld, dolphin_kind
from play.worlds.world import Match
from tests.play.agent.test_libmelee_columns import fighter
from tests.play.fake_dolphin import write_fake_dolphin, write_fake_iso
from tests.play.worlds.test_duel import raw_of, rest

AGAINST_CPU = Match(("mewtwo", "fox"), "battlefield", 1, (None, 9))
CPU_FIRST = Match(("peach", "mewtwo"), "final_destination", 2, (4, None))
TWO_RUNS = Match(("mewtwo", "falco"), "yoshis_story", 3)
FRAMES = 60


@pytest.fixture
def settings(tmp_path: Path) -> DolphinSettings:
    """The disc has one game."""
    game = tmp_path / "game.slp"
    generate_replay(game, seed=5, frames=FRAMES)
    return DolphinSettings(
        dolphin=write_fake_dolphin(tmp_path).parent,
        iso=write_fake_iso(tmp_path / "melee.iso", game),
        at_once=2,
        is_headless=False,
    )


def test_games_run_side_by_side_and_their_rows_are_those_of_the_replays(
    settings: DolphinSettings, tmp_path: Path
) -> None:
    """What the program plays does not react to controllers."""
    before = set(active_children())
    world = dolphin_kind(settings).make(FRAMES + 10)
    try:
        frames = [world.reset([AGAINST_CPU, CPU_FIRST])]
        while not frames[-1].is_over.all():
            frames.append(world.step(rest(2)))
        for game in range(2):
            world.save(game, tmp_path / f"{game}.slp")
    finally:
        world.close()
    assert set(active_children()) == before
    columns = parse_columns(tmp_path / "game.slp", rollback="last").columns
    shown = [row for row, name in enumerate(RAW_NAMES) if not name.endswith("_misc")]  # libmelee shows only hitstun
    assert len(frames) == FRAMES + 1  # the last one shows that the games have ended
    for game in range(2):
        live = np.stack([frame.raw[game] for frame in frames[:FRAMES]])
        np.testing.assert_array_equal(live[:, shown], raw_of(columns)[:, shown])
        read = np.stack([frame.controllers[game] for frame in frames[:FRAMES]])
        for side, name in enumerate("ab"):
            np.testing.assert_array_equal(read[:, side], controller_matrix(columns, name))
        assert (tmp_path / f"{game}.slp").read_bytes() == (tmp_path / "game.slp").read_bytes()
    np.testing.assert_array_equal(frames[-1].raw, frames[-2].raw)


class Scripted:
    """A session that gives these events and keeps what it is sent."""

    zero_indices: ClassVar[dict[int, list[int]]] = {}
    flushed_at = 0.0

    def __init__(self, match: dolphin_match.Match, events: Sequence[Event]) -> None:
        self.match, self.events, self.num_closed = match, list(events), 0
        self.sent: list[list[list[int]]] = []

    def next(self, *, wait: bool = True) -> Event:
        return self.events.pop(0)

    def send(self, *controllers: Any) -> None:
        self.sent.append([each.tolist() for each in controllers])

    def navigate(self, menu: Menu) -> None: ...

    def close(self) -> None:
        self.num_closed += 1


def frame(number: int, stocks: tuple[int, int] = (4, 4), ports: tuple[int, int] = (1, 2)) -> Frame:
    players = {port: fighter(stock=stock) for port, stock in zip(ports, stocks, strict=True)}
    return Frame(melee.GameState(frame=number, stage=melee.Stage.BATTLEFIELD, players=players), number, 0.0)


WorldOf = Callable[..., tuple[DolphinWorld, list[Scripted]]]


@pytest.fixture
def world_of(settings: DolphinSettings) -> Iterator[WorldOf]:
    """Makes a world whose sessions all give the same events, and those that it opens; closes it after the test."""
    with ExitStack() as stack:

        def make(*events: Event, limit: int = 100, is_headless: bool = False) -> tuple[DolphinWorld, list[Scripted]]:
            opened: list[Scripted] = []

            def open_session(match: dolphin_match.Match) -> Any:
                opened.append(Scripted(match, events))
                return opened[-1]

            chosen = replace(settings, is_headless=is_headless)
            return stack.enter_context(closing(DolphinWorld(chosen, limit, open_session))), opened

        yield make


def test_each_side_is_played_on_its_port(world_of: WorldOf) -> None:
    events = [Menu(None), *(frame(number) for number in range(-123, -120))]
    world, opened = world_of(*events, is_headless=True)
    world.reset([AGAINST_CPU, CPU_FIRST, TWO_RUNS])
    first, second, third = (session.match for session in opened)
    assert (first.port, first.character.name, first.cpu and first.cpu.name, first.cpu_level) == (1, "mewtwo", "fox", 9)
    assert (second.port, second.character.name, second.cpu and second.cpu.name) == (2, "mewtwo", "peach")
    assert (second.cpu_level, second.stage.name, second.is_headless) == (4, "final_destination", True)
    assert (third.port, third.cpu, third.rival and third.rival.name) == (1, None, "falco")
    assert all(match.is_blocking for match in (first, second, third))
    controllers = rest(3)
    controllers[:, 0, 0], controllers[:, 1, 0] = 10, 20
    world.step(controllers)
    assert [[pad[0] for pad in session.sent[0]] for session in opened] == [[10, 20], [20, 10], [10, 20]]


def test_a_game_is_over_at_the_last_stock_and_ends_before_its_replay_is_copied(
    world_of: WorldOf, tmp_path: Path
) -> None:
    events = [frame(-123), frame(-122, (4, 0)), *(frame(number, (4, 0)) for number in (-121, -120)), Ended()]
    world, opened = world_of(*events)
    assert not world.reset([AGAINST_CPU]).is_over[0]
    controllers = rest(1)
    controllers[..., 5] = A
    over = world.step(controllers)
    assert over.is_over.tolist() == [True]
    assert over.raw[0, RAW_ROW["frame"]] == -122
    np.testing.assert_array_equal(world.step(controllers).raw, over.raw)
    opened[0].match.replay_dir.mkdir(parents=True)
    (opened[0].match.replay_dir / "Game_1.slp").write_bytes(b"a replay")
    world.save(0, tmp_path / "saved.slp")
    assert (tmp_path / "saved.slp").read_bytes() == b"a replay"
    assert opened[0].events == []
    assert [pads[0][5] for pads in opened[0].sent] == [A, 0, 0, 0]


def test_the_time_ends_a_game_and_a_game_without_a_replay_is_an_error(world_of: WorldOf, tmp_path: Path) -> None:
    world, _ = world_of(*(frame(number) for number in range(-123, -120)), limit=2)
    assert world.reset([AGAINST_CPU]).is_over.tolist() == [False]
    assert world.step(rest(1)).is_over.tolist() == [True]
    with pytest.raises(DolphinError, match="must keep a replay of the game, found none"):
        world.save(0, tmp_path / "saved.slp")


def test_every_dolphin_is_closed_also_when_one_does_not_start(world_of: WorldOf) -> None:
    world, opened = world_of(frame(-123))
    world.reset([AGAINST_CPU, TWO_RUNS])
    world.close()
    assert [session.num_closed for session in opened] == [1, 1]
    both = Match(("mewtwo", "fox"), "battlefield", 1, (3, 3))
    with pytest.raises(ConfigError, match="one of both sides must be played by a run"):
        world.reset([AGAINST_CPU, both])
    world.close()
    assert [session.num_closed for session in opened] == [1, 1, 1]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (Lost("Dolphin exited with code 1"), r"game 0 of the arena: broke off \(Dolphin exited with code 1\)"),
        (frame(-120), "must give frame -122 of players on ports 1 and 2, found frame -120"),
        (frame(-122, ports=(1, 3)), r"found frame -122 of ports \(1, 3\)"),
    ],
)
def test_a_game_that_breaks_off_is_an_error(world_of: WorldOf, event: Event, message: str) -> None:
    world, _ = world_of(frame(-123), event)
    world.reset([AGAINST_CPU])
    with pytest.raises(DolphinError, match=message):
        world.step(rest(1))


def test_controllers_are_read_in_the_units_of_replays(world_of: WorldOf) -> None:
    state = melee.ControllerState(main_stick=(0.0, 1.0), c_stick=(0.5 - 23 / 160, 0.5), l_shoulder=49 / 140)
    for button in ("A", "START", "L", "D_LEFT"):
        state.button[melee.Button(button)] = True
    first = frame(-123)
    first.game.players[2].controller_state = state
    world, _ = world_of(first)
    read = world.reset([AGAINST_CPU]).controllers[0]
    assert read.tolist() == [[0] * 6, [-80, 80, -23, 0, 49, A | START | L | D_LEFT]]


def test_it_knows_what_a_cpu_can_play_and_how_strong_it_is(settings: DolphinSettings) -> None:
    kind = dolphin_kind(settings)
    assert (kind.own_player, list(kind.levels), kind.at_once) == ("cpu", list(range(1, 10)), 2)
    assert set(kind.characters) - set(kind.own_characters) == {"sheik"}


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"dolphin": None}, ConfigError, "--world dolphin: needs --dolphin, found none"),
        ({"iso": None}, ConfigError, "--world dolphin: needs --iso, found none"),
        ({"iso": Path("nowhere.iso")}, DolphinError, "nowhere.iso"),
        ({"dolphin": Path("nowhere")}, DolphinError, "nowhere"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_loaded(
    settings: DolphinSettings, changed: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        dolphin_kind(replace(settings, **changed))
