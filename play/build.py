"""Which build of Slippi's Dolphin an executable is: mainline, Ishiiruka or ExiAI, by what it answers to ``--version``.

The surprise: libmelee would wait for that answer for ever, and an AppImage that finds no FUSE fails before Dolphin begins; so
the executable is asked here first, with a time limit and a word for every way in which it does not answer.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import melee

from dataset.errors import DolphinError

ANSWER_S = 20.0
_NOT_FOUND = 127
"""Exit code of a program whose libraries are missing, and of an AppImage without FUSE."""

_NO_FUSE = re.compile(r"\b(lib)?fuse\b|\bfusermount", re.IGNORECASE)
"""What an AppImage that cannot mount itself complains of; a desktop's "connection refused" is no such thing."""


class Build(NamedTuple):
    """A build of Slippi's Dolphin."""

    name: str
    """``mainline``, ``Ishiiruka``, ``mainline ExiAI`` or ``Ishiiruka ExiAI``."""
    version: str
    is_mainline: bool
    is_exi_ai: bool


def build_of(executable: Path) -> Build:
    """Ask an executable which build it is.

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


def _require_answer(executable: Path) -> None:
    if not os.access(executable, os.X_OK):
        raise _wrong(executable, "a file that may not be executed", f"chmod +x '{executable}'")
    try:
        done = subprocess.run([executable, "--version"], capture_output=True, timeout=ANSWER_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise _wrong(
            executable, f"no answer in {ANSWER_S:.0f} s", "start it once by hand and see what it asks"
        ) from error
    except OSError as error:
        raise _wrong(executable, f"{type(error).__name__}: {error}", "pass the build for this system") from error
    complaint = (done.stderr + done.stdout).decode(errors="replace")
    if done.returncode == _NOT_FOUND or _NO_FUSE.search(complaint):
        last = complaint.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise _wrong(
            executable, last[0], "an AppImage needs FUSE 2: install libfuse2, or set APPIMAGE_EXTRACT_AND_RUN=1"
        )


def _wrong(executable: Path, found: str, fix: str) -> DolphinError:
    return DolphinError(f"{executable}: Slippi Dolphin must answer --version, found {found}; {fix}")
