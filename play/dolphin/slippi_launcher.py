"""Where Slippi Launcher keeps its Dolphin on this system, and which ISO it was given.

In: nothing but the system and the home folder. Out: paths that exist, or None. The surprise: a beta that was promoted moves
from ``netplay-beta`` to ``netplay``, so the folder's name does not tell mainline from Ishiiruka; only ``--version`` does.
"""

import json
import os
import platform
from pathlib import Path
from typing import Any

from dataset.errors import DolphinError
from play.dolphin.match import find_executable

FOLDERS = ("netplay-beta", "netplay")


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
    folders = FOLDERS if _settings().get("useNetplayBeta") else FOLDERS[::-1]
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
