"""The row of ``replays.parquet`` for one replay, piece by piece: from its file, its header, its frames, its refusal.

A refused replay's row holds all that was known when it was refused, so that filters can be compared without reading it again.
Names of people and files are written as hashes salted by the store's own secret, unless the user asked to keep names.
"""

import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.errors import ReplayError
from dataset.io.atomic import replacing
from dataset.schema import SIDES
from dataset.slippi.slp import Header
from dataset.store.quality import quality_of
from ingest.replay.judge import REJECTIONS, Outcome
from ingest.replay.parse import ParsedReplay
from ingest.sources.reader import Candidate

Row = dict[str, Any]
"""One row of ``replays.parquet``; absent keys are null."""

SALT_NAME = "salt"
"""The file of a store that holds its secret (mode 600). It is in no digest; leave it out when you publish a store."""

_RANK = "(?:unranked|bronze|silver|gold|platinum|diamond|master|grandmaster)"
_RANKS = re.compile(rf"({_RANK}-{_RANK})(?![a-z])")


@dataclass(frozen=True)
class Names:
    """How one store writes names."""

    salt: bytes
    is_kept: bool
    """Whether names are written as they are."""

    def of(self, name: str | None) -> str | None:
        """What to write for ``name``."""
        if name is None:
            return None
        if self.is_kept:  # Parquet takes only Unicode, which a name in another encoding is not
            return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), key=self.salt, digest_size=12).hexdigest()


def store_salt(folder: Path) -> bytes:
    """The salt of a store, made on first use."""
    path = folder / SALT_NAME
    if not path.exists():
        with replacing(path) as temporary:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(32))
    return path.read_bytes()


def file_row(candidate: Candidate, names: Names) -> Row:
    """Where the replay lies, and by what a later run sees whether it was touched."""
    return {
        "source": names.of(candidate.source),
        "member": names.of(candidate.member),
        "size": candidate.size,
        "mtime": candidate.mtime,
        "archive_size": candidate.archive_size,
        "crc": candidate.crc,
        "ranks": ranks_in(candidate.member or candidate.source),
    }


def ranks_in(name: str) -> str | None:
    """Both players' ranks where a file name begins with them, as in ``diamond-master-3f….slp``."""
    found = _RANKS.match(re.split(r"[/\\]", name)[-1].lower())
    return found[1] if found else None


def header_row(header: Header, names: Names) -> Row:
    """Version, match and players."""
    row: Row = {
        "version": ".".join(map(str, header.version)),
        "match_id": header.match_id,
        "game_number": header.game_number,
        "tiebreaker": header.tiebreaker,
        "is_pal": header.is_pal,
        "is_frozen_stadium": header.is_frozen,
    }
    if len(header.players) == 2:
        for side, player in zip(SIDES, header.players, strict=True):
            row |= {
                f"port_{side}": player.port,
                f"type_{side}": player.kind,
                f"cpu_level_{side}": player.cpu_level,
                f"name_hash_{side}": names.of(player.display_name),
                f"code_hash_{side}": names.of(player.connect_code),
            }
    return row


def parsed_row(parsed: ParsedReplay, outcome: Outcome) -> Row:
    """What the frames tell: the game, how it ended, and its quality."""
    quitter = SIDES[parsed.ports.index(parsed.quitter)] if parsed.quitter in parsed.ports else None
    row = {
        **parsed.played,
        "frames": parsed.num_frames,
        "frames_resimulated": parsed.frames_resimulated,
        "frame_gaps": parsed.frame_gaps,
        "non_finite": json.dumps(parsed.non_finite, sort_keys=True) if parsed.non_finite else None,
        "off_lattice": parsed.off_lattice,
        "started_at": parsed.started_at,
        "end_method": parsed.end_method,
        "quitter": quitter,
        "winner": outcome.winner,
        "stocks_a": outcome.stocks[0],
        "stocks_b": outcome.stocks[1],
        "damage_a": outcome.damage[0],
        "damage_b": outcome.damage[1],
        "seconds": outcome.seconds,
    }
    return row | quality_of(parsed.columns, row)


def refusal_row(error: ReplayError) -> Row:
    """Why it is not let in."""
    status = "rejected" if error.reason in REJECTIONS else "failed"
    return {"status": status, "reason": error.reason, "detail": str(error)}
