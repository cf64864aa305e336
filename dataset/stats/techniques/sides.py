"""Frames of whole games as numpy arrays, one player at a time, for what spans do not tell: sticks, triggers, hitlag, attacks.

An ``act`` is a player's time in one action state, as a span is, but a state that starts over (its frame count goes back) is a
new act: two up tilts in a row are two acts (slippi-js's rule). Rows are positions in the arrays, [N] for all games one after
another; [G] is one value a game.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataset.schema import SIDES
from dataset.stats.rules import Flags
from dataset.store.quality import stick_zones

SIDE_COLUMNS = (
    *("character", "action_state", "action_frame", "x", "y", "facing", "percent", "stocks", "on_ground", "hitlag"),
    *("speed_attack_x", "speed_attack_y", "last_attack_landed", "l_cancel"),
    *("main_x", "main_y", "c_x", "c_y", "trigger", "buttons", "trigger_l", "trigger_r"),
)
"""What is looked at of each side."""

COLUMNS = ("replay", "frame", "stage", *(f"{side}_{name}" for side in SIDES for name in SIDE_COLUMNS))
"""Columns of the frame table that are read; one that a game lacks makes what needs it unknown there, never zero."""

Rows = NDArray[np.int64]
Values = NDArray[Any]

PART_FRAMES = 200_000
"""Frames looked at together, rounded up to a whole game."""


class Tables:
    """Some whole games: where each begins, and their columns."""

    def __init__(self, frames: pl.DataFrame, lengths: Rows, number: int, nulls: set[str]) -> None:
        self.lengths: Rows = lengths
        self.first: Rows = np.cumsum(lengths) - lengths
        """[G] the row at which a game begins."""
        self._number = number
        self._frames = frames
        self._there, self._nulls = set(frames.columns), nulls
        self._columns: dict[str, Values] = {}

    @classmethod
    def split(cls, frames: pl.DataFrame) -> Iterator[Self]:
        """The games of ``frames`` in parts that a processor's cache can hold."""
        lengths = frames["replay"].rle().struct.field("len").to_numpy().astype(np.int64)
        ends = np.cumsum(lengths)
        part = (ends - lengths) // PART_FRAMES
        nulls = {column.name for column in frames.iter_columns() if column.null_count()}
        for games in np.split(np.arange(len(lengths)), np.flatnonzero(np.diff(part)) + 1):
            start, end = ends[games[0]] - lengths[games[0]], ends[games[-1]]
            yield cls(frames[start:end], lengths[games], int(games[0]), nulls)

    def __getitem__(self, name: str) -> Values:
        """[N] a column; 0 where it is null or missing."""
        if name not in self._columns:
            if name in self._there:
                found = self._frames[name]
                self._columns[name] = (found.fill_null(0) if name in self._nulls else found).to_numpy()
            else:
                self._columns[name] = np.zeros(len(self._frames), np.int8)
        return self._columns[name]

    def tells(self, names: Sequence[str]) -> Flags:
        """[G] whether a game records all these columns."""
        told = np.ones(len(self.first), np.bool_)
        for name in names:
            if name not in self._there:
                told[:] = False
            elif name in self._nulls:
                told &= self._frames[name].is_not_null().to_numpy()[self.first]
        return told

    def game(self, rows: Rows) -> Rows:
        """The game of each row."""
        return np.searchsorted(self.first, rows, "right") - 1

    def players(self, games: Any, side: int) -> Any:
        """The players of games as ``dataset.stats.techniques.spans.find_spans`` numbers them."""
        return 2 * (games + 1 + self._number) + side

    def totals(self, flags: Flags) -> Rows:
        """[G] how many frames of each game are flagged."""
        parts = [
            np.count_nonzero(flags[first : first + length])
            for first, length in zip(self.first, self.lengths, strict=True)
        ]
        return np.array(parts, np.int64)

    def before(self, values: Values) -> Values:
        """[N] each row's value one frame earlier; at a game's first frame its own."""
        shifted = np.empty_like(values)
        shifted[1:] = values[:-1]
        shifted[self.first] = values[self.first]
        return shifted

    @cached_property
    def _times(self) -> Rows:
        return (np.repeat(np.arange(len(self.first)), self.lengths) << 32) + self["frame"]

    def rows(self, moments: "Moments", side: int) -> Rows:
        """The rows of those moments that are a side's of these games."""
        players = moments.player
        is_here = (players % 2 == side) & (players >= self.players(0, 0)) & (players < self.players(len(self.first), 0))
        games = players[is_here] // 2 - self.players(0, 0) // 2
        return np.sort(np.searchsorted(self._times, (games << 32) + moments.frame[is_here]))


class Moments(NamedTuple):
    """When players did something in all games: [M] each."""

    player: Rows
    frame: Rows

    @classmethod
    def of(cls, table: pl.DataFrame, frame: str = "frame") -> Self:
        """The moments of a table of events or conversions."""
        return cls(table["player"].to_numpy().astype(np.int64), table[frame].to_numpy().astype(np.int64))


class Acts(NamedTuple):
    """Acts of a player in all games, in order; [A] each."""

    row: Rows
    """Where it begins."""
    state: Values
    before: Values
    """The action state on the frame before, -1 at the start of a game."""
    after: Values
    """The action state of the next act, -1 for the last of a game."""
    frames: Rows
    """How long it lasts."""


class Side:
    """One player in some whole games."""

    def __init__(self, tables: Tables, number: int) -> None:
        self.tables, self.number, self.prefix = tables, number, SIDES[number]

    def __getitem__(self, name: str) -> Values:
        return self.tables[f"{self.prefix}_{name}"]

    @cached_property
    def other(self) -> "Side":
        """The opponent."""
        return Side(self.tables, 1 - self.number)

    @cached_property
    def acts(self) -> Acts:
        """What the player does, one thing after another."""
        state, age = self["action_state"].astype(np.int16), self["action_frame"]
        is_new = (state != self.tables.before(state)) | (age < self.tables.before(age))
        is_new[self.tables.first] = True
        row = np.flatnonzero(is_new)
        frames = np.diff(row, append=len(state))
        found = state[row]
        before = state[row - 1]
        before[np.isin(row, self.tables.first)] = -1
        after = np.append(found[1:], -1)
        after[np.searchsorted(row, self.tables.first[1:]) - 1] = -1
        return Acts(row, found, before, after, frames)

    @cached_property
    def state(self) -> Rows:
        """[N] the action state, as an index into tables of all states."""
        return self["action_state"].astype(np.intp)

    @cached_property
    def losses(self) -> Rows:
        """Where a stock is lost."""
        stocks = self["stocks"]
        return np.flatnonzero(stocks < self.tables.before(stocks))

    @cached_property
    def zones(self) -> Values:
        """[N] where the main stick is (``stick_zones``)."""
        return stick_zones(self["main_x"], self["main_y"])

    @cached_property
    def pressed(self) -> Values:
        """[N] bits of the buttons that go down."""
        buttons = self["buttons"]
        return buttons & ~self.tables.before(buttons)
