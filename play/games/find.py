"""Finds the games that were played, in session logs and kept replays: what each came to for the policy.

A game in a log whose replay is in the folder too counts once: the log says who played, the replay who won where the log could
not know, as when somebody quit.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.errors import ConfigError, ReplayError
from dataset.melee.damage import is_dealt
from dataset.melee.ids import character_from_name, character_name, internal_from_external
from dataset.melee.winner import winner
from dataset.slippi import slp
from play.loop.session_log import NAME, REPLAY

_TIME_IS_UP = 1
"""Slippi's end method of a game that ran out of time."""


@dataclass(frozen=True, kw_only=True)
class Game:
    """One game from the policy's side."""

    policy: str
    opponent: str
    """Kind, level where it has one, and character."""
    cluster: str
    """What the game shares its circumstances with: a session, or a set of netplay."""
    frames: int
    stocks_taken: int
    stocks_lost: int
    damage_dealt: float
    damage_taken: float
    won: bool | None
    """None where the game decided nothing."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a folder holds."""

    games: list[Game]
    skipped: Counter[str] = field(default_factory=Counter)
    """Replays and lines left out, by reason."""


def find_games(folder: Path, *, character: str | None = None, port: int | None = None) -> Found:
    """Every game below ``folder``.

    Args:
        folder: searched with all its subfolders.
        character: what the policy plays in replays without a log.
        port: the policy's in replays without a log; with neither, the policy is whoever plays against a CPU.

    Raises:
        ConfigError: there is no such folder, or both character and port are given.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: must be a folder of session logs or replays, found none; give another")
    if character is not None and port is not None:
        raise ConfigError("--character and --port: each finds the policy in a replay by itself; drop one of them")
    wanted = None if character is None else character_from_name(character).internal
    found, logged = Found(games=[]), set()
    for path in sorted(folder.rglob(NAME)):
        for game, kept in _logged_games(path, found.skipped):
            logged |= set() if kept is None else {kept}
            found.games.append(game)
    for path in sorted(folder.rglob("*.slp")):
        if path.name not in logged:
            try:
                found.games.append(replay_game(path, character=wanted, port=port))
            except ReplayError as error:
                found.skipped[error.reason] += 1
    return found


def _logged_games(path: Path, skipped: Counter[str]) -> Iterator[tuple[Game, str | None]]:
    """A log's games, each with the name of its kept replay."""
    settings: dict[str, Any] = {}
    start: dict[str, Any] = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
            event = line["event"]
        except (ValueError, KeyError, TypeError):  # the last line of a session that was killed may be cut off
            skipped["bad_line"] += 1
            continue
        if event == "session":
            settings = line
        elif event == "game_start":
            start = line
        elif event == "game_end":
            kept = None if line["replay"] is None else path.parent / line["replay"]
            if settings.get("opponent") == REPLAY:
                skipped["replayed"] += 1
                continue
            game = _logged_game(line, settings, start, str(path.parent))
            yield _with_winner(game, kept, start["port"]), None if kept is None else kept.name


def _logged_game(end: dict[str, Any], settings: dict[str, Any], start: dict[str, Any], cluster: str) -> Game:
    other = start["players"]["other"]
    kind = settings.get("opponent", "opponent")
    level = f" level {other['cpu_level']}" if kind == "cpu" else ""
    return Game(
        policy=Path(str(settings.get("run", "policy"))).name,
        opponent=f"{kind}{level} {other['character']}",
        cluster=cluster,
        won=end["won"],
        **{name: end[name] for name in ("frames", "stocks_taken", "stocks_lost", "damage_dealt", "damage_taken")},
    )


def _with_winner(game: Game, kept: Path | None, port: int) -> Game:
    if game.won is not None or kept is None or not kept.is_file():
        return game
    try:
        return replace(game, won=replay_game(kept, character=None, port=port).won)
    except ReplayError:
        return game


def replay_game(path: Path, *, character: int | None, port: int | None) -> Game:
    """A replay's game.

    Args:
        path: a finished ``.slp``.
        character: internal id of what the policy plays.
        port: the policy's.

    Raises:
        ReplayError: it cannot be read, is not between two players, or does not show which one the policy was.
    """
    raw, _ = slp.read_slp(path)
    header = slp.read_header(path)
    if len(header.players) != 2:
        raise ReplayError(
            "not_two_players", f"{path.name}: needs two players, found {len(header.players)}; leave it out"
        )
    own, other = _sides(path, header, character, port)
    events = slp.read_events(raw)
    posts = [_last_copies(events.tables[slp.POST_FRAME], player.port) for player in (own, other)]
    if min(len(post) for post in posts) == 0:
        raise ReplayError("no_frames", f"{path.name}: needs frames, found none; leave it out")
    (lost, taken), (damage_taken, damage_dealt) = zip(*(_losses(post) for post in posts), strict=True)
    kind = f"cpu level {other.cpu_level}" if other.kind == "cpu" else "human"
    foe = internal_from_external(other.character)
    return Game(
        policy="(replays)",
        opponent=f"{kind} {'unknown' if foe is None else character_name(foe)}",
        cluster=header.match_id or str(path),
        frames=len(posts[0]),
        stocks_taken=taken,
        stocks_lost=lost,
        damage_dealt=round(damage_dealt, 2),
        damage_taken=round(damage_taken, 2),
        won=_won(events, posts, (own.port, other.port)),
    )


def _sides(
    path: Path, header: slp.Header, character: int | None, port: int | None
) -> tuple[slp.HeaderPlayer, slp.HeaderPlayer]:
    """The policy's player, then the other."""
    if port is not None:
        candidates = [player for player in header.players if player.port == port]
    elif character is not None:
        candidates = [player for player in header.players if internal_from_external(player.character) == character]
    else:
        candidates = [player for player in header.players if player.kind != "cpu"]
    if len(candidates) > 1:  # a ditto: a CPU is not the policy
        candidates = [player for player in candidates if player.kind != "cpu"]
    if len(candidates) != 1:
        raise ReplayError(
            "policy_unknown",
            f"{path.name}: one player must be the policy's, found {len(candidates)} that may be; give --character or --port",
        )
    (other,) = (player for player in header.players if player != candidates[0])
    return candidates[0], other


def _last_copies(posts: NDArray[np.void], port: int) -> NDArray[np.void]:
    """A player's post frames in order, of simulated-again frames the last."""
    own: NDArray[np.void] = posts[(posts["port"] == port - 1) & (posts["is_follower"] == 0)]
    _, backwards = np.unique(own["frame"][::-1], return_index=True)
    copies: NDArray[np.void] = own[::-1][backwards]
    return copies


def _losses(post: NDArray[np.void]) -> tuple[int, float]:
    """Stocks that a player lost, and percent that the opponent dealt to it (``dataset.melee.damage``)."""
    stocks, rises = post["stocks"].astype(np.int64), np.diff(post["percent"].astype(np.float64))
    lost = -np.minimum(np.diff(stocks), 0).sum()
    hitlag = post["hitlag"] if "hitlag" in (post.dtype.names or ()) else np.zeros(len(post))
    character, state, x, y = (post[name][1:] for name in ("character", "state", "position_x", "position_y"))
    return int(lost), float(rises[is_dealt(rises, character, state, x, y, hitlag[1:])].sum())


def _won(events: slp.Events, posts: list[NDArray[np.void]], ports: tuple[int, int]) -> bool | None:
    """Whether the policy has won."""
    ends = events.tables.get(slp.GAME_END)
    end = None if ends is None or len(ends) == 0 else ends[0]
    names = () if end is None else end.dtype.names or ()
    quitter = int(end["quitter"]) + 1 if end is not None and "quitter" in names else 0
    placed = [int(end["placements"][port - 1]) for port in ports] if end is not None and "placements" in names else []
    won = winner(
        [int(post["stocks"][-1]) for post in posts],
        [float(post["percent"][-1]) for post in posts],
        quitter=ports.index(quitter) if quitter in ports else None,
        is_time_up=end is not None and int(end["method"]) == _TIME_IS_UP,
        first_placed=placed.index(0) if placed.count(0) == 1 else None,
    )
    return None if won is None else won == 0
