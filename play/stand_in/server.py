"""Dolphin's side of a stand-in: Slippi's spectator server and the reading ends of the controller pipes, in one loop.

It sends the messages of one or more games as Slippi's Dolphin sends them, and logs every FLUSH of every pad. One thread does
it all: pyenet holds the interpreter's lock while it waits, so a second thread would add milliseconds to the very latencies
that are measured here.
"""

import base64
import json
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import enet
import numpy as np

from play.stand_in.pipe_pad import PadState, PipePad
from play.stand_in.protocol import ADDRESS, NEVER, Message, Report, Setup

NICK = "exphil stand-in"
MENU_FPS = 60.0
MENUS_BETWEEN_GAMES = 30
"""Menu frames from the end of one game to the start of the next."""
_LONGEST_WAIT_S = 0.01
"""ENet must be served this often, to send again what got lost."""
_CHARACTER_SELECT, _UNPLUGGED = 0x0002, 3


class _StoppedError(Exception):
    """The parent asked the server to stop, or is gone."""


class _Pipe:
    """The reading end of one pad's pipe."""

    def __init__(self, port: int, path: Path) -> None:
        self.port, self.path, self.pad = port, path, PipePad()
        self.num_flushes = 0
        self.has_writer = False
        self.file = self._open()

    def _open(self) -> int:
        return os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self) -> Iterator[PadState]:
        """Yield the pad's state at every FLUSH that has arrived."""
        while True:
            try:
                data = os.read(self.file, 1 << 16)
            except BlockingIOError:
                self.has_writer = True
                return
            if not data:
                self._reopen()
                return
            self.has_writer = True
            is_flush = self.pad.feed(data)
            while is_flush:
                self.num_flushes += 1
                yield self.pad.state()
                is_flush = self.pad.feed(b"")

    def _reopen(self) -> None:
        """Open again after the writer is gone, or the old end would count as readable for ever."""
        if self.has_writer:
            os.close(self.file)
            self.file = self._open()
            self.has_writer = False


class Spectator:
    """The server; ``run`` returns when the parent asks it to."""

    def __init__(self, setup: Setup, control: Connection) -> None:
        self.setup, self.control, self.parent = setup, control, os.getppid()
        self.pipes = [_Pipe(port, path) for port, path in setup.pipes.items()]
        self.host = enet.Host(enet.Address(ADDRESS.encode(), setup.port), 4, 1, 0, 0)
        self.peer: Any = None
        self.cursor = 0
        self.is_over = False
        self.frames: list[int] = []
        self.sent_s: list[float] = []
        self.flushes: list[tuple[int, float, PadState]] = []
        """Port, time and pad of every FLUSH."""
        self.poll_frames: list[int] = []
        self.num_menus = 0
        self.sent_of_game: list[bytes] = []

    @property
    def port(self) -> int:
        """The UDP port that the system gave."""
        return int(self.host.address.port)

    def run(self) -> None:
        """Serve: wait for the client and its pads, play every game, then show menus."""
        with suppress(_StoppedError):
            self._until(lambda: self.peer is not None and all(pipe.has_writer for pipe in self.pipes))
            if self.setup.fps is None:  # the client's first step flushes before it has read anything
                self._until(lambda: self._has_flushed_since([0] * len(self.pipes)))
            for number, game in enumerate(self.setup.games, 1):
                self._play(game)
                self.is_over = number == len(self.setup.games)
                self._show_menus(None if self.is_over else MENUS_BETWEEN_GAMES)
        self._say_goodbye()

    def _play(self, game: list[Message]) -> None:
        self.sent_of_game = []
        self._send({"type": "start_game"}, is_counted=True)
        due, newest = time.monotonic(), -NEVER
        for message in game:
            if message.frame is None:
                self._send_events(message.payload)
                if message.kind == "start":
                    self._await_start_flush()
                continue
            if message.frame > newest and message.frame in self.setup.pauses:
                self._until(lambda: False, time.monotonic() + self.setup.pauses[message.frame])
            if self.setup.fps is not None and message.frame > newest:
                due = max(due + 1 / self.setup.fps, time.monotonic() - 1 / self.setup.fps)
                self._until(lambda: False, due)
            newest = max(newest, message.frame)
            with self._answered():
                self._send_frame(message.frame, message.payload)
        self._send({"type": "end_game", "dolphin_closed": False}, is_counted=True)
        self.sent_of_game = []

    def _await_start_flush(self) -> None:
        """In lock step, let libmelee's own FLUSH at a game's start pass, which answers no frame."""
        if self.setup.fps is None and self.pipes:
            before = self._num_flushes()
            deadline = time.monotonic() + self.setup.start_grace_s
            self._until(lambda: self._has_flushed_since(before), deadline)

    def _send_frame(self, frame: int, payload: bytes) -> None:
        """Send one frame; pads flushed by now are those its poll saw."""
        self.poll_frames += [frame] * (len(self.flushes) - len(self.poll_frames))
        self._send_events(payload)
        self.frames.append(frame)
        self.sent_s.append(time.monotonic())

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """In lock step, wait for a FLUSH of every pad after what is sent in the body, as blocking pipes do."""
        before = self._num_flushes()
        yield
        if self.setup.fps is None:
            self._until(lambda: self._has_flushed_since(before))

    def _num_flushes(self) -> list[int]:
        return [pipe.num_flushes for pipe in self.pipes]

    def _has_flushed_since(self, before: list[int]) -> bool:
        pairs = zip(self.pipes, before, strict=True)
        return all(pipe.num_flushes > count or not pipe.has_writer for pipe, count in pairs)

    def _show_menus(self, count: int | None) -> None:
        """Show ``count`` frames of character selection, or go on until stopped."""
        end = None if count is None else self.num_menus + count
        due = time.monotonic()
        while self.num_menus != end:
            due += 1 / (self.setup.fps or MENU_FPS)
            self._until(lambda: False, due)
            self.num_menus += 1
            with self._answered():
                self._send({"type": "menu_event", "payload": _text(self._menu())})

    def _menu(self) -> bytes:
        event = bytearray(74)
        event[0] = 0x3E
        event[0x1:0x3] = _CHARACTER_SELECT.to_bytes(2, "big")
        event[0x25:0x29] = bytes(0 if port in self.setup.pipes else _UNPLUGGED for port in range(1, 5))
        event[0x39:0x3D] = self.num_menus.to_bytes(4, "big")
        return bytes(event)

    def _send_events(self, payload: bytes) -> None:
        self.sent_of_game.append(payload)
        self._send({"type": "game_event", "payload": _text(payload)}, is_counted=True)

    def _send(self, message: dict[str, Any], *, is_counted: bool = False) -> None:
        if is_counted:
            message |= {"cursor": self.cursor, "next_cursor": self.cursor + 1}
            self.cursor += 1
        if self.peer is not None:
            self.peer.send(0, enet.Packet(json.dumps(message).encode(), enet.PACKET_FLAG_RELIABLE))
            self.host.flush()

    def _until(self, condition: Callable[[], bool], deadline: float | None = None) -> None:
        """Serve pipes, client and parent until ``condition`` holds or ``deadline`` has come."""
        self._turn(0)
        while not condition():
            left = _LONGEST_WAIT_S if deadline is None else min(_LONGEST_WAIT_S, deadline - time.monotonic())
            if left <= 0:
                return
            self._turn(left)

    def _turn(self, wait_s: float) -> None:
        """Wait for anything to arrive, at most ``wait_s``, and take it in."""
        inputs = [self.host.socket.fileno(), self.control.fileno(), *(pipe.file for pipe in self.pipes)]
        select.select(inputs, [], [], wait_s)
        for pipe in self.pipes:
            for state in pipe.read():
                self.flushes.append((pipe.port, time.monotonic(), state))
        while (event := self.host.service(0)).type != enet.EVENT_TYPE_NONE:
            self._hear(event)
        if self.control.poll():
            self._obey_parent()
        if os.getppid() != self.parent:  # libmelee's worker may hold the other end of the control open
            raise _StoppedError

    def _hear(self, event: Any) -> None:
        if event.type == enet.EVENT_TYPE_DISCONNECT and self.peer is not None and event.peer == self.peer:
            self.peer = None
        elif event.type == enet.EVENT_TYPE_RECEIVE and b"connect_request" in event.packet.data:
            self.peer = event.peer
            reply = {"type": "connect_reply", "nick": NICK, "version": self.setup.version, "cursor": self.cursor}
            self._send(reply)
            self._catch_up()

    def _catch_up(self) -> None:
        """Send a client that comes in mid-game the whole game so far, as Dolphin does."""
        for payload in self.sent_of_game:
            message = {"type": "game_event", "payload": _text(payload), "cursor": 0, "next_cursor": 0}
            self.peer.send(0, enet.Packet(json.dumps(message).encode(), enet.PACKET_FLAG_RELIABLE))
        self.host.flush()

    def _obey_parent(self) -> None:
        try:
            wish = self.control.recv()
        except EOFError as error:
            raise _StoppedError from error
        if wish == "stop":
            raise _StoppedError
        self.control.send(self._report())

    def _report(self) -> Report:
        ports, times, pads = zip(*self.flushes, strict=True) if self.flushes else ((), (), ())
        columns = np.array(pads, np.int64).reshape(-1, len(PadState._fields)).T
        main_x, main_y, c_x, c_y = columns[:4].astype(np.int8)
        trigger, l_analog, r_analog = columns[4:7].astype(np.uint8)
        polled = self.poll_frames + [NEVER] * (len(self.flushes) - len(self.poll_frames))
        return Report(
            frames=np.array(self.frames, np.int32),
            sent_s=np.array(self.sent_s, np.float64),
            port=np.array(ports, np.uint8),
            flush_s=np.array(times, np.float64),
            poll_frame=np.array(polled, np.int32),
            main_x=main_x,
            main_y=main_y,
            c_x=c_x,
            c_y=c_y,
            trigger=trigger,
            l_analog=l_analog,
            r_analog=r_analog,
            buttons=columns[7].astype(np.uint16),
            num_bad_lines=sum(pipe.pad.num_bad_lines for pipe in self.pipes),
            is_over=self.is_over,
            has_client=self.peer is not None,
        )

    def _say_goodbye(self) -> None:
        """Disconnect now, so that the client need not wait for a time-out of seconds."""
        if self.peer is not None:
            self.peer.disconnect_now()
            self.host.flush()
        for pipe in self.pipes:
            os.close(pipe.file)


def _text(payload: bytes) -> str:
    return base64.b64encode(payload).decode()
