"""The User folder that a match's Dolphin runs in: a fresh one, or a copy of a person's whose INI files libmelee can read.

Dolphin reads almost any INI file: with a byte order mark, in any encoding, with keys and sections twice or in other cases, with
lines that are none. libmelee reads them with ``configparser``, which fails on each of these. So the copy is written anew, as
Dolphin understands it. The person's own folder is only read.
"""

import codecs
import locale
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import melee

from dataset.errors import DolphinError

_READ_BY_LIBMELEE = ("Dolphin.ini", "GCPadNew.ini", "GFX.ini", "Logger.ini")
_PADS = tuple(f"GCPad{port}" for port in range(1, 5))
_SECTIONS = ("Core", "Input", "Display", "DSP", "Slippi", "Movie", "Options", "Logs", "Settings", *_PADS)
"""As libmelee spells them; to Dolphin, case makes no difference."""

Ini = dict[str, dict[str, str]]
"""Values by section and lower-case key."""


def read_ini(path: Path) -> Ini:
    """What Dolphin reads in an INI file, of which the last of equal keys counts; empty if there is no such file."""
    try:
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except FileNotFoundError:
        return {}
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    names = {name.lower(): name for name in _SECTIONS}
    found: Ini = {}
    section: dict[str, str] | None = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and "]" in line:
            name = line[1 : line.index("]")]
            section = found.setdefault(names.setdefault(name.lower(), name), {})
        elif section is not None and not line.startswith(("#", ";")):
            key, equals, value = (part.strip() for part in line.partition("="))
            if equals and key and ":" not in key:  # configparser would take the colon for the end of the key
                section[key.lower()] = value
    return found


def write_ini(path: Path, ini: Ini) -> None:
    """Write an INI file that libmelee, which reads it in the system's encoding, and Dolphin understand alike."""
    lines = (
        line
        for name, values in ini.items()
        for line in (f"[{name}]", *(f"{key} = {value}" for key, value in values.items()))
    )
    path.write_text("".join(f"{line}\n" for line in lines), encoding=locale.getencoding(), errors="replace")


def ports_with_pads(home: Path) -> set[int]:
    """The ports that a pad is plugged into in Dolphin's settings; by default it is the first."""
    core = read_ini(home / "Config" / "Dolphin.ini").get("Core", {})
    none = melee.ControllerType.UNPLUGGED.value
    plugged = {port: core.get(f"sidevice{port - 1}") for port in range(1, 5)}
    return {port for port, device in plugged.items() if (port == 1 if device is None else device != none)}


@contextmanager
def prepared_home(source: Path | None, replay_dir: Path, *, is_mainline: bool) -> Iterator[Path]:
    """A temporary folder that holds a match's ``User``, which is removed again if the context ends in an error.

    Args:
        source: a person's User folder to copy; None: a fresh one.
        replay_dir: where Dolphin is to keep replays; libmelee cannot write one with a % in it.
        is_mainline: whether the build is Slippi's mainline, which has settings of its own for that.

    Raises:
        DolphinError: the folder cannot be copied.
    """
    scratch = Path(tempfile.mkdtemp(prefix="exphil-dolphin-"))
    try:
        home = scratch / "User"
        if source is not None:
            _copy(source, home)
        config = home / "Config"
        config.mkdir(parents=True, exist_ok=True)
        for name in _READ_BY_LIBMELEE:
            if (config / name).exists():
                write_ini(config / name, read_ini(config / name))
        settings = read_ini(config / "Dolphin.ini")
        section, key = ("Slippi", "replaydir") if is_mainline else ("Core", "slippireplaydir")
        settings.setdefault(section, {})[key] = str(replay_dir)
        write_ini(config / "Dolphin.ini", settings)
        yield scratch
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copytree(source, target, ignore=_left_out, ignore_dangling_symlinks=True)
    except (shutil.Error, OSError) as error:
        # shutil.Error lists (source, target, reason) of every file
        where, why = error.args[0][0][::2] if isinstance(error, shutil.Error) else (source, error)
        raise DolphinError(
            f"Dolphin's User folder {source}: a match plays in a copy of it, found that {where} cannot be copied ({why}); "
            "make it readable, or make room in the folder for temporary files"
        ) from error


def _left_out(folder: str, names: list[str]) -> list[str]:
    """Pipes, sockets and devices, which cannot be copied, and links to a folder they lie in, which would never end."""
    return [name for name in names if _is_left_out(Path(folder, name))]


def _is_left_out(path: Path) -> bool:
    if not path.exists():
        return False  # a dangling link, which copytree leaves out
    if path.is_dir():
        return path.is_symlink() and path.resolve() in (path.parent / "x").resolve().parents
    return not path.is_file()
