"""Dolphin's process and libmelee's connection to it: begun in the order that Dolphin needs, ended in the one that cannot hang.

An AppImage that unpacks itself waits for the Dolphin it started instead of becoming it. So what is started here leads a process
group of its own, and the whole group is killed; nothing else of that name is touched.
"""

import multiprocessing
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import melee
from melee.slippstream import SlippstreamClient

from dataset.errors import DolphinError
from play.signals import shielded_from_interrupts

START_S = 60.0
"""How long a Dolphin that still runs may take to answer; libmelee alone gives it 10 s."""

PIPE_S = 20.0
"""How long it may then take to open its pads."""

_RETRY_S = 0.05


def start_dolphin(console: melee.Console, iso: Path, *more: str) -> None:
    """Start Dolphin as ``console.run`` does, but out of reach of the terminal's Ctrl-C and with a group of its own."""
    command = [console.exe_path, "-e", str(iso), "-u", console.dolphin_home_path, *more]
    console._process = subprocess.Popen(command, start_new_session=True)


def connect(console: melee.Console, pads: list[melee.Controller]) -> None:
    """Connect a console and its pads.

    Raises:
        DolphinError: nobody answers, or nobody reads a pad.
    """
    if not _is_connected(console):
        _require_running(console)
        raise DolphinError(
            f"Dolphin: its spectator stream must answer on UDP port {console.slippi_port}, found nothing; "
            "see that no other Dolphin runs and that spectating is not blocked by a firewall"
        )
    for pad in pads:
        if not _is_opened(console, pad):
            _require_running(console)
            raise DolphinError(
                f"Dolphin: it must read controller pipe {pad.pipe_path}, found nothing; close other Slippi Dolphins"
            )


def _is_connected(console: melee.Console) -> bool:
    """As often as ``console.connect`` would have to be called, which gives up early and works only once."""
    deadline = time.monotonic() + START_S
    while True:
        stream = console._slippstream
        with shielded_from_interrupts():
            stream._worker.start()
        while not stream._buffer.poll(_RETRY_S):
            if _has_exited(console):
                return False
        stream.running = stream._buffer.recv()
        if stream.running:
            return True
        stream.shutdown()
        if console._process is None or time.monotonic() > deadline:
            return False
        console._slippstream = SlippstreamClient(console.slippi_address, console.slippi_port)


def _is_opened(console: melee.Console, pad: melee.Controller) -> bool:
    """Libmelee would wait for ever for somebody who reads the pipe; so that is made sure of before."""
    if not hasattr(os, "mkfifo"):
        return bool(pad.connect())
    deadline = time.monotonic() + PIPE_S
    while True:
        try:
            probe = os.open(pad.pipe_path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            if time.monotonic() > deadline or _has_exited(console):
                return False
            time.sleep(_RETRY_S)
            continue
        try:
            return bool(pad.connect())
        finally:
            os.close(probe)


def _has_exited(console: melee.Console) -> bool:
    """Whether there was a Dolphin of ours, and is no more."""
    return console._process is not None and console._process.poll() is not None


def _require_running(console: melee.Console) -> None:
    if _has_exited(console):
        command = shlex.join(map(str, console._process.args[:3]))
        raise DolphinError(
            f"Dolphin: must run until the match is over, found that it exited with code {console._process.returncode} while it "
            f"started; see what it wrote above, and whether '{command}' starts the game"
        )


def close_console(console: melee.Console) -> None:
    """End Dolphin if we started it, and libmelee's socket process.

    The process is killed: libmelee waits for it, which deadlocks while unread frames fill its pipe.
    """
    with shielded_from_interrupts():
        process: subprocess.Popen[bytes] | None = console._process
        if process is not None:
            _kill_group(process)
        stream = console._slippstream
        worker: multiprocessing.Process | None = stream._worker
        if worker is not None and worker.pid is not None:
            worker.kill()
            worker.join()
            stream._buffer.close()
        stream._worker, stream.running = None, False
        console.stop()


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):  # all of it has gone
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


@contextmanager
def closed_on_error(console: melee.Console) -> Iterator[None]:
    """Leave no process behind when opening a session fails."""
    try:
        yield
    except BaseException:
        close_console(console)
        raise
