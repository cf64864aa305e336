"""Generated duels as lists of events, to be written as older versions, without some events, or cut."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dataset.duels.generate import generate_replay
from dataset.slippi import slp
from dataset.slippi.slp import BOOKEND, FRAME_START, GAME_END, GAME_START, ITEM, POST_FRAME, PRE_FRAME

Event = tuple[int, bytes]
"""Command and payload."""

ICE_CLIMBERS = 14
SIZES = {
    (3, 18, 0): {command: layout.itemsize for command, layout in slp.LAYOUTS.items()},
    (2, 2, 0): {GAME_START: 418, PRE_FRAME: 63, POST_FRAME: 52, GAME_END: 2, FRAME_START: 8},
    (2, 0, 1): {GAME_START: 418, PRE_FRAME: 63, POST_FRAME: 51, GAME_END: 2},
    (1, 5, 0): {GAME_START: 417, PRE_FRAME: 63, POST_FRAME: 37, GAME_END: 1},
}
"""Payload bytes of some versions, as real files have them."""
WITH_SHORT_BOOKENDS = {
    (3, 6, 0): {GAME_START: 418, PRE_FRAME: 63, POST_FRAME: 72, GAME_END: 2, FRAME_START: 8, ITEM: 42, BOOKEND: 4},
    (3, 0, 0): {GAME_START: 418, PRE_FRAME: 63, POST_FRAME: 52, GAME_END: 2, FRAME_START: 8, ITEM: 37, BOOKEND: 4},
}
"""Of versions that peppi 0.8.6 cannot read."""
OF_A_FRAME = (FRAME_START, PRE_FRAME, ITEM, POST_FRAME, BOOKEND)


@dataclass(frozen=True)
class Recording:
    """A file in pieces."""

    events: tuple[Event, ...]
    sizes: dict[int, int]
    metadata: dict[str, Any]

    def raw(self) -> bytes:
        """The events with their table."""
        listed = b"".join(bytes([command]) + size.to_bytes(2, "big") for command, size in self.sizes.items())
        head = bytes([slp.PAYLOAD_SIZES, len(listed) + 1]) + listed
        return head + b"".join(bytes([command]) + payload for command, payload in self.events)

    def file(self) -> bytes:
        """The whole file."""
        return slp.pack(self.raw(), self.metadata)

    def without(self, *places: int) -> "Recording":
        """Without the events at ``places``."""
        return replace(self, events=tuple(event for at, event in enumerate(self.events) if at not in places))

    def with_again(self, place: int) -> "Recording":
        """With the event at ``place`` twice."""
        return replace(self, events=(*self.events[: place + 1], *self.events[place:]))

    def changed(self, place: int, payload: bytes) -> "Recording":
        """With another payload at ``place``."""
        command = self.events[place][0]
        return replace(self, events=(*self.events[:place], (command, payload), *self.events[place + 1 :]))

    def places(self, frame: int) -> list[int]:
        """Where the events of a frame stand, items left out."""
        kinds = set(OF_A_FRAME) - {ITEM}
        return [at for at, (kind, payload) in enumerate(self.events) if kind in kinds and number(payload) == frame]


def number(payload: bytes) -> int:
    """The frame of an event's payload."""
    return int.from_bytes(payload[:4], "big", signed=True)


def record(folder: Path, version: tuple[int, int, int] = (3, 18, 0), *, has_nana: bool = False) -> Recording:
    """A duel of 200 frames as ``version`` would have recorded it; with Nana, who does what the first player does."""
    path = folder / "duel.slp"
    generate_replay(path, seed=3, frames=200)
    raw, metadata = slp.read_slp(path)
    events = [(command, bytes(payload)) for command, payload in slp.events(raw)]
    if has_nana:
        events = [found for event in events for found in _with_nana(event)]
    sizes = (SIZES | WITH_SHORT_BOOKENDS)[version]
    events = [(command, payload[: sizes[command]]) for command, payload in events if command in sizes]
    start = bytes(version) + events[0][1][3:]
    return Recording(((GAME_START, start), *events[1:]), dict(sizes), metadata)


def _with_nana(event: Event) -> list[Event]:
    command, payload = event
    if command == GAME_START:
        character = slp.LAYOUTS[GAME_START].fields["players"][1]  # type: ignore[index]
        return [(command, payload[:character] + bytes([ICE_CLIMBERS]) + payload[character + 1 :])]
    if command in (PRE_FRAME, POST_FRAME) and payload[4] == 0:
        return [event, (command, payload[:5] + b"\1" + payload[6:])]
    return [event]
