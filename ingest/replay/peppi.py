"""The one call into peppi: bytes or a path in, Arrow frames out, every failure a ReplayError with a short reason.

peppi's dataclasses drop items and stage events, so the private ``_peppi`` module is used. The surprise: peppi *panics* on
some damaged files. A panic is a ``BaseException`` and prints a backtrace to file descriptor 2, which is why that
descriptor is closed off around the call.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from peppi_py import _peppi

from dataset.errors import ReplayError
from dataset.slippi.slp import HEADER_BYTES, raw_length


class Game(NamedTuple):
    """What peppi makes of a file."""

    start: dict[str, Any]
    end: dict[str, Any] | None
    metadata: dict[str, Any]
    frames: pa.StructArray


_REASONS = (
    ("expected: [123, 85", "not_slp", "the file does not begin like a .slp file"),
    (
        "invalid game end method",
        "unknown_end_method",
        "the game ended in a way peppi does not know (not a versus game)",
    ),
    ("invalid LRAS initiator", "damaged", "the game end names a player who does not exist"),
    ("Invalid player placement", "unknown_placement", "the game end holds a placement peppi does not know"),
    ("at least one field", "unsupported_version", "peppi cannot read the frame ends of Slippi 3.0 to 3.6"),
    ("unknown event", "damaged", "the file holds an event that its own table of events does not list"),
    ("payload size", "damaged", "the file's table of events is damaged"),
    ("zero-size event payload", "damaged", "the file's table of events is damaged"),
    ("in payload sizes", "damaged", "the file's table of events lacks a needed event"),
    ("Duplicate start", "damaged", "the file holds two game starts"),
    ("expected: 0x", "damaged", "the file's metadata is damaged"),
)
"""(part of peppi's message, our slug, our sentence), first match wins."""


def read_game(source: bytes | str | Path, *, is_verbose: bool = False) -> Game:
    """Parse a replay; ``is_verbose`` lets panics print.

    Raises:
        ReplayError: peppi refuses the file or panics.
    """
    with _path_of(source) as path, _stderr_silenced(not is_verbose):
        try:
            game = _peppi.read_slippi(path, False)
        except (OSError, ValueError) as error:
            raise _cut(path) if "fill whole buffer" in str(error) else _reason(str(error), "unreadable") from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # peppi's module does not export the class
                raise
            raise _reason(str(error), "parser_panic") from error
    return Game(game.start, game.end, game.metadata or {}, game.frames)


def _reason(message: str, otherwise: str) -> ReplayError:
    for part, slug, sentence in _REASONS:
        if part in message:
            return ReplayError(slug, f"replay: {sentence} ({message.splitlines()[0]})")
    return ReplayError(
        otherwise, f"replay: peppi cannot read it ({message.splitlines()[0] if message else 'no message'})"
    )


def _cut(path: str) -> ReplayError:
    """Peppi ran out of bytes: because the recorder never finished, the file was cut, or its events are."""
    with Path(path).open("rb") as file:
        length = raw_length(file.read(HEADER_BYTES))
        size = file.seek(0, os.SEEK_END)
    if length == 0:
        return ReplayError("unfinished", "replay: its recorder was stopped before the game ended")
    if size < length:
        return ReplayError("truncated", f"replay: its events take {length} bytes, found {size}; copy the file again")
    return ReplayError("damaged", "replay: an event or the metadata at its end is shorter than it must be")


@contextmanager
def _path_of(source: bytes | str | Path) -> Iterator[str]:
    """A path for peppi, which takes nothing else: bytes lie in memory where the system can, else in a temporary file."""
    if not isinstance(source, bytes):
        yield str(source)
    elif hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        handle = os.memfd_create("replay")
        try:
            with os.fdopen(os.dup(handle), "wb") as file:
                file.write(source)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "replay.slp"
            path.write_bytes(source)
            yield str(path)


@contextmanager
def _stderr_silenced(is_silenced: bool) -> Iterator[None]:
    if not is_silenced:
        yield
        return
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
