"""Sessions over an unmodified libmelee Console and Controller whose socket and pipe are replaced: the hazards one by one."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import melee
import numpy as np
import pytest
from melee.slippstream import EnetDisconnected

from dataset.duels.generate import generate_replay
from dataset.errors import DolphinError
from dataset.slippi.slp import GAME_START, POST_FRAME, events, read_slp, split_messages
from play.dolphin import session as session_module
from play.dolphin.session import OLDEST_LIVE, Ended, Event, Frame, Lost, Menu, Patience, Session

SILENCE = None
"""A look that finds nothing."""

MENU = b"\x3e" + b"\x00" * 73


class Stream:
    """Gives scripted messages where libmelee reads its socket; at the end the connection is closed."""

    def __init__(self, messages: list[bytes | None]) -> None:
        self.messages = list(messages)
        self.playedOn, self.timestamp, self.consoleNick = "dolphin", "", ""
        self.players: dict[str, Any] = {}
        self._worker = None
        self.running = True

    def dispatch(self, polling_mode: bool, timeout: float = 0) -> dict[str, str] | None:
        if not self.messages:
            raise EnetDisconnected
        message = self.messages.pop(0)
        if message is None:
            return None
        return self.read(message)

    @staticmethod
    def read(message: bytes) -> Any:
        """A packet as libmelee reads it."""
        kind = "menu_event" if message[0] == MENU[0] else "game_event"
        return {"type": kind, "payload": base64.b64encode(message).decode()}


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A game start, then one message a frame."""
    path = tmp_path_factory.mktemp("duel") / "duel.slp"
    generate_replay(path, seed=1, frames=40)
    return split_messages(read_slp(path)[0])


class Opened:
    """A session on scripted messages, and what it wrote to the pipe."""

    def __init__(self, folder: Path, messages: list[bytes | None], **options: Any) -> None:
        (folder / "Config").mkdir()
        (folder / "Config" / "Dolphin.ini").write_text("[Core]\n")
        self.console = melee.Console(
            is_remote=True, dolphin_home_path=str(folder), polling_mode=True, blocking_input=True
        )
        self.console._slippstream = Stream(messages)
        pad = melee.Controller(self.console, 1)
        self.pipe = pad.pipe = io.StringIO()
        self.session = Session(self.console, [pad], **({"oldest": OLDEST_LIVE} | options))

    def next(self, **options: Any) -> Event | None:
        return self.session.next(**options)

    @property
    def flushes(self) -> int:
        return self.pipe.getvalue().count("FLUSH")


def number(event: Event | None) -> int:
    assert isinstance(event, Frame)
    return event.number


def test_frames_come_one_by_one_and_each_answer_is_flushed_once(tmp_path: Path, messages: list[bytes]) -> None:
    opened = Opened(tmp_path, [SILENCE, messages[0], messages[1], SILENCE, SILENCE, messages[2], messages[3]])
    assert (number(opened.next()), opened.flushes) == (-123, 1), "libmelee's flush at the game start answers nothing"
    assert (number(opened.next()), opened.flushes) == (-122, 2), "looking again after silence is no answer"
    assert (number(opened.next()), opened.flushes) == (-121, 3)


def test_looking_without_waiting_flushes_nothing(tmp_path: Path, messages: list[bytes]) -> None:
    opened = Opened(tmp_path, [*messages[:3], SILENCE, messages[3]])
    opened.next()
    assert number(opened.next(wait=False)) == -122
    assert opened.next(wait=False) is None
    assert opened.flushes == 1
    assert (number(opened.next()), opened.flushes) == (-121, 2)


def test_a_frame_that_libmelee_drops_is_flushed_too_so_that_dolphin_goes_on(
    tmp_path: Path, messages: list[bytes]
) -> None:
    opened = Opened(tmp_path, [*messages[:3], messages[2], messages[3]])
    opened.next()
    assert (number(opened.next()), opened.flushes) == (-122, 2)
    assert (number(opened.next()), opened.flushes) == (-121, 4)


def test_one_menu_state_in_mid_game_is_not_the_end(tmp_path: Path, messages: list[bytes]) -> None:
    opened = Opened(tmp_path, [*messages[:3], MENU, MENU, messages[3]])
    assert [number(opened.next()) for _ in range(3)] == [-123, -122, -121]


def test_three_menu_states_in_a_row_end_the_game(tmp_path: Path, messages: list[bytes]) -> None:
    opened = Opened(tmp_path, [*messages[:2], MENU, MENU, MENU, MENU])
    assert number(opened.next()) == -123
    opened.session.send(np.array([0, 0, 0, 0, 0, 0x0100], dtype=np.int32))
    assert "RELEASE A" not in opened.pipe.getvalue().rpartition("PRESS A")[2]
    assert isinstance(opened.next(), Ended)
    assert "RELEASE A" in opened.pipe.getvalue().rpartition("PRESS A")[2], "the pad rests in the menus"
    assert isinstance(opened.next(), Menu)


def test_menus_that_lead_to_no_game_are_a_lost_session_where_nobody_is_waited_for(
    tmp_path: Path, messages: list[bytes]
) -> None:
    opened = Opened(
        tmp_path, [MENU, MENU, messages[0], messages[1], MENU, MENU, MENU, MENU], patience=Patience(num_menus=3)
    )
    kinds = [type(opened.next()) for _ in range(4)]
    assert kinds == [Menu, Menu, Frame, Ended], "the game begins the count anew"
    lost = opened.next()
    assert isinstance(lost, Lost)
    assert lost.reason.startswith("no game began in 3 menus")


def test_a_new_game_start_ends_the_game_before_it(tmp_path: Path, messages: list[bytes]) -> None:
    opened = Opened(tmp_path, [*messages[:3], *messages[:3]])
    assert [number(opened.next()) for _ in range(2)] == [-123, -122]
    assert isinstance(opened.next(), Ended)
    assert [number(opened.next()) for _ in range(2)] == [-123, -122]


def test_a_stream_that_is_too_old_is_refused_with_both_versions(tmp_path: Path, messages: list[bytes]) -> None:
    start = bytearray(messages[0])
    (payload,) = (payload for command, payload in events(messages[0]) if command == GAME_START)
    at = messages[0].index(bytes(payload))
    start[at : at + 3] = 3, 17, 2
    opened = Opened(tmp_path, [bytes(start), *messages[1:]])
    with pytest.raises(DolphinError, match=r"needs Slippi 3\.18\.0 or newer, found 3\.17\.2"):
        opened.next()


def test_a_closed_stream_is_a_lost_session(tmp_path: Path, messages: list[bytes]) -> None:
    opened = Opened(tmp_path, [*messages[:2]])
    assert number(opened.next()) == -123
    assert opened.next() == Lost("the spectator stream was closed")


def test_silence_for_too_long_is_a_lost_session(tmp_path: Path, messages: list[bytes]) -> None:
    opened = Opened(tmp_path, [*messages[:2], SILENCE, SILENCE], patience=Patience(pause_s=0.0))
    assert number(opened.next()) == -123
    assert opened.next() == Lost("no frame came for 0 s, though Dolphin is still connected")


def test_bytes_libmelee_cannot_read_are_a_lost_session(tmp_path: Path, messages: list[bytes]) -> None:
    payload = next(bytes(payload) for command, payload in events(messages[0] + messages[2]) if command == POST_FRAME)
    broken = messages[2].replace(payload, payload[:6] + b"\x1b" + payload[7:])
    opened = Opened(tmp_path, [*messages[:2], bytes(broken)])
    assert number(opened.next()) == -123
    lost = opened.next()
    assert isinstance(lost, Lost)
    assert lost.reason.startswith("libmelee could not read a frame")


@pytest.mark.parametrize(
    "packet",
    [
        *(
            b"[]",
            b"3",
            b'"text"',
            b"true",
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b"1" * 10_000,
            b"\xff\xfe",
            b"{}",
            b"NaN",
        ),
        *(
            b'{"type": []}',
            b'{"type": "connect_reply"}',
            b'{"type": "game_event"}',
            b'{"type": "menu_event", "payload": {}}',
        ),
        *(
            b'{"type": "game_event", "payload": %s}' % value
            for value in (b"null", b"[1]", b"9", b'"!!!"', b'"NQ=="', b'"\\u00e9"')
        ),
    ],
)
def test_a_packet_that_is_no_message_of_a_game_is_a_lost_session(
    tmp_path: Path, messages: list[bytes], packet: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stream, "read", staticmethod(lambda message: json.loads(packet)))
    opened = Opened(tmp_path, [messages[0]])
    lost = opened.next()
    assert isinstance(lost, Lost)
    assert len(lost.reason) <= 300


def test_messages_without_end_that_hold_no_frame_are_a_lost_session(
    tmp_path: Path, messages: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "MOST_MESSAGES", 10)
    opened = Opened(tmp_path, [*messages[:3], *[b"\x3c"] * 20, *messages[3:6]])
    assert [number(opened.next()) for _ in range(2)] == [-123, -122]
    assert opened.next() == Lost("libmelee could not read a frame (ValueError: 10 messages without a frame)")


def test_an_event_the_stream_never_declared_costs_one_frame_and_no_more(tmp_path: Path, messages: list[bytes]) -> None:
    opened = Opened(tmp_path, [*messages[:2], b"\x99" + messages[2], messages[3]])
    assert [number(opened.next()) for _ in range(2)] == [-123, -121], "libmelee alone would look at it for ever"


def test_only_what_changed_is_written_until_something_else_moved_the_pad(tmp_path: Path, messages: list[bytes]) -> None:
    opened = Opened(tmp_path, [*messages[:4], *messages[:2]])
    opened.next()
    opened.pipe.truncate(0)
    jump = np.array([0, 0, 0, 0, 0, 0x0400], dtype=np.int32)
    opened.session.send(jump)
    assert opened.pipe.getvalue().count("\n") == 12, "all of the pad the first time"
    opened.pipe.truncate(0)
    opened.session.send(jump & ~0x0400)
    assert opened.pipe.getvalue().strip("\0") == "RELEASE X\n"
    for _ in range(3):
        opened.next()
    opened.pipe.truncate(0)
    opened.session.send(jump & ~0x0400)
    assert opened.pipe.getvalue().count("\n") == 12, "libmelee rested the pad at the start of the next game"


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    opened = Opened(tmp_path, [])
    opened.session.close()
    opened.session.close()
