"""A stand-in for Slippi's Dolphin that needs no emulator: it plays a replay to libmelee and reads the pads back.

In: a ``.slp`` of Slippi 3.8 or newer. Out: a spectator server on the loopback, controller pipes in a Dolphin home of its
own, and a report of every frame sent and every FLUSH read. libmelee stays unmodified: a Console with ``is_remote`` and
``dolphin_home_path`` neither starts nor asks for an executable, so none is faked. What would surprise: controllers do not
change the replayed game, and ``Console.stop()`` does nothing when remote, so the client must end its own worker.
"""

import contextlib
import importlib.util
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from dataset.errors import ConfigError, DolphinError, ReplayError
from dataset.slippi import slp

if TYPE_CHECKING:
    from play.stand_in.server import Log, Message, Setup

OLDEST = (3, 8, 0)
"""Oldest Slippi version served: hitlag came with it, and every default feature."""
ADDRESS = "127.0.0.1"
NEVER = 2**31 - 1
"""``poll_frame`` of a FLUSH that no frame came after."""
PIPE, OTHER_PIPE = 1, 2
"""Ports of the pads that a match against it uses, the agent's and its opponent's; the replayed game does not listen to them."""
_READY_S = 120.0  # a process takes long to start on a busy machine
_STOP_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a stand-in saw; F frames sent (rollback copies counted), N FLUSHes read; times from ``time.monotonic``."""

    frames: npt.NDArray[np.int32]
    """[F] Slippi's frame numbers, in the order sent."""
    sent_s: npt.NDArray[np.float64]
    """[F]"""
    port: npt.NDArray[np.uint8]
    """[N] 1 to 4, of the pad that was flushed; so all below."""
    flush_s: npt.NDArray[np.float64]
    """[N]"""
    poll_frame: npt.NDArray[np.int32]
    """[N] the first frame whose pad poll saw it; ``NEVER`` if none came after."""
    main_x: npt.NDArray[np.int8]
    """[N] as the game sees it, in 1/80; so the three below."""
    main_y: npt.NDArray[np.int8]
    c_x: npt.NDArray[np.int8]
    c_y: npt.NDArray[np.int8]
    trigger: npt.NDArray[np.uint8]
    """[N] both triggers as one, as the game sees it, in 1/140."""
    l_analog: npt.NDArray[np.uint8]
    r_analog: npt.NDArray[np.uint8]
    buttons: npt.NDArray[np.uint16]
    """[N] Slippi's physical button bits."""
    num_bad_lines: int
    """Pipe lines that Dolphin would not have understood."""
    is_over: bool
    """Whether the end of the last game was sent."""
    has_client: bool

    def latency_ms(self) -> npt.NDArray[np.float64]:
        """Return milliseconds from the newest frame sent to each FLUSH after the first frame; [≤ N]."""
        newest = np.searchsorted(self.sent_s, self.flush_s, side="right") - 1
        return (self.flush_s[newest >= 0] - self.sent_s[newest[newest >= 0]]) * 1e3


class StandIn:
    """A running stand-in, to be used in a ``with`` statement.

    Args:
        replay: the ``.slp`` to serve, or several to serve one after the other.
        port: UDP port of the spectator server; 0 takes a free one.
        fps: frames a second; None for lock step, where each frame waits for a FLUSH of every pad, as with Dolphin's
            blocking pipes (give the Console ``blocking_input=True``).
        controllers: ports 1–4 that get a pipe; the game starts once a client and all of them are connected.
        start_grace_s: in lock step, how long to wait for the FLUSH that libmelee sends at a game's start by itself; 0
            for a client that leaves it out.
        pauses: by frame: seconds that pass before it is sent, in every game, as when somebody pauses.

    Raises:
        ReplayError: the replay is damaged, older than Slippi 3.8 or has no frames.
        ConfigError: an argument is out of range, or the play extra is not installed.
        DolphinError: the system has no named pipes, or the port is taken.
    """

    def __init__(
        self,
        replay: str | Path | Sequence[str | Path],
        *,
        port: int = 0,
        fps: float | None = 60.0,
        controllers: Sequence[int] = (1,),
        start_grace_s: float = 0.25,
        pauses: Mapping[int, float] | None = None,
    ) -> None:
        _check(fps, controllers)
        replays = [replay] if isinstance(replay, str | Path) else list(replay)
        games, versions = zip(*(_load(Path(path)) for path in replays), strict=True)
        self.address, self.port = ADDRESS, port
        self._folder = tempfile.TemporaryDirectory(prefix="exphil-stand-in-")
        try:
            self.home = Path(self._folder.name)
            pipes = _make_home(self.home, controllers)
            self._start(list(games), versions[0], pipes, fps, start_grace_s, dict(pauses or {}))
        except BaseException:
            self._folder.cleanup()
            raise

    def _start(
        self,
        games: "list[list[Message]]",
        version: str,
        pipes: dict[int, Path],
        fps: float | None,
        start_grace_s: float,
        pauses: dict[int, float],
    ) -> None:
        from play.stand_in.server import Setup

        context = multiprocessing.get_context("spawn")
        self._control, control = context.Pipe()
        setup = Setup(games, version, self.port, pipes, fps, start_grace_s, pauses)
        self._process = context.Process(target=_serve, args=(control,), daemon=True, name="exphil stand-in")
        self._process.start()
        control.close()
        with contextlib.suppress(
            OSError
        ):  # sent once it runs: as an argument, to a process that dies first, it never ends
            self._control.send(setup)
        self._last: Log | None = None
        self.port = self._ready()

    def _ready(self) -> int:
        try:
            answer = self._control.recv() if self._control.poll(_READY_S) else "no answer"
        except EOFError:
            answer = "its process ended"
        if isinstance(answer, int):
            return answer
        self._end()
        raise DolphinError(
            f"stand-in: its server must open UDP port {self.port} on {ADDRESS}, found: {answer}; use port 0 for a free one"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the server."""
        return self._process.pid

    def report(self) -> Report:
        """Return what was seen so far; after :meth:`close`, what had been seen by then."""
        if self._process.is_alive() and not self._control.closed:
            self._last = self._ask()
        if self._last is None:
            raise DolphinError("stand-in: its server must answer, found its process ended; run the command again")
        return _report(self._last)

    def _ask(self) -> "Log | None":
        try:
            self._control.send("report")
            log: Log = self._control.recv()
        except (EOFError, OSError):
            return self._last
        return log

    def wait_until_over(self, timeout_s: float) -> bool:
        """Wait until the end of the last game was sent; False if ``timeout_s`` went by first."""
        deadline = time.monotonic() + timeout_s
        while not self.report().is_over:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def close(self) -> None:
        """Stop the server, tell the client goodbye, and remove the home; safe to call twice."""
        if self._control.closed:
            return
        if self._process.is_alive():
            self._last = self._ask()
        self._end()
        self._folder.cleanup()

    def _end(self) -> None:
        with contextlib.suppress(OSError):  # it may have ended already
            self._control.send("stop")
        self._process.join(_STOP_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._control.close()


def _serve(control: Connection) -> None:
    """Run in a process of its own."""
    from play.stand_in.server import Spectator

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then stops us
    try:
        setup: Setup = control.recv()
        spectator = Spectator(setup, control)
    except EOFError:  # the parent has gone
        return
    except (OSError, MemoryError) as error:
        control.send(f"{type(error).__name__}: {error}")
        return
    control.send(spectator.port)
    spectator.run()


def _check(fps: float | None, controllers: Sequence[int]) -> None:
    if importlib.util.find_spec("enet") is None:
        raise ConfigError("stand-in: needs the play extra, found no pyenet; run pip install 'exphil[play]'")
    if not hasattr(os, "mkfifo"):
        raise DolphinError(
            "stand-in: needs named pipes in the file system, found none on this system; use Linux or macOS"
        )
    if fps is not None and not fps > 0:
        raise ConfigError(f"fps {fps}: must be above 0, or None for lock step")
    if len(set(controllers)) != len(controllers) or not set(controllers) <= {1, 2, 3, 4}:
        raise ConfigError(f"controllers {tuple(controllers)}: must be different ports 1 to 4; pass for example (1,)")


def _make_home(home: Path, controllers: Sequence[int]) -> dict[int, Path]:
    """Lay out what libmelee expects of a Dolphin home: an ini with a Core section, and a pipe a controller."""
    (home / "Config").mkdir()
    (home / "Config" / "Dolphin.ini").write_text("[Core]\n")
    (home / "Pipes").mkdir()
    pipes = {port: home / "Pipes" / f"slippibot{port}" for port in controllers}
    for path in pipes.values():
        os.mkfifo(path)
    return pipes


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let what is wrong with a replay's bytes name the file that holds them."""
    try:
        yield
    except ReplayError as error:
        raise ReplayError(error.reason, f"{path.name}: {str(error).removeprefix('replay: ')}") from error


def _load(path: Path) -> "tuple[list[Message], str]":
    """Return a replay's messages, in the order Dolphin would send them, and its Slippi version."""
    with naming(path):
        raw, _ = slp.read_slp(path)
        found = slp.read_header(path).version
    version, oldest = (".".join(map(str, numbers)) for numbers in (found, OLDEST))
    if found < OLDEST:
        raise ReplayError(
            "too_old",
            f"{path.name}: the stand-in serves Slippi {oldest} or newer, found {version}; choose a newer replay",
        )
    with naming(path):
        messages = [_message(message, slp.payload_sizes(raw)[slp.BOOKEND]) for message in slp.split_messages(raw)]
    if not any(message.kind == "frame" for message in messages):
        raise ReplayError(
            "no_frames", f"{path.name}: a replay to serve needs frames, found none; choose another replay"
        )
    return messages, version


def _message(payload: bytes, bookend_size: int) -> "Message":
    from play.stand_in.server import Message

    if payload[0] in (slp.PAYLOAD_SIZES, slp.GAME_START):
        return Message("start", payload, None)
    if payload[0] == slp.GECKO_PIECE:
        return Message("gecko", payload, None)
    if payload[0] == slp.GAME_END:
        return Message("end", payload, None)
    return Message("frame", payload, int.from_bytes(payload[-bookend_size:][:4], "big", signed=True))


def _report(log: "Log") -> Report:
    ports, times, pads = zip(*log.flushes, strict=True) if log.flushes else ((), (), ())
    columns = np.array(pads, np.int64).reshape(-1, 8).T
    main_x, main_y, c_x, c_y = columns[:4].astype(np.int8)
    trigger, l_analog, r_analog = columns[4:7].astype(np.uint8)
    return Report(
        frames=np.array(log.frames, np.int32),
        sent_s=np.array(log.sent_s, np.float64),
        port=np.array(ports, np.uint8),
        flush_s=np.array(times, np.float64),
        poll_frame=np.array(log.poll_frames, np.int32),
        main_x=main_x,
        main_y=main_y,
        c_x=c_x,
        c_y=c_y,
        trigger=trigger,
        l_analog=l_analog,
        r_analog=r_analog,
        buttons=columns[7].astype(np.uint16),
        num_bad_lines=log.num_bad_lines,
        is_over=log.is_over,
        has_client=log.has_client,
    )
