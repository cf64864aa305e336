"""A stand-in for Slippi's Dolphin that needs no emulator: it plays a replay to libmelee and reads the pads back.

It serves a ``.slp`` of Slippi 3.8 or newer on the loopback as Dolphin's spectator server would, makes controller pipes in a
Dolphin home of its own, and reports every frame sent and every FLUSH read. Controllers do not change the replayed game.
libmelee is unmodified: a Console with ``is_remote`` and ``dolphin_home_path`` neither starts nor asks for an executable.
"""

import contextlib
import importlib.util
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dataset.errors import ConfigError, DolphinError, ReplayError
from dataset.slippi import slp
from play.stand_in.protocol import ADDRESS, Message, Report, Setup

if TYPE_CHECKING:
    from play.dolphin.session import Patience, Session

OLDEST = (3, 8, 0)
"""Oldest Slippi version served: hitlag came with it, and every default feature."""
_KINDS = {slp.PAYLOAD_SIZES: "start", slp.GAME_START: "start", slp.GECKO_PIECE: "gecko", slp.GAME_END: "end"}
"""What a message is, by its first event; any other is a frame."""
_READY_S = 120.0  # a process takes long to start on a busy machine
_STOP_S = 5.0


class StandIn:
    """A running stand-in, to be used in a ``with`` statement.

    Args:
        replay: the ``.slp`` to serve, or several to serve one after the other.
        port: UDP port of the spectator server; 0 takes a free one.
        fps: frames per second; None for lock step, where each frame waits for a FLUSH of every pad, as with Dolphin's
            blocking pipes (give the Console ``blocking_input=True``).
        controllers: ports 1–4 that get a pipe; the game starts when a client and all of them are connected.
        start_grace_s: in lock step, how long to wait for the FLUSH that libmelee sends by itself at a game's start; 0
            for a client that does not send it.
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
        self._last: Report | None = None
        try:
            self.home = Path(self._folder.name)
            pipes = _make_home(self.home, controllers)
            self._start(Setup(list(games), versions[0], port, pipes, fps, start_grace_s, dict(pauses or {})))
        except BaseException:
            self._folder.cleanup()
            raise

    def _start(self, setup: Setup) -> None:
        context = multiprocessing.get_context("spawn")
        self._control, control = context.Pipe()
        self._process = context.Process(target=_serve, args=(control,), daemon=True, name="exphil stand-in")
        self._process.start()
        control.close()
        # Sent once it runs: handed over as an argument, it would block for ever if the process dies first.
        with contextlib.suppress(OSError):
            self._control.send(setup)
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

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the server."""
        return self._process.pid

    def report(self) -> Report:
        """What was seen so far; after ``close``, what had been seen by then."""
        self._ask()
        if self._last is None:
            raise DolphinError("stand-in: its server must answer, found its process ended; run the command again")
        return self._last

    def _ask(self) -> None:
        if self._process.is_alive() and not self._control.closed:
            with contextlib.suppress(EOFError, OSError):  # it may end meanwhile
                self._control.send("report")
                self._last = self._control.recv()

    def close(self) -> None:
        """Stop the server, disconnect the client, and remove the home; safe to call twice."""
        if self._control.closed:
            return
        self._ask()
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


def open_stand_in(
    stand_in: StandIn, port: int, *other_ports: int, is_blocking: bool, patience: "Patience | None" = None
) -> "Session":
    """Connect to a running stand-in.

    Args:
        stand_in: what to connect to.
        port: the agent's pad.
        other_ports: the pads of our other players, if it has more.
        is_blocking: whether every frame waits for an answer.
        patience: how long to wait for frames; None is as long as beside a person, who may pause.
    """
    import melee

    from play.dolphin.connection import closed_on_error, connect
    from play.dolphin.session import BESIDE_A_PERSON, Session

    console = melee.Console(
        is_remote=True,
        dolphin_home_path=str(stand_in.home),
        slippi_address=stand_in.address,
        slippi_port=stand_in.port,
        blocking_input=is_blocking,
        polling_mode=True,
    )
    pads = [melee.Controller(console, each) for each in (port, *other_ports)]
    with closed_on_error(console):
        connect(console, pads)
    return Session(console, pads, oldest=OLDEST, patience=patience or BESIDE_A_PERSON)


def _serve(control: Connection) -> None:
    """The server's process."""
    from play.stand_in.server import Spectator

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which then stops this process
    try:
        setup: Setup = control.recv()
        spectator = Spectator(setup, control)
    except EOFError:  # the parent is gone
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
    """Make what libmelee expects in a Dolphin home: an ini with a Core section, and a pipe per controller."""
    (home / "Config").mkdir()
    (home / "Config" / "Dolphin.ini").write_text("[Core]\n")
    (home / "Pipes").mkdir()
    pipes = {port: home / "Pipes" / f"slippibot{port}" for port in controllers}
    for path in pipes.values():
        os.mkfifo(path)
    return pipes


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name into errors about a replay's bytes."""
    try:
        yield
    except ReplayError as error:
        raise ReplayError(error.reason, f"{path.name}: {str(error).removeprefix('replay: ')}") from error


def _load(path: Path) -> tuple[list[Message], str]:
    """A replay's messages, in the order Dolphin would send them, and its Slippi version."""
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


def _message(payload: bytes, bookend_size: int) -> Message:
    kind = _KINDS.get(payload[0], "frame")
    is_frame = kind == "frame"
    return Message(kind, payload, int.from_bytes(payload[-bookend_size:][:4], "big", signed=True) if is_frame else None)
