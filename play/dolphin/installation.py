"""The Dolphin that is installed: its executable, which build that is, its User folder and login, and Slippi Launcher's settings.

libmelee is imported only to ask for a build, so that ``exphil play --check`` can report that it is missing.
"""

import json
import os
import platform
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from dataset.errors import DolphinError

EXECUTABLES = (
    "Slippi_Netplay_Mainline-x86_64.AppImage",
    "Slippi_Online-x86_64.AppImage",
    "Slippi_Dolphin.app/Contents/MacOS/Slippi_Dolphin",
    "Slippi Dolphin.app/Contents/MacOS/Slippi Dolphin",
    "Contents/MacOS/Slippi_Dolphin",
    "Contents/MacOS/Slippi Dolphin",
    "Slippi_Dolphin.exe",
    "Slippi Dolphin.exe",
    "dolphin-emu-nogui",
    "dolphin-emu",
)
"""Where Dolphin lies within the folders users name: the launcher's, macOS's application, or a build's own."""

_OTHER_NAMES = ("Slippi_Netplay*.AppImage", "Slippi_Online*.AppImage", "*Dolphin.exe")
"""Builds named after their version or their maker, looked for last."""

ANSWER_S = 20.0
_NOT_FOUND = 127
"""Exit code of a program whose libraries are missing, and of an AppImage without FUSE."""

_NO_FUSE = re.compile(r"\b(lib)?fuse\b|\bfusermount", re.IGNORECASE)
"""What an AppImage that cannot mount itself complains of; a desktop's "connection refused" is no such thing."""

_NO_DISPLAY = re.compile(r"could not connect to display|no Qt platform plugin")
"""What a Dolphin with windows complains of on a machine without a screen; it dies of that even when asked for its version."""

LAUNCHER_FOLDERS = ("netplay-beta", "netplay")
"""Where Slippi Launcher keeps its Dolphins. A beta that was promoted moves to the second, so only ``--version`` tells a build."""


def find_executable(path: Path) -> Path:
    """Dolphin's executable, absolute: ``path`` itself, or what lies in that folder.

    Raises:
        DolphinError: there is none.
    """
    path = path.absolute()  # a name alone would be looked for in PATH when it is started
    if path.is_file():
        return path
    for name in EXECUTABLES:
        if (path / name).is_file():
            return path / name
    for pattern in _OTHER_NAMES:
        for found in sorted(path.glob(pattern)):
            return found
    names = ", ".join(dict.fromkeys(Path(name).name for name in EXECUTABLES))
    raise DolphinError(f"--dolphin {path}: must be Dolphin or its folder, found none of {names}; pass the executable")


def launcher_folder() -> Path:
    """Slippi Launcher's folder on this system, whether or not it exists."""
    system = platform.system()
    if system == "Windows":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "Slippi Launcher"
    if system == "Darwin":
        return Path.home() / "Library" / "Application Support" / "Slippi Launcher"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "Slippi Launcher"


def launcher_dolphin() -> Path | None:
    """The executable of the Dolphin that Slippi Launcher starts; its beta if the settings ask for that."""
    folders = LAUNCHER_FOLDERS if _settings().get("useNetplayBeta") else LAUNCHER_FOLDERS[::-1]
    for folder in folders:
        try:
            return find_executable(launcher_folder() / folder)
        except DolphinError:
            continue
    return None


def launcher_iso() -> Path | None:
    """The ISO that Slippi Launcher was given; it may have gone since."""
    path = _settings().get("isoPath")
    return Path(path) if isinstance(path, str) and path else None


def _settings() -> dict[str, Any]:
    """The launcher's settings; empty if there are none that can be read."""
    try:
        settings = json.loads((launcher_folder() / "Settings").read_text(encoding="utf-8"))["settings"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return settings if isinstance(settings, dict) else {}


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

    libmelee asks too, but would wait for an answer for ever, and an AppImage without FUSE fails before Dolphin begins. So
    the executable is first asked here, with a time limit and an error for every way in which it does not answer.

    Raises:
        DolphinError: it cannot be started, does not answer, or is no Slippi Dolphin.
    """
    import melee

    _require_answer(executable)
    try:
        told: Any = melee.console.get_dolphin_version(str(executable))
    except (RuntimeError, ValueError, AssertionError, IndexError, OSError) as error:
        said = _said(_ask(executable, "--version")).strip().splitlines()
        found = f"'{said[0][:100]}'" if said else f"{type(error).__name__}: {error}"
        found += ", so this is Dolphin without Slippi, or a Slippi too old"
        raise _wrong(executable, found, "pass Slippi's own, from https://slippi.gg/downloads") from error
    is_exi_ai = told.build is melee.console.DolphinBuild.EXI_AI
    name = ("mainline" if told.mainline else "Ishiiruka") + (" ExiAI" if is_exi_ai else "")
    return Build(name, told.version, bool(told.mainline), is_exi_ai)


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
    lines = _said(done).strip().splitlines()
    for line in lines:
        if _NO_DISPLAY.search(line):
            fix = "it needs a screen: pass a nogui or ExiAI build, or run all of it under xvfb-run"
            raise _wrong(executable, line, fix)
    if done.returncode == _NOT_FOUND or any(_NO_FUSE.search(line) for line in lines):
        found = lines[-1] if lines else f"exit code {done.returncode}"
        fix = "an AppImage needs FUSE 2: install libfuse2, or set APPIMAGE_EXTRACT_AND_RUN=1"
        raise _wrong(executable, found, fix)


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


def default_home(executable: Path, *, is_mainline: bool) -> Path:
    """Where Slippi's Dolphin keeps its User folder on this system; a mainline build out of its beta has another."""
    system = platform.system()
    mainline = "netplay" if "netplay" in executable.parts else "netplay-beta"
    if system == "Darwin":
        support = Path.home() / "Library" / "Application Support" / "com.project-slippi.dolphin"
        return support / (mainline if is_mainline else "netplay") / "User"
    if system == "Linux":
        config = Path.home() / ".config"
        return config / "slippi-dolphin" / mainline if is_mainline else config / "SlippiOnline"
    return executable.parent / "User"


def login_of(home: Path) -> Path:
    """Where the login lies that Slippi plays under from ``home``, whether or not it does; Ishiiruka on macOS has one for all."""
    login = home / "Slippi" / "user.json"
    for_all = home.parent.parent / "Slippi" / "user.json"
    return for_all if platform.system() == "Darwin" and for_all.is_file() and not login.is_file() else login


def own_connect_code(home: Path) -> str:
    """The connect code that Slippi's login in ``home`` plays under.

    Raises:
        DolphinError: there is no login.
    """
    login = login_of(home)
    try:
        code = json.loads(login.read_text(encoding="utf-8"))["connectCode"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DolphinError(
            f"{login}: netplay needs Slippi's login there, found {type(error).__name__}; log in once in Slippi Launcher"
        ) from error
    return str(code)
