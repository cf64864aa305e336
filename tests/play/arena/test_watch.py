"""Watching: which game is shown, how fast, and that nobody plays otherwise for it."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from rich.console import Console

from play.arena.cohort import Entrant, Game, Pairing, plan, play_cohort
from play.arena.watch import DRAWS_PER_SECOND, END_S, Watch
from play.worlds.world import Frames
from tests.play.arena.builders import Fields, columns

PAIRING = Pairing(
    own=Entrant(name="mine", characters=("mewtwo",)),
    other=Entrant(name="scripted", characters=("fox",), level=3),
    number=0,
)
GAMES = plan(PAIRING, 3, ["final_destination"], 0)


class Clock:
    """Time that goes by when somebody sleeps, and by ``busy_s`` whenever it is asked for."""

    def __init__(self, busy_s: float = 0.0) -> None:
        self.at, self.busy_s, self.slept = 0.0, busy_s, 0.0

    def now(self) -> float:
        self.at += self.busy_s
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds
        self.slept += seconds


def terminal(columns: int = 100, rows: int = 36, drawn: io.StringIO | None = None) -> Console:
    return Console(file=drawn or io.StringIO(), force_terminal=True, width=columns, height=rows)


def watching(clock: Clock, console: Console | None = None) -> Watch:
    watch = Watch(console or terminal(), clock.now, clock.sleep)
    watch.begin(PAIRING, GAMES, 7200, has_platforms=False)
    return watch


def frames(*is_over: bool, **values: float) -> Frames:
    return Frames(columns(len(is_over), **values), np.zeros((len(is_over), 2, 6), np.int32), np.array(is_over))


def shown(watch: Watch, now: Frames) -> str:
    plain = Console(width=100, height=36, color_system=None)
    with plain.capture() as text:
        plain.print(watch.drawn(now))
    return text.get()


@pytest.fixture
def watch() -> Iterator[Watch]:
    with watching(Clock()) as made:
        yield made


def test_all_that_matters_of_a_game_is_shown(watch: Watch) -> None:
    now = frames(False, False, True, frame=3600 - 123 + 300, a_percent=83.4, a_stocks=2, b_action_state=58)
    now.controllers[0, 0] = (80, 0, 0, -80, 70, 0x0100 | 0x0400)
    text = shown(watch, now)
    for part in (
        *("game 1 of 3", "final destination", "1:05 of 2:00", "games over: 1 of 3"),
        *("1 mine, mewtwo", "●●○○  83 %", "2 scripted, fox", "forward smash", "▮▮▮▯▯", "A X", "1▶"),
    ):
        assert part in text
    assert len(text.splitlines()) == 36, "as high as the terminal"


def test_names_stay_with_their_seats() -> None:
    assert [game.side for game in GAMES] == [0, 1, 0]
    with watching(Clock()) as watch:
        over = frames(True, False, False)
        for _ in range(round(60 * END_S) + 2):
            watch.show(over)
        assert "game 2 of 3" in shown(watch, over)
        assert "1 scripted, fox" in shown(watch, over)
        assert "2 mine, mewtwo" in shown(watch, over)


def test_the_end_of_a_game_is_seen_before_the_next_one_that_goes_on(watch: Watch) -> None:
    over = frames(True, True, False, a_stocks=0)
    for _ in range(round(60 * END_S)):
        watch.show(over)
    assert "game 1 of 3" in shown(watch, over)
    assert "scripted has won" in shown(watch, over)
    watch.show(over)
    assert "game 3 of 3" in shown(watch, over)
    assert "a draw" in shown(watch, frames(True, True, True))


def test_games_are_slowed_down_to_60_frames_a_second_and_drawn_less_often() -> None:
    clock, drawn = Clock(), io.StringIO()
    with watching(clock, terminal(drawn=drawn)) as watch:
        for _ in range(121):
            watch.show(frames(False, False, False))
        assert clock.slept == pytest.approx(2.0, abs=0.02)
    text = drawn.getvalue()
    assert 1.6 * DRAWS_PER_SECOND <= text.count("game 1 of 3") <= 2 * DRAWS_PER_SECOND + 1


def test_a_slow_machine_is_neither_slowed_down_nor_made_to_catch_up() -> None:
    clock = Clock(busy_s=0.05)
    with watching(clock) as watch:
        for _ in range(30):
            watch.show(frames(False, False, False))
        assert clock.slept < 0.1
        clock.busy_s = 0.0
        before = clock.slept
        for _ in range(60):
            watch.show(frames(False, False, False))
        assert clock.slept - before == pytest.approx(1.0, abs=0.15)


def test_a_small_window_is_told_what_it_needs(watch: Watch) -> None:
    small = Watch(terminal(60, 36))
    assert "needs 76 columns and 20 rows, found 60 and 36" in shown(small, frames(False))


class Interrupted(Clock):
    def sleep(self, seconds: float) -> None:
        raise KeyboardInterrupt


def test_the_terminal_is_given_back_whatever_happens() -> None:
    drawn = io.StringIO()
    with pytest.raises(KeyboardInterrupt), watching(Interrupted(), terminal(drawn=drawn)) as watch:
        watch.show(frames(True, True, True))
    text = drawn.getvalue()
    assert text.index("\x1b[?1049h") < text.index("game 1 of 3") < text.index("\x1b[?1049l")


def played(watch: Watch | None) -> list[bytes]:
    games: list[Game] = plan(PAIRING, 4, ["battlefield", "dream_land"], 3)
    if watch is not None:
        watch.begin(PAIRING, games, 60, has_platforms=True)
    found = []
    for now in play_cohort(Fields(), games, [], 60):
        if watch is not None:
            watch.show(now)
        found.append(now.raw.tobytes())
    return found


def test_watching_changes_no_frame(watch: Watch) -> None:
    assert played(watch) == played(None)
