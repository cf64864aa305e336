"""What ``exphil play --check`` looks at before a first match, and what to do about each thing that is not as it must be.

Nothing is started but ``Dolphin --version`` and ``--help``: the functions that a real match would call do the checking.
"""

import importlib.util
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from dataset.errors import ExphilError
from play.dolphin.disc import require_melee
from play.dolphin.installation import (
    Build,
    build_of,
    default_home,
    find_executable,
    launcher_dolphin,
    launcher_folder,
    launcher_iso,
    own_connect_code,
    windowless,
)
from play.dolphin.match import require_free
from play.options import REPLAY_DIR, SLIPPI_PORT, PlayOptions

Status = Literal["ok", "warn", "fail"]

_LIBRARIES = ("melee", "enet", "onnxruntime")
_DOLPHINS = ("slippi_netplay", "slippi_online", "slippi dolphin", "slippi_dolphin", "slippi_playback", "dolphin-emu")
_LAUNCHERS = ("slippi launcher", "slippi-launcher")
_REPLACED = "GALE01r2.ini"
"""Libmelee writes its own in the copy."""
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    status: Status
    """A match cannot be played with a ``fail``; with a ``warn`` some kind of match cannot."""
    detail: str
    fix: str = ""
    """What to do; empty when all is well."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All that was found."""

    findings: list[Finding]
    dolphin: Path | None
    """The executable that would be started."""
    iso: Path | None

    @property
    def ok(self) -> bool:
        """Whether a match can be played."""
        return all(finding.status != "fail" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        found = {"dolphin": self.dolphin, "iso": self.iso}
        paths = {name: None if path is None else str(path) for name, path in found.items()}
        return {"ok": self.ok, "checks": [asdict(finding) for finding in self.findings], **paths}

    def table(self) -> Table:
        """A row a finding, its fix below what was found."""
        title = "ready to play" if self.ok else "NOT ready: see the lines marked fail"
        table = Table(title=title, title_justify="left")
        table.add_column("what", no_wrap=True)
        table.add_column("")
        table.add_column("found, and what to do", overflow="fold")
        for finding in self.findings:
            colour = _COLOURS[finding.status]
            text = Text(finding.detail)
            if finding.fix:
                text.append(f"\n→ {finding.fix}", style=colour)
            table.add_row(finding.name, Text(finding.status, style=colour), text)
        return table


def check(options: PlayOptions) -> Verdict:
    """Look at everything that a match in Dolphin needs; what is not named is looked for where Slippi Launcher keeps it."""
    libraries = _libraries()
    dolphin, found = _dolphin(options.dolphin)
    findings = [libraries, found]
    build = None
    if dolphin is not None and libraries.status == "ok":
        build, found = _build(dolphin, is_headless=options.headless)
        findings.append(found)
    iso, found = _iso(options.iso)
    findings.append(found)
    if dolphin is not None and build is not None:
        findings += _home(options.dolphin_home or default_home(dolphin, is_mainline=build.is_mainline))
    findings += [_pipes(), *_open_programs(), _port(options.slippi_port or SLIPPI_PORT)]
    findings.append(_replay_folder(options.replay_dir or REPLAY_DIR))
    if options.policy is not None:
        findings.append(_policy(options))
    return Verdict(findings=findings, dolphin=dolphin, iso=iso)


def _libraries() -> Finding:
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        return Finding("libraries", "fail", f"{', '.join(missing)} not installed", "pip install 'exphil[play]'")
    return Finding("libraries", "ok", ", ".join(_LIBRARIES))


def _dolphin(named: Path | None) -> tuple[Path | None, Finding]:
    if named is not None:
        try:
            found = find_executable(named)
        except ExphilError as error:
            return None, _failed("Dolphin", error)
        return found, Finding("Dolphin", "ok", str(found))
    launchers = launcher_dolphin()
    if launchers is None:
        where = launcher_folder()
        detail = f"no Dolphin in {where}" if where.is_dir() else f"no Slippi Launcher at {where}"
        fix = "start Slippi Launcher once so that it installs Dolphin, or pass --dolphin PATH"
        return None, Finding("Dolphin", "fail", detail, fix)
    return launchers, Finding("Dolphin", "ok", f"{launchers}, Slippi Launcher's")


def _build(executable: Path, *, is_headless: bool) -> tuple[Build | None, Finding]:
    """Which build it is, and what that build cannot do."""
    try:
        build = build_of(executable)
        if is_headless:
            windowless(executable, build)
    except ExphilError as error:
        return None, _failed("build", error)
    detail, fix = f"{build.name} {build.version}".strip() + (", without a window" if is_headless else ""), ""
    if not build.is_mainline and platform.system() == "Windows":
        fix = "--sync has no effect with Ishiiruka on Windows: use the launcher's mainline beta for it"
    elif build.is_exi_ai:
        fix = "it shows no picture and plays nobody online: for CPU opponents and runs"
    elif build.is_mainline and platform.system() == "Darwin":
        fix = "mainline is reported to crash under libmelee on macOS: if it does, use Ishiiruka"
    return build, Finding("build", "warn" if fix else "ok", detail, fix)


def _iso(named: Path | None) -> tuple[Path | None, Finding]:
    path = named or launcher_iso()
    if path is None:
        fix = "choose it in Slippi Launcher's settings, or pass --iso PATH"
        return None, Finding("ISO", "fail", "none named, none in Slippi Launcher's settings", fix)
    try:
        disc = require_melee(path)
    except ExphilError as error:
        return None, _failed("ISO", error)
    if disc.kind == "plain":
        return path, Finding("ISO", "ok", f"{path}, Melee NTSC 1.02")
    fix = "if Dolphin cannot start it, convert it to a plain .iso (Ishiiruka opens neither WIA nor RVZ)"
    return path, Finding("ISO", "warn", f"{path}, Melee NTSC 1.02, packed as {disc.kind}", fix)


def _home(home: Path) -> list[Finding]:
    """The person's own Dolphin folder; a match against a CPU needs none."""
    if not home.is_dir():
        fix = "only for a human opponent: start this Dolphin once and set the pads, or pass --dolphin-home PATH"
        return [Finding("User folder", "warn", f"none at {home}", fix)]
    return [Finding("User folder", "ok", str(home)), _login(home), _gecko(home)]


def _login(home: Path) -> Finding:
    try:
        return Finding("login", "ok", own_connect_code(home))
    except ExphilError as error:
        fix = "only for --connect-code: log in once in Slippi Launcher"
        return Finding("login", "warn", _before_semicolon(error), fix)


def _gecko(home: Path) -> Finding:
    """Codes that a person switched on stay on in the copy that is played with, save those in the file that libmelee replaces."""
    enabled: list[str] = []
    for settings in sorted((home / "GameSettings").glob("GALE01*.ini")):
        if settings.name == _REPLACED:
            continue
        text = settings.read_text(encoding="utf-8", errors="replace")
        _, _, after = text.partition("[Gecko_Enabled]")
        lines = after.partition("\n[")[0].splitlines()
        enabled += [line[1:].strip() for line in lines if line.startswith("$") and "Extract Menu Info" not in line]
    if enabled:
        fix = "they stay on against a human opponent: switch off what changes the game"
        return Finding("Gecko codes", "warn", ", ".join(dict.fromkeys(enabled)), fix)
    return Finding("Gecko codes", "ok", "none of your own; libmelee adds its menu code")


def _pipes() -> Finding:
    if platform.system() == "Windows":
        if importlib.util.find_spec("win32pipe") is None:
            return Finding("named pipes", "fail", "pywin32 not installed", "pip install pywin32")
        return Finding("named pipes", "ok", "Dolphin makes them itself")
    with tempfile.TemporaryDirectory(prefix="exphil-check-") as folder:
        try:
            os.mkfifo(Path(folder, "pipe"))
        except OSError as error:
            fix = "set TMPDIR to a folder on a local disk"
            return Finding("named pipes", "fail", f"{tempfile.gettempdir()}: {error}", fix)
    return Finding("named pipes", "ok", tempfile.gettempdir())


def running_programs() -> list[str]:
    """File names of the programs that run now, in lower case; empty where the system does not tell."""
    if Path("/proc/self/cmdline").exists():
        return [Path(argument).name.lower() for argument in _first_arguments() if argument]
    command = ["tasklist", "/fo", "csv", "/nh"] if platform.system() == "Windows" else ["ps", "-axo", "comm="]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [Path(line.split('","')[0].strip('" ')).name.lower() for line in done.stdout.splitlines() if line.strip()]


def _first_arguments() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield process.read_bytes().split(b"\0")[0].decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue


def _open_programs() -> Iterator[Finding]:
    running = running_programs()
    for name, known, harm in (
        ("other Dolphins", _DOLPHINS, "close it: it may hold the pads and the spectator port"),
        ("Slippi Launcher", _LAUNCHERS, "close it: while it is open Dolphin may stop at its login"),
    ):
        found = sorted({program for program in running if program.startswith(known)})
        yield Finding(name, "warn", ", ".join(found), harm) if found else Finding(name, "ok", "none open")


def _port(port: int) -> Finding:
    try:
        require_free(port)
    except ExphilError as error:
        return _failed("spectator port", error)
    return Finding("spectator port", "ok", f"UDP {port} is free")


def _replay_folder(folder: Path) -> Finding:
    parent = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if parent.is_dir() and os.access(parent, os.W_OK):
        return Finding("replay folder", "ok", str(folder))
    return Finding("replay folder", "fail", f"{folder}: cannot be written", "pass a --replay-dir that can be written")


def _policy(options: PlayOptions) -> Finding:
    """Load it and step it as a match would."""
    from play.runtime.load import load_players

    said: list[str] = []
    try:
        load_players(options, said.append)
    except ExphilError as error:
        return _failed("policy", error)
    return Finding("policy", "ok", "; ".join(said))


def _failed(name: str, error: ExphilError) -> Finding:
    """An error's own words: what lies behind its last semicolon is the way out."""
    return Finding(name, "fail", _before_semicolon(error), str(error).rpartition("; ")[2])


def _before_semicolon(error: ExphilError) -> str:
    return str(error).rpartition("; ")[0] or str(error)
