"""A real Dolphin that runs the program, started as a match starts it, and what the program read of the pads."""

import os
import select
import shutil
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import melee

from dataset.melee import controller
from dataset.melee.ids import character_from_name, stage_from_name
from play.dolphin.connection import _is_opened, close_console, start_dolphin
from play.dolphin.installation import build_of, windowless
from play.dolphin.match import Match
from play.dolphin.start import _configure
from play.stand_in.pipe_pad import PadState

BASE = 0x80002000
READY = 0x50414450
PLACES = {"magic": 0x00, "polls": 0x04, "tb": 0x68} | {f"pad{n}": 0x08 + 4 * n for n in range(8)}
"""Of ``struct result`` in ``padprobe.c``; ``pad0`` and ``pad1`` are the halves of the first pad."""

_BUTTONS = 0x1F7F
"""The bits of a pad's word that are buttons; they are Slippi's."""

_WRAPPER = """#!/bin/sh
[ "${{1-}}" = --version ] && {{ echo "Slippi Dolphin 4.0.0-mainline-beta.5 (really {name})"; exit 0; }}
exec {executable} "$@"
"""


def executable() -> str | None:
    """Debian's mainline Dolphin without a window, if it is installed."""
    return shutil.which("dolphin-emu-nogui", path=f"{os.environ.get('PATH', '')}:/usr/games")


class Bytes(NamedTuple):
    """What the console's serial interface delivered of a pad, in its analog mode 3."""

    word: int
    x: int
    y: int
    c_x: int
    c_y: int
    left: int
    right: int

    def as_game(self) -> PadState:
        """What Melee makes of it; the sticks rest at 128."""
        buttons = self.word & _BUTTONS
        return PadState(
            *controller.game_stick(self.x - 128, self.y - 128),
            *controller.game_stick(self.c_x - 128, self.c_y - 128),
            controller.game_trigger(self.left, self.right, buttons),
            min(self.left, controller.TRIGGER_RANGE),
            min(self.right, controller.TRIGGER_RANGE),
            buttons,
        )


class Probe:
    """A running Dolphin.

    Args:
        console: libmelee's, of a Dolphin that runs.
        pads: connected.
        watched: Dolphin's MemoryWatcher sends here what has changed, once a field.
    """

    def __init__(self, console: melee.Console, pads: list[melee.Controller], watched: socket.socket) -> None:
        self.console, self.pads, self._watched = console, pads, watched
        self.memory = dict.fromkeys(PLACES, 0)
        self.num_fields = 0

    def observe(self, timeout_s: float = 20.0) -> bool:
        """Wait for the end of the next field; False if none came."""
        if not select.select([self._watched], [], [], timeout_s)[0]:
            return False
        lines = self._watched.recv(1 << 16).rstrip(b"\0").split()
        names = {BASE + at: name for name, at in PLACES.items()}
        for where, value in zip(lines[::2], lines[1::2], strict=True):
            self.memory[names[int(where, 16)]] = int(value, 16)
        self.num_fields += 1
        return True

    def drain(self) -> None:
        """Take in all fields that have ended."""
        while self.observe(0.0):
            pass

    def read(self, pad: int = 0) -> Bytes:
        """What the program read last of a pad."""
        packed = struct.pack(">II", self.memory[f"pad{2 * pad}"], self.memory[f"pad{2 * pad + 1}"])
        return Bytes(*struct.unpack(">H6B", packed))

    def settle(self, polls: int = 3) -> Bytes:
        """What the program reads of the first pad once it has polled so often again."""
        self.drain()
        until = self.memory["polls"] + polls
        while self.memory["polls"] < until:
            assert self.observe(), "Dolphin stands still"
        return self.read()


@contextmanager
def probing(
    folder: Path,
    program: Path,
    *,
    ports: tuple[int, ...] = (1,),
    home: Path | None = None,
    speed: float = 0.0,
    replays: str = "replays",
) -> Iterator[Probe]:
    """Run the program in Dolphin.

    Args:
        folder: for files.
        program: the DOL.
        ports: of the pads.
        home: a person's User folder, which is copied.
        speed: 1.0 is the console's; 0.0 is as fast as it goes.
        replays: the name of the folder for replays.
    """
    found = executable()
    assert found is not None
    wrapper = folder / "dolphin-as-slippi"
    wrapper.write_text(_WRAPPER.format(executable=found, name="Debian's"))
    wrapper.chmod(0o755)
    match = Match(
        executable=wrapper,
        iso=program,
        character=character_from_name("falco"),
        stage=stage_from_name("final_destination"),
        cpu=None if home else character_from_name("fox"),
        rival=None,
        cpu_level=9,
        port=ports[0],
        connect_code=None,
        online_delay=0,
        is_blocking=False,
        is_headless=True,
        replay_dir=folder / replays,
        home=home,
        slippi_port=51551,
    )
    build = build_of(wrapper)
    console = _configure(match, build)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as watched:
        try:
            pads = [melee.Controller(console, port) for port in ports]
            _watch(Path(console.dolphin_home_path), watched)
            settings = ("-C", f"Dolphin.Core.EmulationSpeed={speed}", "-C", "Dolphin.Core.FallbackRegion=1")  # 1: NTSC
            start_dolphin(console, program, *windowless(wrapper, build), *settings)
            for pad in pads:
                assert _is_opened(console, pad), "Dolphin does not read the pipe"
            probe = Probe(console, pads, watched)
            deadline = time.monotonic() + 90
            while probe.memory["magic"] != READY or probe.memory["polls"] < 10:
                probe.observe(1.0)
                assert console._process.poll() is None, "Dolphin has ended"
                assert time.monotonic() < deadline, probe.memory
            yield probe
            for pad in pads:
                pad.disconnect()
        finally:
            close_console(console)


def _watch(user: Path, watched: socket.socket) -> None:
    folder = user / "MemoryWatcher"
    folder.mkdir()
    (folder / "Locations.txt").write_text("".join(f"{BASE + at:08X}\n" for at in PLACES.values()))
    here = Path.cwd()
    os.chdir(folder)  # the path of a socket must be short
    try:
        watched.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        watched.bind("MemoryWatcher")
    finally:
        os.chdir(here)
