"""What ``exphil play --check`` looks at before a first match, and what to do about each thing that is not as it must be.

In: the options of ``exphil play`` that name files. Out: one ``Finding`` a thing. The surprise: nothing is started but
``Dolphin --version``, and what a real match would do is asked of the very functions that do it.
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

from dataset.errors import ExphilError
from play.dolphin.disc import require_melee
from play.dolphin.match import default_home, find_executable, own_connect_code, require_free
from play.dolphin.slippi_launcher import launcher_dolphin, launcher_folder, launcher_iso

OK: Literal["ok"] = "ok"
WARN: Literal["warn"] = "warn"
FAIL: Literal["fail"] = "fail"

_LIBRARIES = {"melee": "play", "enet": "play", "onnxruntime": "play"}
_DOLPHINS = ("slippi_netplay", "slippi_online", "slippi dolphin", "slippi_dolphin", "slippi_playback", "dolphin-emu")
_REPLACED = "GALE01r2.ini"
"""Libmelee writes its own in the copy."""
_LAUNCHERS = ("slippi launcher", "slippi-launcher")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    status: Literal["ok", "warn", "fail"]
    """A match cannot be played with a ``fail``; with a ``warn`` some kind of match cannot."""
    detail: str
    fix: str = ""
    """What to do; empty when all is well."""


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """What was named; None is looked for where Slippi Launcher keeps it."""

    dolphin: Path | None = None
    iso: Path | None = None
    policy: str | None = None
    dolphin_home: Path | None = None
    replay_dir: Path | None = None
    slippi_port: int | None = None
    runtime: str = "auto"
    openvino_device: str | None = None
    is_sync: bool = False
    is_headless: bool = False


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
        return all(finding.status != FAIL for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        found = {"dolphin": self.dolphin, "iso": self.iso}
        paths = {name: None if path is None else str(path) for name, path in found.items()}
        return {"ok": self.ok, "checks": [asdict(finding) for finding in self.findings], **paths}


def check(options: CheckOptions) -> Verdict:
    """Look at everything that a match in Dolphin needs."""
    findings = [_libraries()]
    dolphin, looked = _dolphin(options.dolphin)
    findings += looked
    build, looked = None, []
    if dolphin is not None and findings[0].status == OK:
        build, looked = _build(dolphin, is_headless=options.is_headless)
    findings += looked
    iso, looked = _iso(options.iso)
    findings += looked
    if dolphin is not None and build is not None:
        findings += _home(options.dolphin_home or default_home(dolphin, is_mainline=build.is_mainline))
    findings += [_pipes(), *_open_programs(), _port(options.slippi_port or 51441)]
    findings.append(_replay_folder(options.replay_dir or Path("play-replays")))
    if options.policy is not None:
        findings.append(_policy(options, options.policy))
    return Verdict(findings=findings, dolphin=dolphin, iso=iso)


def _libraries() -> Finding:
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        fix = "pip install 'exphil[play]'"
        return Finding(name="libraries", status=FAIL, detail=f"{', '.join(missing)} not installed", fix=fix)
    return Finding(name="libraries", status=OK, detail=", ".join(_LIBRARIES))


def _dolphin(named: Path | None) -> tuple[Path | None, list[Finding]]:
    if named is not None:
        try:
            found = find_executable(named)
        except ExphilError as error:
            return None, [_failed("Dolphin", error)]
        return found, [Finding(name="Dolphin", status=OK, detail=str(found))]
    launchers = launcher_dolphin()
    if launchers is None:
        where = launcher_folder()
        detail = f"no Dolphin in {where}" if where.is_dir() else f"no Slippi Launcher at {where}"
        fix = "start Slippi Launcher once so that it installs Dolphin, or pass --dolphin PATH"
        return None, [Finding(name="Dolphin", status=FAIL, detail=detail, fix=fix)]
    return launchers, [Finding(name="Dolphin", status=OK, detail=f"{launchers}, Slippi Launcher's")]


def _build(executable: Path, *, is_headless: bool) -> tuple[Any, list[Finding]]:
    """Which build it is, and what that build cannot do."""
    from play.dolphin.build import build_of, windowless

    try:
        build = build_of(executable)
        if is_headless:
            windowless(executable, build)
    except ExphilError as error:
        return None, [_failed("build", error)]
    detail, fix = f"{build.name} {build.version}".strip() + (", without a window" if is_headless else ""), ""
    if not build.is_mainline and platform.system() == "Windows":
        fix = "--sync has no effect with Ishiiruka on Windows: use the launcher's mainline beta for it"
    elif build.is_exi_ai:
        fix = "it shows no picture and plays nobody online: for CPU opponents and runs"
    elif build.is_mainline and platform.system() == "Darwin":
        fix = "mainline is reported to crash under libmelee on macOS: if it does, use Ishiiruka"
    return build, [Finding(name="build", status=WARN if fix else OK, detail=detail, fix=fix)]


def _iso(named: Path | None) -> tuple[Path | None, list[Finding]]:
    path = named or launcher_iso()
    if path is None:
        fix = "choose it in Slippi Launcher's settings, or pass --iso PATH"
        return None, [
            Finding(name="ISO", status=FAIL, detail="none named, none in Slippi Launcher's settings", fix=fix)
        ]
    try:
        disc = require_melee(path)
    except ExphilError as error:
        return None, [_failed("ISO", error)]
    if disc.kind == "plain":
        return path, [Finding(name="ISO", status=OK, detail=f"{path}, Melee NTSC 1.02")]
    fix = "if Dolphin cannot start it, convert it to a plain .iso (Ishiiruka opens neither WIA nor RVZ)"
    return path, [Finding(name="ISO", status=WARN, detail=f"{path}, Melee NTSC 1.02, packed as {disc.kind}", fix=fix)]


def _home(home: Path) -> list[Finding]:
    """The person's own Dolphin folder; a match against a CPU needs none."""
    if not home.is_dir():
        fix = "only for a human opponent: start this Dolphin once and set the pads, or pass --dolphin-home PATH"
        return [Finding(name="User folder", status=WARN, detail=f"none at {home}", fix=fix)]
    return [Finding(name="User folder", status=OK, detail=str(home)), *_login(home), *_gecko(home)]


def _login(home: Path) -> Iterator[Finding]:
    try:
        code = own_connect_code(home)
    except ExphilError as error:
        fix = "only for --connect-code: log in once in Slippi Launcher"
        yield Finding(name="login", status=WARN, detail=_before_semicolon(error), fix=fix)
        return
    yield Finding(name="login", status=OK, detail=code)


def _gecko(home: Path) -> Iterator[Finding]:
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
        yield Finding(name="Gecko codes", status=WARN, detail=", ".join(dict.fromkeys(enabled)), fix=fix)
    else:
        yield Finding(name="Gecko codes", status=OK, detail="none of your own; libmelee adds its menu code")


def _pipes() -> Finding:
    if platform.system() == "Windows":
        if importlib.util.find_spec("win32pipe") is None:
            return Finding(name="named pipes", status=FAIL, detail="pywin32 not installed", fix="pip install pywin32")
        return Finding(name="named pipes", status=OK, detail="Dolphin makes them itself")
    with tempfile.TemporaryDirectory(prefix="exphil-check-") as folder:
        try:
            os.mkfifo(Path(folder, "pipe"))
        except OSError as error:
            fix = "set TMPDIR to a folder on a local disk"
            return Finding(name="named pipes", status=FAIL, detail=f"{tempfile.gettempdir()}: {error}", fix=fix)
    return Finding(name="named pipes", status=OK, detail=tempfile.gettempdir())


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
        except OSError:  # it ended while we looked
            continue


def _open_programs() -> list[Finding]:
    running = running_programs()
    findings = []
    for name, known, harm in (
        ("other Dolphins", _DOLPHINS, "close it: it may hold the pads and the spectator port"),
        ("Slippi Launcher", _LAUNCHERS, "close it: while it is open Dolphin may stop at its login"),
    ):
        found = sorted({program for program in running if program.startswith(known)})
        status, detail, fix = (WARN, ", ".join(found), harm) if found else (OK, "none open", "")
        findings.append(Finding(name=name, status=status, detail=detail, fix=fix))
    return findings


def _port(port: int) -> Finding:
    try:
        require_free(port)
    except ExphilError as error:
        return _failed("spectator port", error)
    return Finding(name="spectator port", status=OK, detail=f"UDP {port} is free")


def _replay_folder(folder: Path) -> Finding:
    parent = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if parent.is_dir() and os.access(parent, os.W_OK):
        return Finding(name="replay folder", status=OK, detail=str(folder))
    fix = "pass a --replay-dir that can be written"
    return Finding(name="replay folder", status=FAIL, detail=f"{folder}: cannot be written", fix=fix)


def _policy(options: CheckOptions, run: str) -> Finding:
    """Load it and step it as a match would."""
    from play.play_options import PlayOptions
    from play.players import load_agent

    said: list[str] = []
    wanted = PlayOptions(
        run=run,
        runtime=options.runtime,
        openvino_device=options.openvino_device,
        is_sync=options.is_sync,
    )
    try:
        load_agent(wanted, said.append)
    except ExphilError as error:
        return _failed("policy", error)
    return Finding(name="policy", status=OK, detail="; ".join(said))


def _failed(name: str, error: ExphilError) -> Finding:
    """An error's own words: what lies behind its last semicolon is the way out."""
    return Finding(name=name, status=FAIL, detail=_before_semicolon(error), fix=str(error).rpartition("; ")[2])


def _before_semicolon(error: ExphilError) -> str:
    return str(error).rpartition("; ")[0] or str(error)
