"""Spectator packets of a stranger's Dolphin: JSON that is no message, events that no game has, in any order.

A session reads from a connection of this process instead of libmelee's socket, so that thousands of messages a second can be
tried; the bytes take the same way from there on.
"""

import base64
import copy
import json
import logging
import os
import random
import struct
import warnings
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from dataset.errors import DolphinError
from dataset.slippi import slp
from tests.hardening.campaign import Case, Part, WrongError
from tests.hardening.parts.replays import whole_game

MESSAGES = 500
"""Of one case."""


class _Buffer:
    """The reading end of the pipe from libmelee's worker."""

    def __init__(self) -> None:
        self.packets: deque[bytes] = deque()

    def poll(self, timeout: float = 0) -> bool:
        return bool(self.packets)

    def recv_bytes(self) -> bytes:
        return self.packets.popleft()

    def close(self) -> None:
        pass


class Spectator(Part):
    """Sessions fed with messages; a case is five hundred of them, or fewer, if the session ends sooner."""

    name = "spectator"
    limit_s = 10.0
    most_edits = 3

    def prepare(self) -> None:
        """Take a game apart into messages."""
        raws = [slp.read_slp(whole_game(seed))[0] for seed in range(3)]
        self.messages = [slp.split_messages(raw) for raw in raws]
        self.messages += [_one_by_one(raw) for raw in raws]
        self.packets = [[_event(payload) for payload in game] for game in self.messages]
        (self.scratch / "Pipes").mkdir()
        (self.scratch / "Config").mkdir()
        (self.scratch / "Config" / "Dolphin.ini").write_text("[Core]\n")
        os.mkfifo(self.scratch / "Pipes" / "slippibot1")
        self._reader = os.open(self.scratch / "Pipes" / "slippibot1", os.O_RDONLY | os.O_NONBLOCK)
        self._sent = 0
        import melee

        self._template = melee.Console(
            is_remote=True, dolphin_home_path=str(self.scratch), polling_mode=True, blocking_input=False
        )
        self._level = logging.getLogger().level
        logging.getLogger().setLevel(logging.CRITICAL)  # libmelee tells of every event it does not know

    def close(self) -> None:
        """Let others log again."""
        logging.getLogger().setLevel(self._level)
        os.close(self._reader)

    def weight(self, cases: Sequence[Case]) -> int:
        """Messages that sessions have read since the last batch."""
        sent, self._sent = self._sent, 0
        return sent

    def attempt(self, cases: Sequence[Case]) -> None:
        """Feed a session."""
        for case in cases:
            dice = random.Random(case.seed)
            feed = self._feed(dice, [random.Random(edit) for edit in case.edits])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numpy tells of overflows in libmelee
                self._session(feed)

    def _feed(self, dice: random.Random, edits: list[random.Random]) -> list[bytes]:
        """Packets of a game, of which each of the edits spoils some."""
        number = dice.randrange(len(self.messages) // 2) if dice.random() < 0.1 else dice.randrange(len(self.messages))
        game, sent = self.messages[number], self.packets[number]
        begin = dice.randrange(max(1, len(game) - MESSAGES)) if dice.random() < 0.3 else 0
        events = [game[0], *game[1 + begin : MESSAGES + begin]]
        packets = [sent[0], *sent[1 + begin : MESSAGES + begin]]
        for edit in edits:
            share = edit.choice((0.005, 0.02, 0.1))
            for at in range(len(packets)):
                if edit.random() < share:
                    packets[at] = _spoiled(edit, events[at % len(events)])
            if edit.random() < 0.1:
                edit.shuffle(packets)
        return packets

    def _console(self) -> tuple[Any, "_Buffer"]:
        """A console as it is when it has just connected, and the end to feed it from; a new one would read tables for 35 ms."""
        import melee

        console = copy.copy(self._template)
        for name in ("eventsize", "_costumes", "_cpu_level", "_team_id"):
            setattr(console, name, copy.copy(getattr(self._template, name)))
        console._prev_gamestate = melee.GameState()
        console._slippstream = stream = copy.copy(self._template._slippstream)
        stream._buffer = buffer = _Buffer()
        stream._worker, stream.running = None, True
        return console, buffer

    def _session(self, packets: list[bytes]) -> None:
        import melee

        from play.dolphin.session import OLDEST_LIVE, Ended, Frame, Lost, Menu, Patience, Session

        console, buffer = self._console()
        pad = melee.Controller(console, 1)
        pad.connect()
        session = Session(console, [pad], oldest=OLDEST_LIVE, patience=Patience(silence_s=0.05, pause_s=0.05))
        try:
            for packet in packets:
                buffer.packets.append(packet)
                self._sent += 1
                try:
                    event = session.next(wait=False)
                except DolphinError:
                    self.tally["refused"] += 1
                    break
                self.tally[type(event).__name__] += 1
                if not isinstance(event, Frame | Menu | Ended | Lost | None):
                    raise WrongError("message", f"a session gave {event!r}")
                if isinstance(event, Lost):
                    break
                with suppress(BlockingIOError):
                    os.read(self._reader, 65_536)
        finally:
            pad.disconnect()


def _one_by_one(raw: bytes) -> list[bytes]:
    """The start of a game, then each event in a message of its own."""
    start, *_ = slp.split_messages(raw)
    events = [bytes([command]) + bytes(payload) for command, payload in slp.events(raw)]
    return [start, *events[1:]]


def _event(payload: bytes, **more: Any) -> bytes:
    text = base64.b64encode(payload).decode()
    return json.dumps({"type": "game_event", "cursor": 0, "next_cursor": 1, "payload": text, **more}).encode()


def _spoiled(dice: random.Random, payload: bytes) -> bytes:
    kind = dice.randrange(7)
    if kind == 0:
        return _hardly(dice)
    if kind == 1:
        return _other(dice, payload)
    data = bytearray(payload)
    if kind == 2:
        for _ in range(dice.randint(1, 12)):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    elif kind == 3:
        del data[dice.randrange(len(data)) :]
    elif kind == 4:
        at = dice.randrange(len(data))
        data[at:at] = dice.randbytes(dice.choice((1, 8, 200)))
    elif kind == 5:
        at = dice.randrange(max(1, len(data) - 4))
        data[at : at + 4] = dice.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", struct.pack(">f", float("nan"))))
    else:
        data = bytearray(dice.randbytes(dice.choice((0, 1, 2, 50, 2000))))
        if data:
            data[0] = dice.choice((0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F, 0x10, 0xFF))
    return _event(bytes(data))


def _hardly(dice: random.Random) -> bytes:
    deep = dice.choice((50, 500, 100_000))
    return dice.choice(
        (
            *(
                b"1",
                b"null",
                b"[]",
                b'"text"',
                b"true",
                b"1e999",
                b"NaN",
                b"{}",
                b"",
                b"\xff\xfe",
                b"{" * deep,
                b"[" * deep,
                b"-",
            ),
            *(
                b'{"type":1}',
                b'{"type":null}',
                b'{"type":["game_event"]}',
                b'{"payload":"AAAA"}',
                b"9" * 5000,
                b"[1,2]",
                b"\0" * 9,
            ),
            *(
                b'{"a":' * deep,
                b"[" * 900 + b"]" * 900,
                b'{"type":"game_event","type":{}}',
                b'{"type":"connect_reply"}',
            ),
        )
    )


def _other(dice: random.Random, payload: bytes) -> bytes:
    value = dice.choice(
        (None, 1, [], {}, "", "!!!", "AAA", "\u00e9", ["AAAA"], True, base64.b64encode(payload).decode() + "=", -1)
    )
    message: dict[str, Any] = {
        "type": "game_event",
        "cursor": 0,
        "next_cursor": 1,
        "payload": base64.b64encode(payload).decode(),
    }
    message[dice.choice(("payload", "payload", "cursor", "type", "next_cursor"))] = value
    if dice.random() < 0.3:
        message["type"] = dice.choice(
            ("menu_event", "start_game", "end_game", "connect_reply", "nothing", "GAME_EVENT", "")
        )
    if dice.random() < 0.2:
        del message[dice.choice(list(message))]
    return json.dumps(message).encode()
