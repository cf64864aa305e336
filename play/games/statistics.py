"""What ``exphil stats`` says of recorded games, asked in processes of their own: play itself reads no store.

Each command is said before it runs, so that a user may give it again, and its failure is said and ends the matter: what was
played counts more.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataset.errors import ExphilError
from dataset.io.child import run_child
from dataset.reporting.terminal import command_line
from play.runtime.load import Say

MIN_FRAMES = 600
"""Games of ten seconds and more count as techniques; a store for training asks for longer ones."""


def make_store(replays: Sequence[Path], store: Path, say: Say) -> bool:
    """Make a store of finished ``.slp`` files in the folder ``store``; whether that succeeded."""
    sources = [str(replay) for replay in replays]
    small = ("--include-cpu", "--keep-all", "--min-frames", str(MIN_FRAMES), "--workers", "1")
    return _asked(say, "ingest", *sources, "--store", str(store), *small) is not None


def technique_rows(store: Path, character: str, port: int | None, say: Say) -> list[dict[str, Any]] | None:
    """The technique statistics of ``character`` in the games of a store; None if they cannot be had.

    Args:
        store: made by ``make_store``.
        character: the policy's.
        port: the policy's, which tells it from an opponent of the same character; None online, where ports are dealt anew.
        say: takes lines about what is asked.
    """
    answer = _asked(
        say, "stats", "--store", str(store), "--query", "techniques", "--character", character, *_port(port)
    )
    return None if answer is None else answer["rows"]


def likeness(store: Path, character: str, port: int | None, against: str, say: Say) -> dict[str, Any] | None:
    """How like people in the store ``against`` the policy plays: the answer of ``exphil stats --query likeness``, or None.

    See ``technique_rows``.
    """
    who = ("--replays", str(store), "--character", character, *_port(port))
    return _asked(say, "stats", "--query", "likeness", *who, "--against", against)


def _port(port: int | None) -> tuple[str, ...]:
    return () if port is None else ("--port", str(port))


def _asked(say: Say, *arguments: str) -> dict[str, Any] | None:
    """What a command answers; None if it fails, after saying why."""
    say(f"$ {command_line(*arguments)}")
    try:
        answer, _ = run_child(*arguments, say=lambda line: None)
    except ExphilError as error:
        say(f"statistics: the command above must succeed, found: {error}")
        return None
    return answer
