"""A spectator server that sends exactly the packets it is given, however broken, to one client after the other."""

import base64
import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import enet

from play.stand_in.protocol import ADDRESS
from play.stand_in.stand_in import _make_home

GOODBYE = b"goodbye"
"""A packet that is not sent: Dolphin drops the client instead."""

SILENCE = b"silence"
"""A packet that is not sent: from here on the server does nothing any more, not even acknowledge."""

_TURN_MS = 5


def events(payload: bytes) -> bytes:
    """A packet of game events."""
    return json.dumps({"type": "game_event", "cursor": 0, "payload": base64.b64encode(payload).decode()}).encode()


def menu() -> bytes:
    """A packet that shows character selection."""
    event = b"\x3e\x00\x02" + bytes(71)
    return json.dumps({"type": "menu_event", "payload": base64.b64encode(event).decode()}).encode()


def end_game(*, dolphin_closed: bool) -> bytes:
    """A packet that tells of a game's end, or of the whole emulation's."""
    return json.dumps({"type": "end_game", "dolphin_closed": dolphin_closed, "cursor": 0, "next_cursor": 1}).encode()


class Loopback:
    """Looks to a session like a stand-in; use in a ``with`` statement."""

    def __init__(self, home: Path, packets: list[bytes]) -> None:
        home.mkdir()
        self.home, self.address = home, ADDRESS
        self._pipe = os.open(_make_home(home, (1,))[1], os.O_RDONLY | os.O_NONBLOCK)
        self._packets = packets
        self._host = enet.Host(enet.Address(ADDRESS.encode(), 0), 4, 1, 0, 0)
        self.port = int(self._host.address.port)
        self._is_over = threading.Event()
        self.has_sent_all = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="loopback")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        os.close(self._pipe)

    def _serve(self) -> None:
        while not self._is_over.wait(_TURN_MS / 1000):
            with suppress(BlockingIOError):
                os.read(self._pipe, 1 << 16)
            while (event := self._host.service(0)).type != enet.EVENT_TYPE_NONE:
                if event.type == enet.EVENT_TYPE_RECEIVE and b"connect_request" in event.packet.data:
                    self._answer(event.peer)

    def _answer(self, peer: Any) -> None:
        self._send(peer, json.dumps({"type": "connect_reply", "nick": "x", "version": "3.18.0", "cursor": 0}).encode())
        for packet in self._packets:
            if packet == GOODBYE:
                peer.disconnect_later()
            elif packet == SILENCE:
                self._host.flush()
                self.has_sent_all.set()
                self._is_over.wait()
                return
            else:
                self._send(peer, packet)
        self._host.flush()
        self.has_sent_all.set()

    def _send(self, peer: Any, packet: bytes) -> None:
        peer.send(0, enet.Packet(packet, enet.PACKET_FLAG_RELIABLE))
