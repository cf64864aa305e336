"""Which build of Slippi's Dolphin an executable is, and whether it can do without a window, by what it says of itself.

In: an executable, asked for ``--version`` and ``--help``. Out: mainline, Ishiiruka or ExiAI. The surprise: libmelee would wait
for that answer for ever, and an AppImage that finds no FUSE fails before Dolphin begins; so the executable is asked here first,
with a time limit and a word for every way in which it does not answer.
"""

import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import melee

from dataset.errors import DolphinError

ANSWER_S = 20.0
_NOT_FOUND = 127
"""Exit code of a program whose libraries are missing, and of an AppImage without FUSE."""

_NO_FUSE = re.compile(r"\b(lib)?fuse\b|\bfusermount", re.IGNORECASE)
"""What an AppImage that cannot mount itself complains of; a desktop's "connection refused" is no such thing."""


_NO_DISPLAY = re.compile(r"could not connect to display|no Qt platform plugin")
"""What a Dolphin with windows complains of on a machine without a screen; it dies of that even when asked for its version."""


class Build(NamedTuple):
    """A build of Slippi's Dolphin."""

    name: str
    """``mainline``, ``Ishiiruka``, ``mainline ExiAI`` or ``Ishiiruka ExiAI``."""
    version: str
    is_mainline: bool
    is_exi_ai: bool


@cache
def build_of(executable: Path) -> Build:
    """Ask an executable which build it is, once: it takes an AppImage a second to answer.

    Raises:
        DolphinError: it cannot be started, does not answer, or is no Slippi Dolphin.
    """
    _require_answer(executable)
    try:
        found: Any = melee.console.get_dolphin_version(str(executable))
    except (RuntimeError, ValueError, AssertionError, IndexError, OSError) as error:
        raise _wrong(
            executable, f"{type(error).__name__}: {error}", "pass Slippi's Dolphin, not another one"
        ) from error
    is_exi_ai = found.build is melee.console.DolphinBuild.EXI_AI
    name = ("mainline" if found.mainline else "Ishiiruka") + (" ExiAI" if is_exi_ai else "")
    return Build(name, found.version, bool(found.mainline), is_exi_ai)


def windowless(executable: Path, build: Build) -> list[str]:
    """What an executable is started with so that it opens no window.

    An ExiAI build of Ishiiruka has none. Mainline is built as two programs: nogui knows ``--platform``; the Qt one, which is the
    launcher's, does not, and Qt takes that for an option of its own and ends the program.

    Raises:
        DolphinError: this build always opens a window.
    """
    if build.is_exi_ai and not build.is_mainline:
        return []
    if build.is_mainline and "--platform" in _said(_ask(executable, "--help")):
        return ["--platform", "headless"]
    raise DolphinError(
        f"--headless: needs a build that can do without a window, found {build.name} {build.version}; "
        "pass the nogui build of mainline or an ExiAI build (docs/playing.md), or drop --headless"
    )


def _require_answer(executable: Path) -> None:
    if not os.access(executable, os.X_OK):
        raise _wrong(executable, "a file that may not be executed", f"chmod +x '{executable}'")
    done = _ask(executable, "--version")
    complaint = _said(done)
    if _NO_DISPLAY.search(complaint):
        first = next(line for line in complaint.splitlines() if _NO_DISPLAY.search(line))
        raise _wrong(
            executable, first, "it needs a screen: pass a nogui or ExiAI build, or run all of it under xvfb-run"
        )
    if done.returncode == _NOT_FOUND or _NO_FUSE.search(complaint):
        last = complaint.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise _wrong(
            executable, last[0], "an AppImage needs FUSE 2: install libfuse2, or set APPIMAGE_EXTRACT_AND_RUN=1"
        )


def _ask(executable: Path, question: str) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run([executable, question], capture_output=True, timeout=ANSWER_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise _wrong(
            executable, f"no answer in {ANSWER_S:.0f} s", "start it once by hand and see what it asks"
        ) from error
    except OSError as error:
        raise _wrong(executable, f"{type(error).__name__}: {error}", "pass the build for this system") from error


def _said(done: "subprocess.CompletedProcess[bytes]") -> str:
    return (done.stderr + done.stdout).decode(errors="replace")


def _wrong(executable: Path, found: str, fix: str) -> DolphinError:
    return DolphinError(f"{executable}: Slippi Dolphin must answer --version, found {found}; {fix}")
