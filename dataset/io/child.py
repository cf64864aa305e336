"""Runs another exphil command in a process of its own: how a command uses a stage that its own must not import."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from dataset.errors import ExphilError

PROGRAM = (sys.executable, "-m", "exphil")


def run_child(*arguments: str, say: Callable[[str], None] | None = None) -> tuple[dict[str, Any], list[str]]:
    """Run an exphil command with ``--json``; it ends with this process's interruption.

    Args:
        arguments: the command and what follows it, without ``--json``.
        say: takes each line that the command writes to stderr but its error, which is raised; None: all of them go to this
            process's stderr as they are written.

    Returns:
        The object that it printed, and the lines of stdout before that.

    Raises:
        ExphilError: it failed; the message is its own, the last line of stderr.
    """
    stderr = None if say is None else subprocess.PIPE
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as out:
        last = ""
        with subprocess.Popen(
            [*PROGRAM, *arguments, "--json"], stdout=out, stderr=stderr, encoding="utf-8", errors="replace"
        ) as child:
            try:
                for line in child.stderr or ():
                    last = line.strip() or last
                    if say is not None and not line.startswith("error: "):
                        say(line.rstrip())
                code = child.wait()
            except BaseException:
                child.kill()
                raise
        if code != 0:
            raise ExphilError(last.removeprefix("error: ") or f"'exphil {arguments[0]}' ended with exit code {code}")
        out.seek(0)
        *lines, answer = out.read().splitlines()
    result: dict[str, Any] = json.loads(answer)
    return result, lines
