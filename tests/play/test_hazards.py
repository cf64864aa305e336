"""What is known to go wrong between libmelee and Dolphin, each provoked over libmelee's own socket, process and pipe.

H1   a policy slower than the game          answers at least every thirty frames, steps all
H2   nobody reads for seconds               what was buffered is played, then the session is lost
H3   closing while the pipe is full         test_launch: closing with unread frames in the pipe does not hang
H4   Dolphin dies                           the session is lost, by its exit code or its pipe
H5   a second connection                    a new session has a console of its own
H6   an event the stream never declared     costs a frame
H7   an event libmelee does not know        is skipped
H8   a stream that is too old               is refused with both versions
H9   a packet that is no JSON               the session is lost; an empty one is ignored
H10  a frame without its end                is a gap of one frame
H11  a menu in mid-game                     is not the end of the game
H12  no menus after the game                the watchdog ends the session
H13  ``stop()`` leaves the worker           it is ended with the session
H14  Ctrl-C reaches the worker              it goes on: the session is ours to close
H15  a flush too many                       test_dolphin: frames come one by one and each answer is flushed once

Several games in a row, pauses, reconnects and gaps below; test_runner has what the loop makes of gaps.
"""

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from pathlib import Path

import melee
import numpy as np
import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import DolphinError
from dataset.melee.controller import Classes
from dataset.slippi.slp import GAME_START, PAYLOAD_SIZES, payload_sizes, read_slp, split_messages
from dataset.slippi.slp import events as read_events
from play.agent.agent import Agent, Players, PolicyInput
from play.dolphin.session import OLDEST_LIVE, Ended, Event, Frame, Lost, Patience, Session, UnknownEvents
from play.loop.runner import MOST_AT_ONCE, Report, Runner
from play.stand_in.protocol import PIPE
from play.stand_in.stand_in import StandIn, open_stand_in
from tests.play.loop.test_runner import CODEC, Counting
from tests.play.loopback import GOODBYE, SILENCE, Loopback, end_game, events, menu

FRAMES = 40
NUMBERS = list(range(-123, FRAMES - 123))


@pytest.fixture(scope="module")
def duel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("duel") / "duel.slp"
    generate_replay(path, seed=1, frames=FRAMES)
    return path


@pytest.fixture(scope="module")
def start(duel: Path) -> bytes:
    return split_messages(read_slp(duel)[0])[0]


@pytest.fixture(scope="module")
def frames(duel: Path) -> list[bytes]:
    return split_messages(read_slp(duel)[0])[1 : FRAMES + 1]


def sent(*payloads: bytes) -> list[bytes]:
    return [events(payload) for payload in payloads]


@contextmanager
def session_on(
    folder: Path,
    packets: list[bytes],
    *,
    patience: Patience = Patience(silence_s=60.0),  # noqa: B008  frozen
) -> Iterator[Session]:
    """A session, as a match has it, on a server that sends these packets."""
    with Loopback(folder / "home", packets) as server:
        opened = open_stand_in(server, port=PIPE, is_blocking=False, patience=patience)  # type: ignore[arg-type]
        opened._oldest = OLDEST_LIVE
        try:
            yield opened
        finally:
            opened.close()
    assert active_children() == []


def number(event: Event | None) -> int:
    assert isinstance(event, Frame)
    return event.number


def until_lost(session: Session) -> tuple[list[int], str]:
    """Every frame that comes, and why no more do."""
    numbers = []
    while not isinstance(event := session.next(), Lost):
        if isinstance(event, Frame):
            numbers.append(event.number)
    return numbers, event.reason


CLOSED = "the spectator stream was closed"

LONG_S = 120.0
"""Far longer than it takes to notice anything on a busy machine, and far shorter than a patience of ten minutes."""


class Slow(Counting):
    """A policy that takes longer than a frame lasts."""

    def step(self, given: PolicyInput) -> Classes:
        time.sleep(0.004)
        return super().step(given)


class Hurrying(Counting):
    """A policy after so many steps of which its session has another patience: a busy machine stalls at will before."""

    def __init__(self, session: Session, patience: dict[int, Patience]) -> None:
        super().__init__()
        self.session, self.patience = session, patience

    def step(self, given: PolicyInput) -> Classes:
        classes = super().step(given)
        self.session.patience = self.patience.get(self.steps, self.session.patience)
        return classes


def play(session: Session, policy: Counting, *, num_games: int | None = 1) -> Report:
    players = Players(Agent(policy, CODEC, delay=0))
    return Runner(session, players, find_port=lambda game: 1, is_sync=False, num_games=num_games).run()


def test_h1_a_policy_slower_than_the_game_sees_all_of_it_and_answers_now_and_then(tmp_path: Path) -> None:
    generate_replay(tmp_path / "long.slp", seed=2, frames=300)
    with StandIn(tmp_path / "long.slp", fps=1000.0) as server:
        session = open_stand_in(server, port=PIPE, is_blocking=False)
        report = play(session, Slow())
        session.close()
    assert (report.frames, report.frames_missing, report.lost) == (300, 0, None)
    assert report.frames_stale > 0
    assert np.diff([-124, *report.answered]).max() <= MOST_AT_ONCE
    assert report.answered[-1] == 176


def test_h2_what_came_before_dolphin_dropped_a_reader_that_stalled_is_played(
    tmp_path: Path, start: bytes, frames: list[bytes]
) -> None:
    packets = sent(start, *frames) + [menu()] * 2000 + [GOODBYE]
    with session_on(tmp_path, packets) as session:
        _, (pad,) = session.next(), session._flushers
        worker = session._console._slippstream._worker
        assert worker.is_alive(), "it waits for somebody to read"
        numbers, reason = until_lost(session)
    assert ([-123, *numbers], reason) == (NUMBERS, CLOSED)
    assert pad.flushed_at > 0


def test_h4_a_dolphin_that_was_killed_is_a_lost_session(duel: Path) -> None:
    with StandIn(duel, fps=60.0, pauses={-100: 600.0}) as server:
        session = open_stand_in(server, port=PIPE, is_blocking=False)
        assert isinstance(session.next(), Frame)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        numbers, reason = until_lost(session)
        session.close()
    assert numbers == NUMBERS[1 : 1 + len(numbers)]
    assert reason in (CLOSED, "the controller pipe was closed")


def test_h5_a_session_after_one_that_was_dropped_begins_anew(tmp_path: Path, start: bytes, frames: list[bytes]) -> None:
    with Loopback(tmp_path / "home", [*sent(start, *frames), GOODBYE]) as server:
        for _ in range(2):
            session = open_stand_in(server, port=PIPE, is_blocking=False)  # type: ignore[arg-type]
            assert until_lost(session) == (NUMBERS, CLOSED)
            session.close()


def test_h6_an_undeclared_event_costs_a_frame(tmp_path: Path, start: bytes, frames: list[bytes]) -> None:
    with session_on(tmp_path, [*sent(start, frames[0], b"\x99" + frames[1], *frames[2:]), GOODBYE]) as session:
        assert until_lost(session) == ([NUMBERS[0], *NUMBERS[2:]], CLOSED)


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_size_that_libmelee_would_never_pass_loses_the_session(
    tmp_path: Path, start: bytes, frames: list[bytes]
) -> None:
    endless = start[:3] + b"\xff\xff" + start[5:]
    with session_on(tmp_path, sent(endless, *frames)) as session:
        numbers, reason = until_lost(session)
    assert numbers == []
    assert "longer than any" in reason


def test_h7_an_event_libmelee_does_not_know_is_skipped_and_said_once(
    tmp_path: Path,
    start: bytes,
    frames: list[bytes],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unknown_events = UnknownEvents()
    monkeypatch.setattr("play.dolphin.session.UNKNOWN_EVENTS", unknown_events)
    monkeypatch.setattr(logging.getLogger(), "filters", [])
    sizes = payload_sizes(start)
    declared = bytes([PAYLOAD_SIZES, start[1] + 3]) + start[2 : 1 + start[1]] + b"\x50\x00\x04" + start[1 + start[1] :]
    assert payload_sizes(declared) == {**sizes, 0x50: 4}
    unknown = [b"\x50news" + frame for frame in frames]
    with session_on(tmp_path, [*sent(declared, *unknown), GOODBYE]) as session:
        assert until_lost(session) == (NUMBERS, CLOSED)
    assert unknown_events.counts == {0x50: len(frames)}
    assert capsys.readouterr().err.count("events 0x50, which are newer than this libmelee") == 1
    assert not [record for record in caplog.records if "unknown event" in record.getMessage()]


def test_h8_a_stream_that_is_too_old_is_refused(tmp_path: Path, start: bytes, frames: list[bytes]) -> None:
    payload = next(bytes(payload) for command, payload in read_events(start) if command == GAME_START)
    old = start.replace(payload, bytes([3, 9, 0]) + payload[3:])
    with (
        session_on(tmp_path, sent(old, *frames)) as session,
        pytest.raises(DolphinError, match=r"needs Slippi 3\.18\.0 or newer, found 3\.9\.0"),
    ):
        session.next()


def test_h9_a_packet_that_is_no_json_loses_the_session_and_an_empty_one_does_not(
    tmp_path: Path, start: bytes, frames: list[bytes]
) -> None:
    with session_on(tmp_path, [*sent(start, *frames[:3]), b"", *sent(*frames[3:6]), b'{"type": "game']) as session:
        numbers, reason = until_lost(session)
    assert numbers == NUMBERS[:6]
    assert reason.startswith("libmelee could not read a frame (JSONDecodeError")


def test_h10_a_frame_without_its_end_is_a_gap(tmp_path: Path, start: bytes, frames: list[bytes]) -> None:
    cut = frames[5][: -1 - payload_sizes(start)[0x3C]]
    with session_on(tmp_path, [*sent(start, *frames[:5], cut, *frames[6:]), GOODBYE]) as session:
        report = play(session, Counting())
    assert (report.frames, report.frames_missing, report.lost) == (FRAMES - 1, 1, CLOSED)


def test_h11_a_menu_in_mid_game_is_not_its_end(tmp_path: Path, start: bytes, frames: list[bytes]) -> None:
    packets = [*sent(start, *frames[:20]), menu(), *sent(*frames[20:]), menu(), menu(), menu(), GOODBYE]
    with session_on(tmp_path, packets) as session:
        report = play(session, Counting())
    assert ([game.frames for game in report.games], report.lost) == ([FRAMES], None)


def test_h12_a_game_that_no_menu_follows_ends_the_session(tmp_path: Path, start: bytes, frames: list[bytes]) -> None:
    with session_on(tmp_path, [*sent(start, *frames), SILENCE]) as session:
        report = play(session, Hurrying(session, {FRAMES: Patience(pause_s=1.0)}))
    assert report.lost == "no frame came for 1 s, though Dolphin is still connected"
    assert [game.frames for game in report.games] == [FRAMES]


def test_h12_a_game_whose_end_was_told_is_no_paused_one(tmp_path: Path, start: bytes, frames: list[bytes]) -> None:
    packets = [*sent(start, *frames), end_game(dolphin_closed=False), SILENCE]
    with session_on(tmp_path, packets) as session:
        assert [number(session.next()) for _ in range(FRAMES)] == NUMBERS
        session.patience = Patience(silence_s=1.0, pause_s=600.0)
        assert until_lost(session) == ([], "no frame came for 1 s, though Dolphin is still connected")


def test_h13_closing_ends_libmelees_worker(tmp_path: Path, start: bytes, frames: list[bytes]) -> None:
    with session_on(tmp_path, sent(start, *frames)) as session:
        assert isinstance(session.next(), Frame)
        (worker,) = active_children()
    assert not worker.is_alive()


def test_h14_ctrl_c_does_not_end_the_worker(tmp_path: Path, start: bytes, frames: list[bytes]) -> None:
    with session_on(tmp_path, [*sent(start, *frames), GOODBYE]) as session:
        (worker,) = active_children()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGINT)
        assert until_lost(session) == (NUMBERS, CLOSED)


def test_games_in_a_row_begin_anew_each_with_menus_between(duel: Path) -> None:
    policy = Counting()
    with StandIn([duel] * 3, fps=600.0) as server:
        session = open_stand_in(server, port=PIPE, is_blocking=False)
        report = play(session, policy, num_games=3)
        session.close()
    assert [game.frames for game in report.games] == [FRAMES] * 3
    assert (report.frames_missing, report.lost) == (0, None)
    assert (policy.games, policy.steps) == (3, FRAMES), "one reset as the agent is made, one a game"


def test_a_pause_changes_nothing(duel: Path) -> None:
    policy = Counting()
    with StandIn(duel, fps=600.0, pauses={-100: 1.0}) as server:
        session = open_stand_in(server, port=PIPE, is_blocking=False)
        report = play(session, policy)
        session.close()
    assert ([game.frames for game in report.games], report.frames_missing) == ([FRAMES], 0)
    assert (policy.games, policy.steps) == (1, FRAMES), "the policy remembers what was before the pause"


def paused(duel: Path, seconds: float, patience: Patience) -> Report:
    """What a game comes to that is paused for so long, with a patience that holds in the pause."""
    patient = Patience(silence_s=600.0, pause_s=600.0)
    with StandIn(duel, fps=600.0, pauses={-100: seconds}) as server:
        session = open_stand_in(server, port=PIPE, is_blocking=False, patience=patient)
        report = play(session, Hurrying(session, {23: patience, 24: patient}))
        session.close()
    return report


def test_a_person_may_pause_for_longer_than_a_game_may_hang_where_nobody_can(duel: Path) -> None:
    alone, beside_a_person = Patience(pause_s=1.0), Patience(silence_s=1.0, pause_s=600.0)
    hung = paused(duel, 600.0, alone)
    assert (hung.frames, hung.lost) == (23, "no frame came for 1 s, though Dolphin is still connected")
    begin = time.monotonic()
    played = paused(duel, 3.0, beside_a_person)
    assert ([game.frames for game in played.games], played.lost) == ([FRAMES], None)
    assert played.seconds_paused > 0
    assert played.seconds + played.seconds_paused < time.monotonic() - begin, "a pause is no time of play"


def test_in_a_pause_a_dolphin_that_does_nothing_any_more_is_told_of_within_seconds(
    tmp_path: Path, start: bytes, frames: list[bytes]
) -> None:
    begin = time.monotonic()
    with session_on(tmp_path, [*sent(start, *frames), SILENCE], patience=Patience(pause_s=600.0)) as session:
        assert until_lost(session) == (NUMBERS, CLOSED)
    assert time.monotonic() - begin < LONG_S


def test_in_a_pause_a_worker_that_died_is_told_of_at_once(tmp_path: Path, start: bytes, frames: list[bytes]) -> None:
    with session_on(tmp_path, sent(start, *frames), patience=Patience(pause_s=600.0)) as session:
        assert [number(session.next()) for _ in range(FRAMES)] == NUMBERS
        (worker,) = active_children()
        worker.kill()
        begin = time.monotonic()
        assert session.next() == Lost(CLOSED)
        assert time.monotonic() - begin < LONG_S


def test_an_emulation_that_was_stopped_is_told_of_though_dolphins_window_stays(
    tmp_path: Path, start: bytes, frames: list[bytes]
) -> None:
    over, stopped = end_game(dolphin_closed=False), end_game(dolphin_closed=True)
    packets = [*sent(start, *frames), over, *sent(start, *frames), stopped]
    with session_on(tmp_path, packets, patience=Patience(pause_s=600.0)) as session:
        begin = time.monotonic()
        assert until_lost(session) == (NUMBERS * 2, "Dolphin's emulation was stopped")
    assert time.monotonic() - begin < LONG_S


def test_after_a_reconnect_the_policy_has_seen_the_game_from_its_start(duel: Path) -> None:
    """The session that was dropped is over; the next one gets the whole game so far, and steps all of it."""
    with StandIn(duel, fps=600.0, pauses={-100: 600.0}) as server:
        for _ in range(2):
            session = open_stand_in(server, port=PIPE, is_blocking=False)
            seen: list[Event | None] = [session.next() for _ in range(23)]
            assert [event.number for event in seen if isinstance(event, Frame)] == NUMBERS[:23]
            session.close()


def test_a_game_that_starts_while_another_is_played_ends_that_one(
    tmp_path: Path, start: bytes, frames: list[bytes]
) -> None:
    with session_on(tmp_path, [*sent(start, *frames[:9], start, *frames), GOODBYE]) as session:
        seen = [session.next() for _ in range(11)]
    assert [type(event) for event in seen] == [Frame] * 9 + [Ended, Frame]
    assert isinstance(seen[10], Frame)
    assert (seen[10].number, seen[10].game.menu_state) == (-123, melee.Menu.IN_GAME)
