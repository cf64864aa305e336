"""One replay parsed: its header and its frame-table columns.

In: a path or the bytes of a ``.slp`` file. Out: ``ParsedReplay``, or a ReplayError with the reason. Characters and stage
come from the game start in exphil's ids. The surprise: only games of exactly two players become columns; all other
judgement is ``ingest.replay.judge``'s.
"""

from dataclasses import dataclass
from pathlib import Path

from dataset.errors import ReplayError
from dataset.melee.ids import internal_from_external, stage_index_from_slippi
from dataset.schema import Columns
from dataset.slippi.slp import Header, read_header
from ingest.replay.columns import Rollback, extract
from ingest.replay.nana import place_nana
from ingest.replay.peppi import read_game


@dataclass(frozen=True, kw_only=True)
class ParsedReplay:
    """A two-player game."""

    header: Header
    version: tuple[int, int, int]
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

    @property
    def num_frames(self) -> int:
        """Rows of the replay."""
        return len(self.columns["frame"])

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
    game = read_game(data_or_path, is_verbose=is_verbose)
    a, b = header.players
    stage = stage_index_from_slippi(header.stage)
    found = extract(game.frames, (a.port, b.port), stage, rollback)
    place_nana(found.columns, data_or_path, header)
    end = game.end or {}
    quitter = end.get("lras_initiator")
    return ParsedReplay(
        header=header,
        version=header.version,
        ports=(a.port, b.port),
        characters=(_picked(a.character), _picked(b.character)),
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
    )


def _picked(external: int) -> int:
    internal = internal_from_external(external)
    if internal is None:
        raise ReplayError("not_playable", f"replay: a player picks one of 26 characters, found id {external}")
    return internal
