"""What becomes of a replay: whether it is let in, how its game ended, and its row of ``replays.parquet``.

The row is made piece by piece, from the file, its header, its frames, a refusal, and each piece is fitted to the table. A refused
replay's row holds all that was known when it was refused, so that filters can be compared without reading it again. Names of
people and files are written as hashes salted by the store's own secret, unless the user asked to keep names.
"""

import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from dataset.codecs.registry import CODECS
from dataset.errors import ReplayError
from dataset.io.atomic import replacing
from dataset.melee.ids import ZELDA_AND_SHEIK, Character, character_from_name, internal_from_external
from dataset.melee.winner import winner
from dataset.schema import FRAMES_PER_SECOND, SIDES
from dataset.slippi.slp import Header
from dataset.store.frame_table import missing_columns
from dataset.store.quality import damage_taken, quality_of
from dataset.store.replay_table import ReplayRow, fitted
from dataset.verify.frame_rules import breaches, wrong_characters, wrong_version
from ingest.options import IngestOptions
from ingest.replay.parse import SHEIK_TOLD_SINCE, ParsedReplay
from ingest.sources.reader import FAULTS, Candidate

SENTENCES = {
    "not_two_players": "not a game of two players",
    "teams": "a team battle",
    "cpu_player": "a CPU plays (--include-cpu lets it in)",
    "character_absent": "nobody picked the wanted character",
    "too_short": "shorter than --min-frames",
    "no_damage": "nobody was hit in the whole game",
    "not_playable": "a player is none of the 26 characters",
    "same_content": "the same file was found before",
    "same_game": "another recording of the same game is kept, the whole one",
    "no_frames": "no frame with both players in it",
    "missing_columns": "columns are missing that its version records",
    "impossible_frames": "frame numbers that no game has",
    "impossible_ids": "action states, characters or owners of items that Melee does not have",
    "impossible_characters": "somebody plays a character that nobody picked",
    "impossible_sticks": "a person's stick where Melee never reads one",
    "impossible_triggers": "a trigger where Melee never reads one",
    "impossible_controllers": "L or R clicked without its trigger",
    "wrong_version": "columns that its version does not record",
    "unfinished": "the recorder was stopped before the first whole frame",
    "truncated": "the file ends before its first whole frame",
    "not_slp": "not a .slp file",
    "no_payload_sizes": "no table of events where the events begin",
    "no_game_start": "no game start where the events begin",
    "bad_game_start": "a game start that is cut short",
    "unknown_event": "an event that the file's own table does not list",
    "damaged": "damaged event data",
    "bad_metadata": "damaged metadata at its end",
    "unreadable": "peppi cannot read it",
    "parser_panic": "peppi panicked",
    "unknown_end_method": "ended in a way peppi does not know (not a versus game)",
    "unknown_placement": "a placement peppi does not know",
    "unsupported_version": "Slippi 3.0 to 3.6, which peppi cannot read",
    **FAULTS,
    "changed": "written to while it was read; the next run tries it again",
    "damaged_gzip": "cannot be unzipped: damaged, or not all there",
    "too_large": "larger than any replay, or unpacks to more",
    "worker_died": "the process that read it died",
    "worker_timeout": "reading it took too long and was stopped",
    "internal_error": "exphil itself failed on it; its 'detail' says how",
}
"""What each reason means, for tables."""

REJECTIONS = ("not_two_players", "teams", "cpu_player", "character_absent", "too_short", "no_damage", "not_playable")
"""Reasons for which a readable replay is left out."""

SALT_NAME = "salt"
"""The file of a store that holds its secret (mode 600). It is in no digest; leave it out when you publish a store."""

_RANK = "(?:unranked|bronze|silver|gold|platinum|diamond|master|grandmaster)"
_RANKS = re.compile(rf"({_RANK}-{_RANK})(?![a-z])")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a game went."""

    winner: str | None
    """Side, or ``None`` where nobody won or the recording does not show who."""
    stocks: tuple[int, int]
    """Left at the end."""
    damage: tuple[float, float]
    """Percent that each side dealt: every rise of the other's, so heals and deaths do not lower it."""
    seconds: float


def judge_header(header: Header, options: IngestOptions) -> None:
    """Raise the reason for which a game is out before its frames are looked at."""
    if len(header.players) != 2:
        raise ReplayError("not_two_players", f"replay: a game has two players, found {len(header.players)}")
    if header.is_teams:
        raise ReplayError("teams", "replay: a game is one against one, found teams")
    if not options.include_cpu and any(player.kind != "human" for player in header.players):
        raise ReplayError("cpu_player", "replay: humans play a game, found a CPU; --include-cpu lets it in")
    if options.character is not None:
        wanted = character_from_name(options.character)
        picked = {internal_from_external(player.character) for player in header.players}
        if header.version < SHEIK_TOLD_SINCE and picked & ZELDA_AND_SHEIK:
            picked |= ZELDA_AND_SHEIK  # who of the two it was, the frames will say
        _require_character(wanted, wanted.internal in picked)


def _require_character(wanted: Character, is_there: bool) -> None:
    if not is_there:
        raise ReplayError("character_absent", f"replay: a player must have picked {wanted.name}, found neither")


def judge(parsed: ParsedReplay, options: IngestOptions, outcome: Outcome) -> None:
    """Raise the reason for which a parsed game is out."""
    if options.character is not None:
        wanted = character_from_name(options.character)
        _require_character(wanted, wanted.internal in parsed.characters)
    if parsed.num_frames < options.min_frames:
        raise ReplayError(
            "too_short", f"replay: a game lasts {options.min_frames} frames or more, found {parsed.num_frames}"
        )
    if outcome.damage == (0.0, 0.0):
        raise ReplayError("no_damage", "replay: somebody is hit in a game, found no damage at all")


_BREACHES = {
    "order": "impossible_frames",
    "ids": "impossible_ids",
    "sticks": "impossible_sticks",
    "triggers": "impossible_triggers",
    "codec": "impossible_controllers",
}
"""The reason for which a replay is out that breaks a rule of ``dataset.verify.frame_rules``."""


def require_sound(row: ReplayRow, parsed: ParsedReplay) -> None:
    """Raise the reason for which ``exphil verify`` would fail a store that holds these frames under that row, in any codec."""
    missing = ", ".join(missing_columns(parsed.columns, parsed.version))
    if missing:
        raise ReplayError("missing_columns", f"replay: its version records {missing}, found nothing there")
    for rule, times, where in breaches(row, parsed.columns, tuple(CODECS.values())):
        raise ReplayError(_BREACHES[rule], f"replay: {SENTENCES[_BREACHES[rule]]}, {times:,} times, first {where}")
    for reason, contradictions in (
        ("wrong_version", wrong_version(row, parsed.columns)),
        ("impossible_characters", wrong_characters(row, parsed.columns)),
    ):
        if contradictions:
            raise ReplayError(
                reason, f"replay: its frames say what its game start says, found that {contradictions[0]}"
            )


def outcome_of(parsed: ParsedReplay) -> Outcome:
    """How the game went."""
    stocks = (int(parsed.columns["a_stocks"][-1]), int(parsed.columns["b_stocks"][-1]))
    return Outcome(
        winner=_winner(parsed, stocks),
        stocks=stocks,
        damage=(damage_taken(parsed.columns, "b"), damage_taken(parsed.columns, "a")),
        seconds=parsed.num_frames / FRAMES_PER_SECOND,
    )


def _winner(parsed: ParsedReplay, stocks: tuple[int, int]) -> str | None:
    """The side that has won."""
    placed = [parsed.placements.get(port) for port in parsed.ports]
    quitter = parsed.quitting_side
    won = winner(
        stocks,
        [float(parsed.columns[f"{side}_percent"][-1]) for side in SIDES],
        quitter=None if quitter is None else SIDES.index(quitter),
        is_time_up=parsed.end_method == "time",
        first_placed=placed.index(0) if placed.count(0) == 1 else None,
    )
    return None if won is None else SIDES[won]


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
        try:
            written = name.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # surrogates that stand for no byte, as an archive of another system may hold
            written = name.encode("utf-8", "surrogatepass")
        if self.is_kept:  # Parquet takes only Unicode, which a name in another encoding is not
            return written.decode("utf-8", "backslashreplace")
        return hashlib.blake2b(written, key=self.salt, digest_size=12).hexdigest()


def store_salt(folder: Path) -> bytes:
    """The salt of a store, made on first use."""
    path = folder / SALT_NAME
    if not path.exists():
        with replacing(path) as temporary:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(32))
    return path.read_bytes()


def file_row(candidate: Candidate, names: Names) -> ReplayRow:
    """Where the replay lies, and by what a later run sees whether it was touched."""
    found = {
        "source": names.of(candidate.source),
        "member": names.of(candidate.member),
        "size": candidate.size,
        "mtime": candidate.mtime,
        "archive_size": candidate.archive_size,
        "crc": candidate.crc,
        "ranks": ranks_in(candidate.member or candidate.source),
    }
    return fitted(found)


def ranks_in(name: str) -> str | None:
    """Both players' ranks where a file name begins with them, as in ``diamond-master-3f….slp``."""
    found = _RANKS.match(re.split(r"[/\\]", name)[-1].lower())
    return found[1] if found else None


def header_row(header: Header, names: Names) -> ReplayRow:
    """Version, match and players."""
    row: ReplayRow = {
        "version": ".".join(map(str, header.version)),
        "match_id": header.match_id,
        "game_number": header.game_number,
        "tiebreaker": header.tiebreaker,
        "random_seed": header.random_seed,
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
    return fitted(row)


def parsed_row(parsed: ParsedReplay, outcome: Outcome) -> ReplayRow:
    """What the frames tell: the game, how it ended, and its quality."""
    row = {
        **parsed.played,
        "frames": parsed.num_frames,
        "frames_resimulated": parsed.frames_resimulated,
        "frame_gaps": parsed.frame_gaps,
        "non_finite": json.dumps(parsed.non_finite, sort_keys=True) if parsed.non_finite else None,
        "off_lattice": parsed.off_lattice,
        "version": ".".join(map(str, parsed.version)),
        "repaired": ",".join(parsed.repaired) or None,
        "started_at": parsed.started_at,
        "end_method": parsed.end_method,
        "quitter": parsed.quitting_side,
        "winner": outcome.winner,
        "stocks_a": outcome.stocks[0],
        "stocks_b": outcome.stocks[1],
        "damage_a": outcome.damage[0],
        "damage_b": outcome.damage[1],
        "seconds": outcome.seconds,
    }
    return fitted(row | quality_of(parsed.columns, row))


def refusal_row(error: ReplayError) -> ReplayRow:
    """Why it is not let in."""
    status = "rejected" if error.reason in REJECTIONS else "failed"
    return fitted({"status": status, "reason": error.reason, "detail": str(error)})
