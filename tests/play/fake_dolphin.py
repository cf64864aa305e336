"""An executable that answers libmelee as a mainline Slippi Dolphin does, and plays replays given as its "ISO"."""

import os
import stat
import sys
from pathlib import Path

MELEE = b"GALE01\x00\x02".ljust(512, b"\x00")
"""The beginning of a disc image of Melee NTSC 1.02."""

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """#!{python}
import configparser, sys
from multiprocessing import Pipe
from pathlib import Path

sys.path.insert(0, {root!r})
if sys.argv[1:] == ["--version"]:
    print({version!r})
    sys.exit(0)
if sys.argv[1:] == ["--help"]:
    print({help!r})
    sys.exit(0)
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
Path({log!r}).write_text(repr(flags))
home = Path(flags["-u"])
ini = configparser.ConfigParser()
ini.read(home / "Config" / "Dolphin.ini")
Path({log!r} + ".ini").write_text((home / "Config" / "Dolphin.ini").read_text())
from play.stand_in.protocol import Setup
from play.stand_in.server import Spectator
from play.stand_in.stand_in import _load
games = [_load(Path(line))[0] for line in Path(flags["-e"]).read_bytes()[512:].decode().split()]
pipes = {{int(path.name[-1]): path for path in (home / "Pipes").iterdir()}}
is_blocking = ini["Slippi"]["BlockingPipes"] == "True"
port = int(ini["Slippi"]["SpectatorLocalPort"])
replays = Path(flags["-e"]).read_bytes()[512:].decode().split()
kept = Path(ini["Slippi"]["ReplayDir"])


class Keeping(Spectator):  # keeps a replay of each game, as Dolphin does
    num_kept = 0

    def _show_menus(self, count):
        name = f"Game_{{self.num_kept}}.slp"
        (kept / name).write_bytes(Path(replays[self.num_kept]).read_bytes())
        self.num_kept += 1
        super()._show_menus(count)


ours, theirs = Pipe()
Keeping(Setup(games, "3.18.0", port, pipes, None if is_blocking else 240.0, 0.0), theirs).run()
"""


def write_fake_dolphin(folder: Path, version: str = "mainline 3.5.1", options: str = "--platform=PLATFORM") -> Path:
    """Write it; what it was called with ends up in ``flags`` and ``flags.ini`` beside it."""
    path = folder / "Slippi_Netplay_Mainline-x86_64.AppImage"
    told = {"version": version, "help": options, "log": str(folder / "flags")}
    path.write_text(SCRIPT.format(python=sys.executable, root=str(ROOT), **told))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    assert os.access(path, os.X_OK)
    return path


def write_fake_iso(path: Path, *replays: Path) -> Path:
    """An "ISO" that begins as Melee's does and then lists the replays to play."""
    path.write_bytes(MELEE + "\n".join(str(replay) for replay in replays).encode())
    return path
