import multiprocessing
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError, DolphinError, ReplayError
from dataset.melee import controller
from dataset.slippi import slp
from play.stand_in.protocol import NEVER
from play.stand_in.stand_in import StandIn
from tests.play.builders import wait_until_over

melee = pytest.importorskip("melee")
enet = pytest.importorskip("enet")
MAIN, C = melee.Button.BUTTON_MAIN, melee.Button.BUTTON_C


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stand-in") / "game.slp"
    generate_replay(path, seed=4, frames=700, stage="fountain_of_dreams")
    return path


@contextmanager
def client(stand_in: StandIn, controllers: tuple[int, ...] = (1,), *, is_blocking: bool = True) -> Iterator[Any]:
    """Yield an unmodified libmelee console and its controllers, connected."""
    console = melee.Console(
        path=None,
        is_dolphin=True,
        is_remote=True,
        dolphin_home_path=str(stand_in.home),
        slippi_address=stand_in.address,
        slippi_port=stand_in.port,
        blocking_input=is_blocking,
    )
    pads = [melee.Controller(console, port) for port in controllers]
    try:
        assert console.connect()
        for held in pads:
            held.connect()
        yield console, pads
    finally:
        worker = console._slippstream._worker
        worker.kill()
        worker.join()
        console._slippstream._buffer.close()
        for held in pads:
            held.disconnect()


def play(console: Any, press: Callable[[int], None] = lambda frame: None) -> list[Any]:
    """Step through one game and into the menus behind it; return its states."""
    states = []
    while True:
        state = console.step()
        if state.menu_state is melee.Menu.IN_GAME:
            states.append(state)
            press(int(state.frame))
        elif states:
            return states


def with_copies(path: Path, target: Path) -> list[int]:
    """Write a replay in which frames 10 to 12 were simulated twice more, with another percent; return all frames."""
    raw, metadata = slp.read_slp(path)
    messages = slp.split_messages(raw)
    frames = [message for message in messages if message[0] == slp.FRAME_START]
    copies = [frames[i + 123] for i in (10, 11, 12)]
    at = messages.index(frames[12 + 123]) + 1
    messages[at:at] = [_hurt(copy, slp.payload_sizes(raw)) for copy in copies * 2]
    target.write_bytes(slp.pack(b"".join(messages), metadata))
    numbers = [*range(-123, len(frames) - 123)]
    numbers[12 + 124 : 12 + 124] = [10, 11, 12, 10, 11, 12]
    return numbers


def _hurt(message: bytes, sizes: dict[int, int]) -> bytes:
    """Return a frame's message with 77 percent on every post-frame."""
    listed = b"".join(bytes([command]) + size.to_bytes(2, "big") for command, size in sizes.items())
    head = bytes([slp.PAYLOAD_SIZES, len(listed) + 1]) + listed
    found = slp.read_events(head + message)
    found.tables[slp.POST_FRAME]["percent"] = 77
    return slp.write_events(found, sizes)[len(head) :]


def test_a_server_that_dies_as_it_starts_is_an_error_and_no_wait_without_end(replay: Path, tmp_path: Path) -> None:
    """A script without a main guard is such a case: multiprocessing lets its child run the script again, and refuses."""
    script = tmp_path / "unguarded.py"
    script.write_text(f"from play.stand_in.stand_in import StandIn\nStandIn({str(replay)!r})\n")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert "its server must open UDP port 0 on 127.0.0.1, found: its process ended" in done.stderr


def test_libmelee_sees_every_frame_in_order_with_the_values_of_the_file(replay: Path) -> None:
    with StandIn(replay, fps=None) as stand_in, client(stand_in) as (console, _):
        states = play(console)
    post = slp.read_events(slp.read_slp(replay)[0]).tables[slp.POST_FRAME]
    assert [int(state.frame) for state in states] == list(range(-123, 577))
    for name, field in (("percent", "percent"), ("shield_strength", "shield"), ("speed_y_self", "self_y")):
        found = [[getattr(state.players[port], name) for port in (1, 2)] for state in states]
        np.testing.assert_array_equal(np.array(found).reshape(-1), post[field])
    found = [[state.players[port].position.x for port in (1, 2)] for state in states]
    np.testing.assert_array_equal(np.array(found).reshape(-1), post["position_x"])
    actions = [[state.players[port].action.value for port in (1, 2)] for state in states]
    np.testing.assert_array_equal(np.array(actions).reshape(-1), post["state"])
    assert states[0].stage is melee.Stage.FOUNTAIN_OF_DREAMS
    assert states[0].players[1].connectCode == "DUEL#1"
    assert console.slp_version_tuple == (3, 18, 0)


def test_in_lock_step_the_frame_after_sees_the_answer_to_each_frame(replay: Path) -> None:
    def press(frame: int) -> None:
        held.tilt_analog(MAIN, (frame % 58 + 23) / 160 + 0.5, 0.5)

    with StandIn(replay, fps=None) as stand_in, client(stand_in) as (console, (held,)):
        states = play(console, press)
        report = stand_in.report()
    assert report.is_over
    assert report.frames.tolist() == [int(state.frame) for state in states]
    answers = report.poll_frame[2:]  # before it, the first step's FLUSH and that of the game's start
    seen = answers != NEVER
    assert report.poll_frame[:2].tolist() == [-123, -123]
    assert answers[seen].tolist() == list(range(-122, 577))
    assert report.main_x[2:][seen].tolist() == [frame % 58 + 23 for frame in range(-123, 576)]
    assert (report.flush_s[2:][seen] > report.sent_s[:-1]).all()


def test_what_a_controller_presses_reads_back_exactly(replay: Path) -> None:
    """Every stick value on every axis, every trigger value and every button, through text, pipe and quantisation."""
    names = ["A", "B", "X", "Y", "Z", "L", "R", "START", "D_UP", "D_DOWN", "D_LEFT", "D_RIGHT"]
    bits = [getattr(controller, name) for name in names]
    expected: list[tuple[int, ...]] = []

    def press(frame: int) -> None:
        step, value = frame + 123, 0
        held.release_all()
        if step < 322:
            value = step % 161 - 80
            mains, cs = ((value, 0), (0, value)) if step < 161 else ((0, value), (value, 0))
            held.tilt_analog(MAIN, mains[0] / 160 + 0.5, mains[1] / 160 + 0.5)
            held.tilt_analog(C, cs[0] / 160 + 0.5, cs[1] / 160 + 0.5)
            expected.append((*controller.game_stick(*mains), *controller.game_stick(*cs), 0, 0, 0, 0))
        elif step < 604:
            value = (step - 322) % 141
            is_left = step < 463
            held.press_shoulder(melee.Button.BUTTON_L if is_left else melee.Button.BUTTON_R, value / 140)
            fused = value if value >= 43 else 0
            expected.append((0, 0, 0, 0, fused, value * is_left, value * (not is_left), 0))
        else:
            index = step % len(names)
            held.press_button(melee.Button(names[index]))
            held.press_button(melee.Button.BUTTON_A)
            pressed = bits[index] | controller.A
            clicked = (140 * bool(pressed & controller.L), 140 * bool(pressed & controller.R))
            expected.append((0, 0, 0, 0, controller.game_trigger(0, 0, pressed), *clicked, pressed))

    with StandIn(replay, fps=None) as stand_in, client(stand_in) as (console, (held,)):
        play(console, press)
        report = stand_in.report()
    columns = [report.main_x, report.main_y, report.c_x, report.c_y, report.trigger, report.l_analog, report.r_analog]
    found = np.stack([*(column.astype(int) for column in columns), report.buttons.astype(int)], axis=1)
    assert found[2 : 2 + 700].tolist() == [list(row) for row in expected]
    assert report.num_bad_lines == 0


def test_paced_play_sends_every_frame_and_logs_every_flush(replay: Path) -> None:
    with StandIn(replay, fps=600.0) as stand_in, client(stand_in, is_blocking=False) as (console, _):
        states = play(console)
        assert wait_until_over(stand_in, 60.0)
        report = stand_in.report()
    assert [int(state.frame) for state in states] == report.frames.tolist() == list(range(-123, 577))
    assert (np.diff(report.sent_s) > 0).all()
    assert (np.diff(report.poll_frame) >= 0).all()
    assert set(report.port.tolist()) == {1}
    assert len(report.flush_s) >= 700


@pytest.mark.parametrize("fps", [None, 600.0])
def test_rollback_copies_are_sent_and_libmelee_skips_them(replay: Path, tmp_path: Path, fps: float | None) -> None:
    numbers = with_copies(replay, tmp_path / "rollback.slp")
    with StandIn(tmp_path / "rollback.slp", fps=fps) as stand_in, client(stand_in) as (console, _):
        states = play(console)
        report = stand_in.report()
    assert report.frames.tolist() == numbers
    assert [int(state.frame) for state in states] == list(range(-123, 577))
    assert all(state.players[1].percent != 77 for state in states)


def test_lock_step_waits_for_every_pad(replay: Path) -> None:
    with StandIn(replay, fps=None, controllers=(1, 3)) as stand_in, client(stand_in, (1, 3)) as (console, pads):

        def press(frame: int) -> None:
            pads[1].tilt_analog(C, 0.5, (frame % 58 + 23) / 160 + 0.5)

        play(console, press)
        report = stand_in.report()
    third = report.port == 3
    polled = third & (report.poll_frame != NEVER) & (report.poll_frame > -123)
    assert report.poll_frame[polled].tolist() == list(range(-122, 577))
    assert report.c_y[polled].tolist() == [frame % 58 + 23 for frame in range(-123, 576)]
    assert not report.c_y[~third].any()


def test_a_console_without_controllers_is_served_too(replay: Path) -> None:
    with StandIn(replay, fps=None, controllers=()) as stand_in, client(stand_in, ()) as (console, _):
        assert len(play(console)) == 700


def test_several_replays_are_played_one_after_the_other(replay: Path, tmp_path: Path) -> None:
    generate_replay(tmp_path / "next.slp", seed=5, frames=130)
    with StandIn([replay, tmp_path / "next.slp"], fps=None) as stand_in, client(stand_in) as (console, _):
        games = [play(console), play(console)]
        report = stand_in.report()
    assert [int(state.frame) for state in games[1]] == list(range(-123, 7))
    assert [state.stage for state in (games[0][0], games[1][0])] == [
        melee.Stage.FOUNTAIN_OF_DREAMS,
        melee.Stage.FINAL_DESTINATION,
    ]
    assert report.frames.tolist() == [*range(-123, 577), *range(-123, 7)]


def test_a_client_that_comes_in_mid_game_gets_the_game_from_its_start(replay: Path) -> None:
    """As with Dolphin; the game waits at frame 0, so both clients come before it."""
    with StandIn(replay, fps=600.0, pauses={0: 300.0}) as stand_in:
        for _ in range(2):
            with client(stand_in, is_blocking=False) as (console, _):
                assert [int(console.step().frame) for _ in range(123)] == list(range(-123, 0))
        assert stand_in.report().frames.tolist() == list(range(-123, 0))


def test_a_pause_is_a_time_without_frames(replay: Path) -> None:
    with (
        StandIn(replay, fps=6000.0, pauses={-100: 0.25, 30: 0.25}) as stand_in,
        client(stand_in, is_blocking=False) as (
            console,
            _,
        ),
    ):
        assert [int(state.frame) for state in play(console)] == list(range(-123, 577))
        report = stand_in.report()
    before = [int(frame) for frame in report.frames[1:][np.diff(report.sent_s) >= 0.25]]
    assert {-100, 30} <= set(before)


def test_menus_follow_the_game(replay: Path) -> None:
    with StandIn(replay, fps=None) as stand_in, client(stand_in) as (console, _):
        play(console)
        menus = [console.step() for _ in range(5)]
    assert [state.menu_state for state in menus] == [melee.Menu.CHARACTER_SELECT] * 5
    assert [int(state.frame) for state in menus] == [2, 3, 4, 5, 6]
    assert menus[0].players[1].controller_status is melee.ControllerStatus.CONTROLLER_HUMAN
    assert menus[0].players[2].controller_status is melee.ControllerStatus.CONTROLLER_UNPLUGGED


def test_closing_in_mid_game_ends_the_client_the_process_and_the_home(replay: Path) -> None:
    with StandIn(replay, fps=None) as stand_in, client(stand_in) as (console, _):
        for _ in range(10):
            console.step()
        stand_in.close()
        with pytest.raises((melee.slippstream.EnetDisconnected, BrokenPipeError)):
            play(console)
        assert not _is_alive(stand_in.pid)
        assert not stand_in.home.exists()
        assert 10 <= len(stand_in.report().frames) < 700
        assert not stand_in.report().is_over
    assert multiprocessing.active_children() == []


def test_a_client_hears_at_once_that_the_stand_in_closes(replay: Path) -> None:
    """ENet alone would notice only by a time-out; a goodbye is among the packets that are there already."""
    host = enet.Host(None, 1, 1, 0, 0)
    with StandIn(replay, fps=60.0, controllers=(), pauses={-123: 600.0}) as stand_in:
        peer = host.connect(enet.Address(stand_in.address.encode(), stand_in.port), 1)
        assert enet.EVENT_TYPE_CONNECT in heard(host, enet.EVENT_TYPE_CONNECT)
        peer.send(0, enet.Packet(b'{"type": "connect_request", "cursor": 0}', enet.PACKET_FLAG_RELIABLE))
        assert enet.EVENT_TYPE_RECEIVE in heard(host, enet.EVENT_TYPE_RECEIVE)
        stand_in.close()
        assert heard(host, None)[-1] == enet.EVENT_TYPE_DISCONNECT


def heard(host: Any, last: int | None) -> list[int]:
    """Kinds of the events that are there, or with ``last`` of those up to one of that kind, which may take a while."""
    kinds = []
    while last not in kinds and (event := host.service(0 if last is None else 60_000)).type != enet.EVENT_TYPE_NONE:
        kinds.append(event.type)
    return kinds


def test_a_stand_in_without_a_client_closes_at_once(replay: Path) -> None:
    with StandIn(replay) as stand_in:
        assert not stand_in.report().is_over
        report = stand_in.report()
    assert (len(report.frames), len(report.flush_s), report.has_client) == (0, 0, False)
    assert not _is_alive(stand_in.pid)


def test_a_stand_in_ends_with_a_parent_that_was_killed(replay: Path) -> None:
    script = f"""
        import os
        from play.stand_in.stand_in import StandIn
        if __name__ == "__main__":
            print(StandIn({str(replay)!r}).pid, flush=True)
            os._exit(9)
    """
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=root,
    )
    assert done.returncode == 9, done.stderr
    pid = int(done.stdout)
    deadline = time.monotonic() + 300
    while _is_alive(pid):
        assert time.monotonic() < deadline, "the stand-in outlived its parent"
        time.sleep(0.02)


def _is_alive(pid: int | None) -> bool:
    """Whether a process runs; one that ended and only awaits its parent's notice does not."""
    assert pid is not None
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_replays_too_old_for_the_stream_are_refused(replay: Path, tmp_path: Path) -> None:
    for version, is_served in (((3, 7, 9), False), ((3, 8, 0), True)):
        raw, metadata = slp.read_slp(replay)
        at = raw.index(bytes([slp.GAME_START, 3, 18]), 5) + 1
        data = raw[:at] + bytes(version) + raw[at + 3 :]
        (tmp_path / "old.slp").write_bytes(slp.pack(data, metadata))
        if is_served:
            StandIn(tmp_path / "old.slp").close()
            continue
        with pytest.raises(ReplayError, match=r"old\.slp: the stand-in serves Slippi 3\.8\.0 or newer, found 3\.7\.9"):
            StandIn(tmp_path / "old.slp")


def test_a_replay_without_frames_is_refused(replay: Path, tmp_path: Path) -> None:
    raw, metadata = slp.read_slp(replay)
    (tmp_path / "empty.slp").write_bytes(slp.pack(slp.split_messages(raw)[0], metadata))
    with pytest.raises(ReplayError, match="needs frames, found none"):
        StandIn(tmp_path / "empty.slp")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fps": 0.0}, "must be above 0"),
        ({"controllers": (1, 1)}, "different ports"),
        ({"controllers": (5,)}, "different ports"),
    ],
)
def test_a_wrong_argument_is_a_config_error(replay: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        StandIn(replay, **wrong)


def test_a_taken_port_is_a_dolphin_error(replay: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(DolphinError, match="must open UDP port"):
            StandIn(replay, port=taken.getsockname()[1])


def test_a_system_without_named_pipes_is_a_dolphin_error(replay: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "mkfifo")
    with pytest.raises(DolphinError, match="use Linux or macOS"):
        StandIn(replay)
