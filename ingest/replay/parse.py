"""Parses one replay of two players: its header and its frame-table columns, or a ReplayError with a short reason.

What peppi refuses is repaired (``dataset.slippi.repair``) and parsed again; if that does not help either, peppi's first reason
counts.

Frames come from peppi's private module, because its dataclasses drop items and stage events. peppi *panics* on some damaged
files. A panic is a ``BaseException``.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from peppi_py import _peppi

from dataset.errors import ReplayError
from dataset.io.quiet import silent_panics
from dataset.melee.ids import ZELDA_AND_SHEIK, internal_from_external, stage_index_from_slippi
from dataset.schema import COLUMNS, PHYSICAL_COLUMNS, SIDES, Columns
from dataset.slippi.repair import FIRST_VERSION, Repaired, repair
from dataset.slippi.slp import (
    HEADER_BYTES,
    POST_FRAME,
    Header,
    HeaderPlayer,
    raw_length,
    read_events,
    read_header,
    read_slp,
)
from ingest.options import Rollback
from ingest.replay.columns import Extracted, extract

FRAME_STARTS_SINCE = (2, 2, 0)
TRIGGER_R_SINCE = next(column.since for column in PHYSICAL_COLUMNS if column.name == "trigger_r")
SHEIK_TOLD_SINCE = (1, 6, 0)
"""Before this version a game start says Zelda for both; who began shows in the first frame."""

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


class Game(NamedTuple):
    """What peppi makes of a file."""

    end: dict[str, Any] | None
    metadata: dict[str, Any]
    frames: pa.StructArray


@dataclass(frozen=True, kw_only=True)
class ParsedReplay:
    """A two-player game."""

    header: Header
    version: tuple[int, int, int]
    """The header's, or an older one where the replay lacks fields of that; never older than Slippi's first."""
    ports: tuple[int, int]
    """Physical ports of sides a and b, ascending, 1–4."""
    characters: tuple[int, int]
    """Internal ids picked by sides a and b."""
    stage: int
    """Stage index."""
    columns: Columns
    frames_resimulated: int
    frame_gaps: int
    non_finite: dict[str, int]
    """Non-finite values by column."""
    off_lattice: int
    """Stick and trigger values stored as the nearest lattice point."""
    end_method: str | None
    """peppi's word for how the game ended, in lower case; ``None`` without a game end."""
    quitter: int | None
    """Port that pressed L+R+A+Start."""
    placements: dict[int, int]
    """Placement by port, 0 is first; empty before Slippi 3.13."""
    started_at: str | None
    """ISO 8601, as recorded."""
    repaired: tuple[str, ...] = ()
    """What was wrong with the file (``dataset.slippi.repair.REASONS``); empty where peppi read it as it is."""

    @property
    def num_frames(self) -> int:
        """Rows of the replay."""
        return len(self.columns["frame"])

    @property
    def quitting_side(self) -> str | None:
        """The side whose port pressed L+R+A+Start."""
        return SIDES[self.ports.index(self.quitter)] if self.quitter in self.ports else None

    @property
    def played(self) -> dict[str, int]:
        """Ports, characters and stage, as a row of the table of replays holds them."""
        return {
            "port_a": self.ports[0],
            "port_b": self.ports[1],
            "character_a": self.characters[0],
            "character_b": self.characters[1],
            "stage": self.stage,
        }


def parse_columns(
    data_or_path: bytes | str | Path, *, rollback: Rollback, header: Header | None = None, is_verbose: bool = False
) -> ParsedReplay:
    """Parse a replay of two players.

    Args:
        data_or_path: the file, or its bytes.
        rollback: which copy of a re-simulated frame is kept.
        header: its header, if already read.
        is_verbose: let peppi's panics print.

    Raises:
        ReplayError: not a readable replay, or not of two players.
    """
    header = header or read_header(data_or_path)
    if len(header.players) != 2:
        raise ReplayError("not_two_players", f"replay: a game has two players, found {len(header.players)}")
    stage = stage_index_from_slippi(header.stage)
    game, found, repaired = _parsed(data_or_path, header, stage, rollback, is_verbose)
    a, b = header.players
    end = game.end or {}
    quitter = end.get("lras_initiator")
    return ParsedReplay(
        header=header,
        version=max(header.version, FIRST_VERSION) if repaired is None else repaired.version,
        ports=(a.port, b.port),
        characters=(_picked(a, "a", header, found.columns), _picked(b, "b", header, found.columns)),
        stage=stage,
        columns=found.columns,
        frames_resimulated=found.frames_resimulated,
        frame_gaps=found.frame_gaps,
        non_finite=dict(found.non_finite),
        off_lattice=found.off_lattice,
        end_method=end["method"].lower() if end.get("method") else None,
        quitter=int(quitter[1]) if quitter else None,
        placements={int(player["port"][1]): player["placement"] for player in end.get("players") or []},
        started_at=game.metadata.get("startAt"),
        repaired=() if repaired is None else repaired.reasons,
    )


def _parsed(
    source: bytes | str | Path, header: Header, stage: int, rollback: Rollback, is_verbose: bool
) -> tuple[Game, Extracted, Repaired | None]:
    """A game and its columns, repaired where peppi refuses the file or puts records into the wrong rows."""
    ports = header.players[0].port, header.players[1].port
    refusal = None
    try:
        game = read_game(source, is_verbose=is_verbose)
        found = extract(game.frames, ports, stage, rollback)
    except ReplayError as error:
        refusal = error
    if refusal is not None or found.is_shifted:
        with suppress(ReplayError):
            repaired = repair(source if isinstance(source, bytes) else Path(source).read_bytes(), rollback)
            if repaired is not None and (refusal is not None or "events" in repaired.reasons):
                game = read_game(repaired.data, is_verbose=is_verbose)
                found = extract(game.frames, ports, stage, rollback)
                return game, _as_recorded(found, repaired), repaired
    if refusal is not None:
        raise refusal
    _place_nana(found.columns, source, header)
    for side in SIDES:
        if header.version < TRIGGER_R_SINCE:  # the recorder left the place for it, and whatever stood there
            found.columns.pop(f"{side}_trigger_r", None)
    return game, found, None


def _as_recorded(found: Extracted, repaired: Repaired) -> Extracted:
    """Without the columns of the later version as which a replay was written, and with the gap before the game's end."""
    recorded = {column.name for column in COLUMNS if column.since <= repaired.version}
    columns = {name: values for name, values in found.columns.items() if name in recorded}
    return replace(found, columns=columns, frame_gaps=found.frame_gaps + repaired.frames_lost)


def _picked(player: HeaderPlayer, side: str, header: Header, columns: Columns) -> int:
    """Internal id of the character with which a player began."""
    internal = internal_from_external(player.character)
    if internal is None:
        raise ReplayError("not_playable", f"replay: a player picks one of 26 characters, found id {player.character}")
    first = int(columns[f"{side}_character"][0])
    if header.version < SHEIK_TOLD_SINCE and {internal, first} <= ZELDA_AND_SHEIK:
        return first
    return internal


def read_game(source: bytes | str | Path, *, is_verbose: bool = False) -> Game:
    """Parse a replay; ``is_verbose`` lets panics print.

    Raises:
        ReplayError: peppi refuses the file or panics.
    """
    with _path_of(source) as path, silent_panics(not is_verbose):
        try:
            game = _peppi.read_slippi(path, False)
        except (OSError, ValueError) as error:
            raise _cut(path) if "fill whole buffer" in str(error) else _reason(str(error), "unreadable") from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # peppi's module does not export the class
                raise
            raise _reason(str(error), "parser_panic") from error
    return Game(game.end, game.metadata or {}, game.frames)


def _reason(message: str, otherwise: str) -> ReplayError:
    for part, slug, sentence in _REASONS:
        if part in message:
            return ReplayError(slug, f"replay: {sentence} ({message.splitlines()[0]})")
    return ReplayError(
        otherwise, f"replay: peppi cannot read it ({message.splitlines()[0] if message else 'no message'})"
    )


def _cut(path: str) -> ReplayError:
    """Why peppi ran out of bytes: the recorder never finished, or the file or one of its events was cut."""
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
    """A path for peppi, which takes nothing else; bytes get one in memory where the system can do that, else a temporary file."""
    if not isinstance(source, bytes) and not _is_utf8(str(source)):
        source = Path(source).read_bytes()  # peppi takes no other name
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


def _is_utf8(path: str) -> bool:
    """Whether a path has no bytes that Python could not decode."""
    return not any("\ud800" <= letter <= "\udfff" for letter in path)


def _place_nana(columns: dict[str, NDArray[Any]], source: bytes | str | Path, header: Header) -> None:
    """Move each side's Nana, in place, to the frames for which a follower's post frame was recorded.

    Before Slippi 2.2 replays have no frame starts, and peppi lists a follower's records without gaps. Slippi records nothing of
    Nana between her death and her return, so all that follows would stand too early.
    """
    sides = [side for side in SIDES if columns[f"{side}_nana_exists"].any()]
    if header.version >= FRAME_STARTS_SINCE or not sides:
        return
    post = read_events(read_slp(source)[0]).tables[POST_FRAME]
    for side in sides:
        port = header.players[SIDES.index(side)].port
        is_hers = (post["is_follower"] == 1) & (post["port"] == port - 1)
        exists = np.isin(columns["frame"], post["frame"][is_hers])
        record = np.cumsum(exists) - 1
        for name in (name for name in columns if name.startswith(f"{side}_nana_")):
            columns[name] = np.where(exists, columns[name][record], 0).astype(columns[name].dtype)
