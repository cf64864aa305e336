"""The league's own conformance test, run on the zip of an entry: ``exphil export RUN --umi ZIP --check``."""

import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.markup import escape
from rich.table import Table

from dataset.errors import ConfigError, ExphilError
from dataset.reporting.terminal import printable, stdout_console

MOST_GAMES, STEPS = 256, 300
"""What ``umi-conform`` takes: games at once, and frames that reply times are measured over."""

BOT_OUTPUT = "bot output"
"""The entry, no check, in which it keeps what a bot that failed has printed."""


def require_umi() -> None:
    """Refuse a check that cannot be made.

    Raises:
        ConfigError: umi-melee is not installed.
    """
    if find_spec("umi") is None:
        raise ConfigError("--check: needs umi-melee, found it not installed; pip install 'exphil[umi]'")


def conform(path: Path, *, as_json: bool = False) -> list[dict[str, str]]:
    """Unpack an entry into an empty folder, run the conformance test on it and print its table.

    Args:
        path: of the zip.
        as_json: leave the table out; stdout belongs to JSON.

    Returns:
        ``name``, ``status`` (pass, warn, skip) and ``detail`` of each check.

    Raises:
        ConfigError: umi-melee is not installed.
        ExphilError: a check failed.
    """
    require_umi()
    from umi.conform.arena import DummyArena

    with TemporaryDirectory(prefix="exphil-entry-") as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        arena = DummyArena([sys.executable, str(Path(folder, "run.py"))], steps=STEPS, max_games=MOST_GAMES)
        try:
            found = arena.run()
        finally:  # it leaves these to the end of its process
            for left_open in (getattr(arena, "conn", None), arena.proc.stdout):
                if left_open is not None:
                    left_open.close()
    checks = [{"name": each.name, "status": each.status, "detail": printable(each.detail)} for each in found]
    if not as_json:
        table = Table("check", "", "found")
        for check in checks:
            table.add_row(check["name"], check["status"], escape(check["detail"]))
        stdout_console().print(table)
    if failed := [f"{check['name']} ({check['detail']})" for check in checks if check["status"] == "fail"]:
        said = [each.detail for each in found if each.name == BOT_OUTPUT]
        words = (
            f"; the bot's last words: {printable(said[0].strip().splitlines()[-1])}" if said and said[0].strip() else ""
        )
        raise ExphilError(
            f"{path}: must pass every check of umi-conform, found {len(failed)} failed: {'; '.join(failed)[:1000]}{words[:500]}; "
            "play it in exphil arena to see whether the run itself is whole, and report this"
        )
    return checks
