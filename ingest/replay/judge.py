"""Which replays are let in, and how their games ended.

In: a header or a parsed replay, and the filters. Out: a ``ReplayError`` whose reason the tally counts, or an ``Outcome``.
The surprise: damage is what a side *dealt*, summed over every rise of the other's percent, so heals and deaths do not
lower it.
"""

from dataclasses import dataclass

from dataset.errors import ReplayError
from dataset.melee.ids import character_name, internal_from_external
from dataset.schema import SIDES
from dataset.slippi.slp import Header
from dataset.store.quality import damage_taken
from ingest.replay.parse import ParsedReplay
from ingest.sources.reader import FAULTS

FRAMES_PER_SECOND = 60
DEFAULT_MIN_FRAMES = 1800
"""Half a minute: shorter recordings are handshakes, disconnects and clips."""

SENTENCES = {
    "not_two_players": "not a game of two players",
    "teams": "a team battle",
    "cpu_player": "a CPU plays (--include-cpu lets it in)",
    "character_absent": "nobody picked the wanted character",
    "too_short": "shorter than --min-frames",
    "no_damage": "nobody was hit in the whole game",
    "not_playable": "a player is none of the 26 characters",
    "same_content": "the same file was found before",
    "same_game": "the same game was uploaded by the other client",
    "no_frames": "no frame with both players in it",
    "missing_columns": "columns are missing that its version records",
    "unfinished": "the recorder was stopped before the game ended",
    "truncated": "the file ends before its last event",
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
    "changed": "written to while it was read; looked at again next time",
    "damaged_gzip": "cannot be unzipped: damaged, or not all there",
    "too_large": "larger than any replay, or unpacks to more",
    "worker_died": "the process that read it died",
    "worker_timeout": "reading it took too long and was stopped",
}
"""What each reason means, for tables; reasons without a sentence speak for themselves."""

REJECTIONS = ("not_two_players", "teams", "cpu_player", "character_absent", "too_short", "no_damage", "not_playable")
"""Reasons for which a readable replay is left out."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which replays are let in."""

    character: int | None = None
    """Internal id that a player must have picked."""
    include_cpu: bool = False
    min_frames: int = DEFAULT_MIN_FRAMES


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a game went."""

    winner: str | None
    """Side, or ``None`` where nobody won or nobody can tell."""
    stocks: tuple[int, int]
    """Left at the end."""
    damage: tuple[float, float]
    """Percent dealt by each side."""
    seconds: float


def judge_header(header: Header, filters: Filters) -> None:
    """Raise the reason for which a game is out before its frames are looked at."""
    if len(header.players) != 2:
        raise ReplayError("not_two_players", f"replay: a game has two players, found {len(header.players)}")
    if header.is_teams:
        raise ReplayError("teams", "replay: a game is one against one, found teams")
    if not filters.include_cpu and any(player.kind != "human" for player in header.players):
        raise ReplayError("cpu_player", "replay: humans play a game, found a CPU; --include-cpu lets it in")
    picked = [internal_from_external(player.character) for player in header.players]
    if filters.character is not None and filters.character not in picked:
        wanted = character_name(filters.character)
        raise ReplayError("character_absent", f"replay: a player must have picked {wanted}, found neither")


def judge(parsed: ParsedReplay, filters: Filters, outcome: Outcome) -> None:
    """Raise the reason for which a parsed game is out."""
    if parsed.num_frames < filters.min_frames:
        raise ReplayError(
            "too_short", f"replay: a game lasts {filters.min_frames} frames or more, found {parsed.num_frames}"
        )
    if outcome.damage == (0.0, 0.0):
        raise ReplayError("no_damage", "replay: somebody is hit in a game, found no damage at all")


def outcome_of(parsed: ParsedReplay) -> Outcome:
    """How the game went."""
    stocks = [int(parsed.columns[f"{side}_stocks"][-1]) for side in SIDES]
    return Outcome(
        winner=_winner(parsed, stocks),
        stocks=(stocks[0], stocks[1]),
        damage=(damage_taken(parsed.columns, "b"), damage_taken(parsed.columns, "a")),
        seconds=parsed.num_frames / FRAMES_PER_SECOND,
    )


def _winner(parsed: ParsedReplay, stocks: list[int]) -> str | None:
    """The last with stocks, else who did not quit, else who was placed first; on a time-out stocks, then percent."""
    if min(stocks) == 0 < max(stocks):
        return SIDES[int(stocks[1] > 0)]
    if parsed.quitter in parsed.ports:
        return SIDES[1 - parsed.ports.index(parsed.quitter)]
    placed = [parsed.placements.get(port) for port in parsed.ports]
    if 0 in placed and placed != [0, 0]:
        return SIDES[placed.index(0)]
    if parsed.end_method != "time":
        return None
    percents = [float(parsed.columns[f"{side}_percent"][-1]) for side in SIDES]
    standing = [(stocks[i], -percents[i]) for i in range(2)]
    return None if standing[0] == standing[1] else SIDES[int(standing[1] > standing[0])]
