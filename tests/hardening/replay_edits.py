"""Edits of a replay that know its structure: events, payload table, game start, metadata, container, and plain bytes.

An edit changes a ``Draft`` in place, by its dice; ``Draft.bytes`` puts together whatever is left, with whatever lies it was told.
"""

import random
import struct
from typing import Any

import numpy as np

from dataset.slippi import slp
from tests.hardening.draft import TEXTS, Draft, container, metadata, plain_bytes

LONGS = (0, 1, -1, -123, -124, -40, 77, 1000, 28_800, 2**15, 2**30, 2**31 - 1, -(2**31))
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.29, 0.2875, 0.5001, 1.0125, 0.05, 1e-42, 1e30, -1e30, 999.9, 65_504.0, 65_520.0)
FLOATS = (*FLOATS, float("inf"), float("-inf"), float("nan"))
FRAME_EVENTS = (slp.FRAME_START, slp.PRE_FRAME, slp.POST_FRAME, slp.ITEM, slp.BOOKEND)
SINCE = {
    (0, 1, 0),
    (1, 0, 0),
    (1, 4, 0),
    (1, 5, 0),
    (2, 0, 1),
    (2, 2, 0),
    (3, 0, 0),
    (3, 5, 0),
    (3, 7, 0),
    (3, 9, 0),
    (3, 11, 0),
}
VERSIONS = sorted(
    SINCE | {(3, 13, 0), (3, 14, 0), (3, 15, 0), (3, 16, 0), (3, 17, 0), (3, 19, 0), (4, 0, 0), (255, 255, 255)}
)


def _some(dice: random.Random, draft: Draft, *commands: int, most: int = 4) -> list[int]:
    places = draft.places(*commands)
    return sorted(dice.sample(places, min(len(places), dice.randint(1, most))), reverse=True)


def drop_events(dice: random.Random, draft: Draft) -> None:
    """Leave out single events of a frame, or any."""
    for place in _some(dice, draft, *((dice.choice(FRAME_EVENTS),) if dice.random() < 0.8 else ())):
        del draft.events[place]


def double_events(dice: random.Random, draft: Draft) -> None:
    """Write single events twice, at once or somewhere else, changed or not."""
    for place in _some(dice, draft, *((dice.choice(FRAME_EVENTS),) if dice.random() < 0.8 else ())):
        where = place if dice.random() < 0.6 else dice.randrange(len(draft.events))
        draft.events.insert(where, draft.events[place])
        if dice.random() < 0.3:
            _put_extreme(dice, draft, where)


def move_events(dice: random.Random, draft: Draft) -> None:
    """Exchange events near each other or anywhere, or turn a stretch round."""
    for place in _some(dice, draft, most=6):
        other = min(len(draft.events) - 1, max(0, place + dice.randint(-8, 8)))
        other = dice.randrange(len(draft.events)) if dice.random() < 0.2 else other
        draft.events[place], draft.events[other] = draft.events[other], draft.events[place]
    if dice.random() < 0.1:
        a, b = sorted(dice.choices(range(len(draft.events)), k=2))
        draft.events[a:b] = draft.events[a:b][::-1]


def cut_events(dice: random.Random, draft: Draft) -> None:
    """Leave out the end, the beginning, or a stretch in the middle."""
    a, b = sorted(dice.choices(range(len(draft.events) + 1), k=2))
    kind = dice.randrange(3)
    draft.events = [draft.events[:b], draft.events[:1] + draft.events[a:], draft.events[:a] + draft.events[b:]][kind]


def cut_payloads(dice: random.Random, draft: Draft) -> None:
    """Shorten or lengthen single payloads behind the table's back."""
    for place in _some(dice, draft, most=2):
        command, payload = draft.events[place]
        draft.events[place] = (command, payload[: dice.randrange(len(payload) + 1)] + bytes(dice.choice((0, 0, 3))))


def repeat_frames(dice: random.Random, draft: Draft) -> None:
    """Play a stretch of frames again, as a rollback does, with other values."""
    starts = draft.places(slp.FRAME_START)
    if len(starts) < 4:
        return
    first = dice.randrange(len(starts) - 2)
    last = min(len(starts) - 1, first + dice.randint(1, 9))
    again = draft.events[starts[first] : starts[last]]
    where = starts[last] if dice.random() < 0.7 else starts[dice.randrange(len(starts))]
    draft.events[where:where] = again
    for place in _some(dice, draft, *FRAME_EVENTS):
        _put_extreme(dice, draft, place)


def _put_extreme(dice: random.Random, draft: Draft, place: int, name: str | None = None) -> None:
    command, payload = draft.events[place]
    fields = slp.layout(command, len(payload)).fields or {}
    if not fields or (name is not None and name not in fields):
        return
    name = dice.choice(sorted(fields)) if name is None else name
    kind = fields[name][0]
    base = kind.base
    value: Any
    if base.kind == "f":
        value = dice.choice(FLOATS) if dice.random() < 0.7 else struct.unpack(">f", dice.randbytes(4))[0]
    elif base.kind in "iu":
        value = np.array(dice.choice((*LONGS, dice.getrandbits(32)))).astype(np.int64).astype(base)
    elif base.kind == "S":
        value = dice.randbytes(base.itemsize)
    else:  # the players of a game start
        value = np.frombuffer(dice.randbytes(kind.itemsize), kind.base).reshape(kind.shape)
    draft.put(place, name, value)


def extreme_values(dice: random.Random, draft: Draft) -> None:
    """Set fields of some events to what no game holds."""
    for place in _some(dice, draft, *((dice.choice(FRAME_EVENTS),) if dice.random() < 0.8 else ())):
        _put_extreme(dice, draft, place)


def extreme_column(dice: random.Random, draft: Draft) -> None:
    """Set one field of all events of a kind, to one value or to many."""
    command = dice.choice(FRAME_EVENTS)
    places = draft.places(command)
    if not places:
        return
    fields = sorted(slp.layout(command, len(draft.events[places[0]][1])).fields or {})
    if not fields:
        return
    name, share, seed = dice.choice(fields), dice.choice((0.05, 0.5, 1.0)), dice.getrandbits(32)
    for place in places:
        if dice.random() < share:
            _put_extreme(dice if seed % 2 else random.Random(seed), draft, place, name)


def frame_numbers(dice: random.Random, draft: Draft) -> None:
    """Move the frame numbers of some events, or of all from one on."""
    places = draft.places(*FRAME_EVENTS)
    if not places:
        return
    begin, step = dice.randrange(len(places)), dice.choice((1, -1, 5, -300, 2**20, 2**31 - 100))
    for place in places[begin : begin + (len(places) if dice.random() < 0.5 else dice.randint(1, 12))]:
        frame = struct.unpack(">i", draft.events[place][1][:4].ljust(4, b"\0"))[0]
        draft.put(place, "frame", np.int64(frame + step).astype(np.int32))


def ports(dice: random.Random, draft: Draft) -> None:
    """Give events of one player to another port, or to a follower."""
    name, share = dice.choice((("port", 1.0), ("port", 0.05), ("is_follower", 1.0), ("is_follower", 0.1)))
    value = dice.choice((0, 1, 2, 3, 4, 255))
    for place in draft.places(slp.PRE_FRAME, slp.POST_FRAME):
        if draft.events[place][1][4:5] == b"\x01" and dice.random() < share:
            draft.put(place, name, value)


def followers(dice: random.Random, draft: Draft) -> None:
    """Give a player Nana, now and then."""
    share, command = dice.choice((1.0, 0.9, 0.1)), dice.choice(((slp.PRE_FRAME,), (slp.PRE_FRAME, slp.POST_FRAME)))
    for place in reversed(draft.places(*command)):
        kind, payload = draft.events[place]
        if payload[4:5] == b"\x00" and dice.random() < share:
            draft.events.insert(place + 1, (kind, payload[:5] + b"\x01" + payload[6:]))
            if kind == slp.POST_FRAME and dice.random() < 0.9:
                draft.put(place + 1, "character", 11)


def items(dice: random.Random, draft: Draft) -> None:
    """Add items, many of them alike."""
    size = dict(draft.sizes).get(slp.ITEM, 44)
    for place in reversed(_some(dice, draft, slp.BOOKEND, slp.PRE_FRAME, most=60)):
        frame = draft.events[place][1][:4]
        draft.events.insert(place, (slp.ITEM, (frame + dice.randbytes(64))[:size]))
        if dice.random() < 0.8:
            draft.put(place, "type", dice.choice((0, 54, 99, 209, 255, 0xFFFF)))
            draft.put(place, "owner", dice.choice((0, 1, -1, 3, 127)))


def game_start(dice: random.Random, draft: Draft) -> None:
    """Change fields of the game start."""
    for place in draft.places(slp.GAME_START)[:1]:
        _, payload = draft.events[place]
        if not payload:
            return
        if dice.random() < 0.3:
            at, piece = dice.randrange(len(payload)), dice.randbytes(dice.randint(1, 12))
            draft.events[place] = (slp.GAME_START, (payload[:at] + piece + payload[at + len(piece) :])[: len(payload)])
            return
        name = dice.choice(
            ("stage", "game_number", "tiebreaker", "is_teams", "match_id", "connect_code", "display_name")
        )
        if dice.random() < 0.3:
            name = "players"
            row = np.frombuffer(bytearray(payload), slp.layout(slp.GAME_START, len(payload)))
            if "players" in (row.dtype.names or ()):
                row["players"][0][dice.choice(("character", "kind", "cpu_level", "stocks"))][dice.randrange(4)] = (
                    dice.choice((0, 1, 2, 3, 14, 18, 19, 25, 26, 32, 33, 255))
                )
                draft.events[place] = (slp.GAME_START, row.tobytes())
        elif name in ("match_id", "connect_code", "display_name"):
            text = (
                dice.choice((*TEXTS, "\u00e9\u00fc")).encode("latin-1", "replace")
                if dice.random() < 0.5
                else dice.randbytes(29)
            )
            draft.put(place, name, text)
        else:
            _put_extreme(
                dice, draft, place, name if name in (slp.layout(slp.GAME_START, len(payload)).fields or {}) else None
            )


def version(dice: random.Random, draft: Draft) -> None:
    """Say another version, with or without the payloads that it had."""
    found = dice.choice(VERSIONS) if dice.random() < 0.8 else tuple(dice.randbytes(3))
    for place in draft.places(slp.GAME_START)[:1]:
        kind, payload = draft.events[place]
        draft.events[place] = (kind, bytes(found) + payload[3:])
    if dice.random() < 0.5:
        payload_sizes(dice, draft)


def payload_sizes(dice: random.Random, draft: Draft) -> None:
    """Shorten or lengthen every payload of one event or of all, as other versions do; the table says so."""
    if not draft.sizes:
        return
    chosen = {dice.choice(draft.sizes)[0]} if dice.random() < 0.6 else {command for command, _ in draft.sizes}
    new = {
        c: max(0, size + dice.choice((-1, -2, -4, -8, -20, 4, 16, -size, 1))) for c, size in draft.sizes if c in chosen
    }
    draft.sizes = [(command, new.get(command, size)) for command, size in draft.sizes]
    draft.events = [(c, payload[: new[c]].ljust(new[c], b"\0") if c in new else payload) for c, payload in draft.events]


def payload_table(dice: random.Random, draft: Draft) -> None:
    """Let the table lie: a wrong, missing, doubled or foreign entry, or none at all."""
    if not draft.sizes:
        return
    kind, at = dice.randrange(5), dice.randrange(len(draft.sizes))
    command, size = draft.sizes[at]
    if kind == 0:
        draft.sizes[at] = (command, dice.choice((0, 1, size + 1, max(0, size - 1), 0xFFFF, size * 2)))
    elif kind == 1:
        del draft.sizes[at]
    elif kind == 2:
        draft.sizes.append((command, dice.choice((size, 0, size + 1))))
    elif kind == 3:
        draft.sizes.append((dice.randrange(256), dice.randrange(0x10000)))
    else:
        draft.sizes = [] if dice.random() < 0.3 else draft.sizes * dice.choice((2, 10))


def unknown_events(dice: random.Random, draft: Draft) -> None:
    """Add events that the table lists and nobody knows."""
    command, size = dice.choice((0x3D, 0x60, 0x10, 0x42, 0xFE)), dice.choice((1, 12, 516))
    if command not in dict(draft.sizes):
        draft.sizes.append((command, size))
    size = dict(draft.sizes)[command]
    for _ in range(dice.randint(1, 5)):
        draft.events.insert(dice.randint(0, len(draft.events)), (command, dice.randbytes(size)))


def game_end(dice: random.Random, draft: Draft) -> None:
    """Leave the game end out, double it, move it into the game, or let it say something else."""
    places = draft.places(slp.GAME_END)
    kind = dice.randrange(4)
    for place in places[:1]:
        if kind == 0:
            del draft.events[place]
        elif kind == 1:
            draft.events.insert(dice.randrange(len(draft.events)), draft.events[place])
        elif kind == 2:
            draft.put(place, "method", dice.choice((0, 1, 2, 3, 7, 8, 255)))
            draft.put(place, "quitter", dice.choice((-1, 0, 1, 3, 4, 127)))
        else:
            draft.put(place, "placements", [dice.choice((-1, 0, 1, 2, 3, 4, 127)) for _ in range(4)])


EDITS = (
    *(drop_events, double_events, move_events, cut_events, cut_payloads, repeat_frames, extreme_values, extreme_column),
    *(frame_numbers, ports, followers, items, game_start, version, payload_sizes, payload_table, unknown_events),
    *(game_end, metadata, container, plain_bytes),
)


def edited(draft: Draft, edits: tuple[int, ...]) -> bytes:
    """The file that these edits make."""
    for edit in edits:
        dice = random.Random(edit)
        dice.choice(EDITS)(dice, draft)
    return draft.bytes()
