"""Does it wavedash, tech, recover? The store's technique statistics of a policy's own kept replays.

In: replays, and whom the policy played. Out: rows as ``exphil stats --query techniques`` gives them. The surprise: play reads
no store, so the two commands that a user would type are run as processes of their own, once the match is over.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dataset.reporting.command_lines import command_line

MIN_FRAMES = 600
"""Games of ten seconds and more count; a store for training asks for longer ones."""


def commands(replays: Sequence[Path], store: Path, character: str, port: int | None) -> list[list[str]]:
    """What makes a store of the replays, and what asks it: the arguments of ``exphil``, twice."""
    sources = [str(replay) for replay in replays]
    small = ["--include-cpu", "--min-frames", str(MIN_FRAMES), "--workers", "1"]
    own = [] if port is None else ["--port", str(port)]
    return [
        ["ingest", *sources, "--store", str(store), *small],
        ["stats", "--store", str(store), "--query", "techniques", "--character", character, *own],
    ]


def technique_rows(
    replays: Sequence[Path], store: Path, character: str, port: int | None, say: Callable[[str], None]
) -> list[dict[str, Any]] | None:
    """The technique statistics of ``character`` in the replays; None, and said why, if they cannot be had.

    Args:
        replays: finished ``.slp`` files.
        store: a folder for the store that is made of them.
        character: the policy's.
        port: where it sat, which tells it from an opponent of the same character; None online, where ports are dealt anew.
        say: takes the commands as they are run, and what went wrong.
    """
    result: dict[str, Any] = {}
    for arguments in commands(replays, store, character, port):
        say(f"$ {command_line(*arguments)}")
        command = [sys.executable, "-m", "exphil", *arguments, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            say(f"techniques: the command above must exit 0, found: {last[0]}")
            return None
        result = json.loads(done.stdout.splitlines()[-1])
    rows: list[dict[str, Any]] = result["rows"]
    return rows
