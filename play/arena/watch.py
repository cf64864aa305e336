"""``--watch``: one game of a cohort, live in the terminal.

Games are slowed down to 60 frames per second, never more, and never made up for: where the machine is slower, the picture is
slower too. Watching reads what the world shows and changes nothing. The first game of a pairing is shown; once it is over and its
end has been seen, the next one that still goes on.
"""

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dataset.features.layout import RAW_ROW
from dataset.melee.winner import winner
from dataset.schema import FIRST_FRAME, FRAMES_PER_SECOND, SIDES
from play.arena.cohort import Game, Pairing
from play.arena.picture import SIDE_STYLES, Shown, fighter, picture
from play.loop.gauges import Gauge, disc, pressed, stock_dots, trigger
from play.worlds.world import Frames

DRAWS_PER_SECOND = 15
END_S = 2.0
"""How long the end of a game is shown."""
LEAST_COLUMNS, LEAST_ROWS = 76, 20
_PANEL_ROWS = 10
"""Of the terminal, taken by everything but the picture."""
_LATE_S = 0.1
"""A machine that is later than this is not expected to catch up."""


class Watch:
    """Shows games on a terminal, one at a time; a context in which the terminal is taken.

    Args:
        console: a terminal.
        now: a clock in seconds.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        console: Console,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._console, self._now, self._sleep = console, now, sleep
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, pairing: Pairing, games: Sequence[Game], num_frames: int, *, has_platforms: bool) -> None:
        """Show games of this pairing from now on.

        Args:
            pairing: who plays.
            games: the cohort, in the world's order.
            num_frames: most frames of a game.
            has_platforms: whether the world's stages have platforms.
        """
        self._games, self._num_frames, self._has_platforms = games, num_frames, has_platforms
        self._names = [
            (pairing.other.name, pairing.own.name) if game.side else (pairing.own.name, pairing.other.name)
            for game in games
        ]
        self._game, self._frame, self._over_for = 0, 0, 0
        self._gauge = Gauge()
        self._due, self._last_draw = self._now(), -1.0
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, screen=True)
            self._live.start()

    def show(self, frames: Frames) -> None:
        """Wait until this frame is due, and draw it if it is time to draw."""
        self._choose(frames)
        self._pace()
        self._frame += 1
        now, is_last = self._now(), bool(frames.is_over.all())
        if is_last or now - self._last_draw >= 1 / DRAWS_PER_SECOND:
            self._last_draw = now
            assert self._live is not None, "begin comes first"
            self._live.update(self.drawn(frames), refresh=True)
        if is_last:
            self._sleep(END_S)

    def _choose(self, frames: Frames) -> None:
        """Go on to the next game that still goes on, once the end of this one has been shown."""
        self._over_for = self._over_for + 1 if frames.is_over[self._game] else 0
        if self._over_for > END_S * FRAMES_PER_SECOND and not frames.is_over.all():
            going_on = np.flatnonzero(~frames.is_over)
            after = going_on[going_on > self._game]
            self._game, self._over_for = int(after[0] if len(after) else going_on[0]), 0

    def _pace(self) -> None:
        now = self._now()
        if now < self._due:
            self._sleep(self._due - now)
        elif now > self._due + _LATE_S:
            self._due = now
        self._due += 1 / FRAMES_PER_SECOND

    def drawn(self, frames: Frames) -> RenderableType:
        """The whole view of the game that is watched."""
        columns, rows = self._console.size
        if columns < LEAST_COLUMNS or rows < LEAST_ROWS:
            least = f"{LEAST_COLUMNS} columns and {LEAST_ROWS} rows"
            return Text(f"--watch: needs {least}, found {columns} and {rows}; make the window larger")
        raw, controllers = frames.raw[self._game], frames.controllers[self._game]
        fighters = [fighter(raw, side) for side in SIDES]
        panels = Table.grid(padding=(0, 2), expand=True)
        for _ in SIDES:
            panels.add_column(ratio=1, overflow="ellipsis", no_wrap=True)
        panels.add_row(*(self._panel(side, shown, controllers[side]) for side, shown in enumerate(fighters)))
        return Group(
            self._heading(raw, frames, fighters),
            picture(raw, columns, rows - _PANEL_ROWS, has_platforms=self._has_platforms),
            Text(),
            panels,
        )

    def _heading(self, raw: NDArray[np.float32], frames: Frames, fighters: Sequence[Shown]) -> Text:
        played_s, most_s = (int(n) / FRAMES_PER_SECOND for n in (raw[RAW_ROW["frame"]] - FIRST_FRAME, self._num_frames))
        pace = self._gauge.read(self._frame, self._now())
        match = self._games[self._game].match
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"game {self._game + 1} of {len(self._games)}", style="bold")
        text.append(f"  {match.stage.replace('_', ' ')}  {_clock(played_s)} of {_clock(most_s)}")
        text.append(f"  {pace:.0f} frames/s  games over: {int(frames.is_over.sum())} of {len(self._games)}")
        if frames.is_over[self._game]:
            text.append(f"  {self._ending(fighters)}", style="bold green")
        return text

    def _ending(self, fighters: Sequence[Shown]) -> str:
        stocks, percents = [each.stocks for each in fighters], [each.percent for each in fighters]
        won = winner(stocks, percents, is_time_up=True)
        return "a draw" if won is None else f"{self._names[self._game][won]} has won"

    def _panel(self, side: int, shown: Shown, controller: NDArray[np.int32]) -> RenderableType:
        main_x, main_y, c_x, c_y, shoulder, buttons = (int(value) for value in controller)
        character = self._games[self._game].match.characters[side].replace("_", " ")
        score = Text(no_wrap=True, overflow="ellipsis")
        score.append(f"{side + 1} {self._names[self._game][side]}", style=SIDE_STYLES[side])
        score.append(f", {character}\n{stock_dots(shown.stocks)} {shown.percent:3.0f} %  {shown.doing}")
        sticks = Table.grid(padding=(0, 2))
        shoulders = Text(f"trigger\n{trigger(shoulder)}\nbuttons\n{pressed(buttons)}")
        sticks.add_row(Text(f"main\n{disc(main_x, main_y)}"), Text(f"c\n{disc(c_x, c_y)}"), shoulders)
        return Group(score, sticks)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
