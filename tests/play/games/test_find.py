"""Games as the logs and the kept replays of a folder tell them, on games made by hand."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError, ReplayError
from dataset.slippi import slp
from play.games.find import Game, find_games, replay_game

MEWTWO, FOX = 16, 1


def replay(
    path: Path,
    states: dict[int, list[tuple[int, float]]],
    *,
    end: tuple[int, int] = (2, -1),
    placements: tuple[int, ...] = (-1, -1, -1, -1),
    cpu: int | None = None,
    is_cut: bool = False,
) -> Path:
    """A replay whose players (Mewtwo on the lower port, Fox on the other) have these stocks and percents."""
    low, high = sorted(states)
    frames = len(states[low])
    generate_replay(path, seed=1, frames=frames, ports=(low, high))
    raw, metadata = slp.read_slp(path)
    events = slp.read_events(raw)
    posts = events.tables[slp.POST_FRAME]
    for port, values in states.items():
        own = posts["port"] == port - 1
        posts["stocks"][own] = [stocks for stocks, _ in values]
        posts["percent"][own] = [percent for _, percent in values]
    last = events.tables[slp.GAME_END][0]
    last["method"], last["quitter"], last["placements"] = *end, placements
    if cpu is not None:
        player = events.tables[slp.GAME_START][0]["players"][cpu - 1]
        player["kind"], player["cpu_level"] = 1, 7
    data = slp.pack(slp.write_events(events, slp.payload_sizes(raw)), metadata)
    path.write_bytes(data[: len(data) // 2] if is_cut else data)
    return path


WON = {1: [(4, 0.0), (4, 12.5), (3, 0.0)], 3: [(2, 90.0), (1, 0.0), (0, 0.0)]}


def test_a_replay_is_counted_from_the_policys_side(tmp_path: Path) -> None:
    path = replay(tmp_path / "a.slp", WON, cpu=3)
    game = replay_game(path, character=None, port=None)
    assert game == Game(
        policy="(replays)",
        opponent="cpu level 7 fox",
        cluster=game.cluster,
        frames=3,
        stocks_taken=2,
        stocks_lost=1,
        damage_dealt=0.0,
        damage_taken=12.5,
        won=True,
    )
    assert game.cluster == slp.read_header(path).match_id
    other = replay_game(path, character=FOX, port=None)
    assert (other.opponent, other.stocks_taken, other.damage_dealt, other.won) == ("human mewtwo", 1, 12.5, False)
    assert replay_game(path, character=None, port=3) == other


LEVEL = {1: [(2, 0.0), (2, 10.0)], 2: [(2, 0.0), (2, 30.0)]}


@pytest.mark.parametrize(
    ("states", "end", "placements", "won"),
    [
        (WON, (2, -1), (-1, -1, -1, -1), True),
        (LEVEL, (7, 1), (-1, -1, -1, -1), True),
        (LEVEL, (7, 0), (-1, -1, -1, -1), False),
        (LEVEL, (2, -1), (1, 0, -1, -1), False),
        (LEVEL, (2, -1), (0, 1, -1, -1), True),
        (LEVEL, (1, -1), (-1, -1, -1, -1), True),
        ({1: [(1, 0.0)], 2: [(2, 90.0)]}, (1, -1), (-1, -1, -1, -1), False),
        ({1: [(2, 9.0)], 2: [(2, 9.0)]}, (1, -1), (-1, -1, -1, -1), None),
        (LEVEL, (2, -1), (-1, -1, -1, -1), None),
        ({1: [(2, 9.0)], 2: [(1, 0.0)]}, (1, -1), (1, 0, -1, -1), True),  # places that contradict the stocks
        ({1: [(2, 45.9)], 2: [(2, 45.2)]}, (1, -1), (1, 0, -1, -1), None),  # both show 45 %
        ({1: [(0, 0.0)], 2: [(0, 0.0)]}, (2, -1), (0, 1, -1, -1), None),
    ],
)
def test_who_won_is_read_from_stocks_quitting_places_and_the_clock(
    tmp_path: Path,
    states: dict[int, list[tuple[int, float]]],
    end: tuple[int, int],
    placements: tuple[int, ...],
    won: bool | None,
) -> None:
    assert (
        replay_game(replay(tmp_path / "a.slp", states, end=end, placements=placements), character=None, port=1).won
        is won
    )


def test_the_magnifying_glass_deals_no_damage(tmp_path: Path) -> None:
    path = replay(tmp_path / "a.slp", {1: [(4, 0.0), (4, 1.0)], 3: [(4, 0.0), (4, 2.0)]})
    raw, metadata = slp.read_slp(path)
    events = slp.read_events(raw)
    events.tables[slp.POST_FRAME]["position_x"] = 180
    path.write_bytes(slp.pack(slp.write_events(events, slp.payload_sizes(raw)), metadata))
    game = replay_game(path, character=None, port=1)
    assert (game.damage_dealt, game.damage_taken) == (2.0, 0.0)


def test_of_frames_simulated_again_the_last_copy_counts(tmp_path: Path) -> None:
    path = replay(tmp_path / "a.slp", LEVEL)
    raw, metadata = slp.read_slp(path)
    messages = slp.split_messages(raw)
    frames = [message for message in messages if message[0] == slp.FRAME_START]
    at = messages.index(frames[0])
    path.write_bytes(slp.pack(b"".join([*messages[:at], frames[0], frames[1], *frames, *messages[at + 2 :]]), metadata))
    game = replay_game(path, character=None, port=1)
    assert (game.frames, game.damage_dealt, game.damage_taken) == (2, 30.0, 10.0)


def test_whoever_cannot_be_told_from_the_other_is_not_guessed(tmp_path: Path) -> None:
    path = replay(tmp_path / "a.slp", LEVEL)
    with pytest.raises(ReplayError, match=r"found 2 that may be; give --character or --port"):
        replay_game(path, character=None, port=None)
    with pytest.raises(ReplayError, match="found 0"):
        replay_game(path, character=9, port=None)


def log(folder: Path, *games: dict[str, Any], settings: dict[str, Any] | None = None) -> None:
    """A session's log."""
    folder.mkdir(parents=True)
    lines: list[dict[str, Any]] = [{"event": "session"} | (settings or {"run": "runs/mewtwo", "opponent": "cpu"})]
    for game in games:
        players = {
            "own": {"port": 1, "character": "mewtwo", "cpu_level": 0},
            "other": {"port": 2, "character": "fox", "cpu_level": 9},
        }
        lines.append({"event": "game_start", "game": 1, "port": 1, "stage": "battlefield", "players": players})
        lines.append({"event": "game_end", "replay": None} | RESULT | game)
    (folder / "session.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n")


RESULT = {
    "frames": 3600,
    "stocks_taken": 3,
    "stocks_lost": 4,
    "damage_dealt": 310.5,
    "damage_taken": 400.0,
    "won": False,
}


def test_logged_games_carry_policy_opponent_and_session(tmp_path: Path) -> None:
    log(tmp_path / "one", {}, {"won": True})
    log(tmp_path / "two", {}, settings={"run": "runs/mewtwo", "opponent": "human"})
    found = find_games(tmp_path)
    common: dict[str, Any] = {"policy": "mewtwo", **RESULT}
    assert found.games == [
        Game(**common | {"opponent": "cpu level 9 fox", "cluster": str(tmp_path / "one")}),
        Game(**common | {"opponent": "cpu level 9 fox", "cluster": str(tmp_path / "one"), "won": True}),
        Game(**common | {"opponent": "human fox", "cluster": str(tmp_path / "two")}),
    ]
    assert found.skipped == Counter()


def test_a_logged_game_and_its_kept_replay_are_one_game(tmp_path: Path) -> None:
    kept = replay(tmp_path / "Game_1.slp", LEVEL, end=(7, 1))
    log(tmp_path / "sessions" / "one", {"won": None, "replay": str(kept)}, {"won": None, "replay": "gone.slp"})
    games = find_games(tmp_path).games
    assert [(game.policy, game.stocks_taken, game.won) for game in games] == [("mewtwo", 3, True), ("mewtwo", 3, None)]


def test_logs_and_kept_replays_may_move_together(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    replay(tmp_path / "here" / "Game_1.slp", LEVEL, end=(7, 1))
    log(tmp_path / "here" / "sessions" / "one", {"won": None, "replay": "../../Game_1.slp"})
    (tmp_path / "here").rename(tmp_path / "there")
    assert [game.won for game in find_games(tmp_path / "there").games] == [True]


def test_what_cannot_be_counted_is_told_by_reason(tmp_path: Path) -> None:
    replay(tmp_path / "cut.slp", LEVEL, is_cut=True)
    replay(tmp_path / "whose.slp", LEVEL)
    log(tmp_path / "one", {}, settings={"run": "x", "opponent": "replay"})
    log(tmp_path / "two", {})
    with (tmp_path / "two" / "session.jsonl").open("a") as file:
        file.write('{"event": "game_')
    found = find_games(tmp_path)
    assert len(found.games) == 1
    assert found.skipped["replayed"] == found.skipped["bad_line"] == found.skipped["policy_unknown"] == 1
    assert sum(found.skipped.values()) == 4
    assert len(find_games(tmp_path, character="fox").games) == 2


def test_what_finds_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a folder"):
        find_games(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="drop one of them"):
        find_games(tmp_path, character="fox", port=1)


def test_a_real_replay_agrees_with_itself_from_both_sides(modern_replays: list[Path]) -> None:
    one, two = (player.port for player in slp.read_header(modern_replays[0]).players)
    low, high = (replay_game(modern_replays[0], character=None, port=port) for port in (one, two))
    assert (low.stocks_taken, low.stocks_lost, low.damage_dealt) == (
        high.stocks_lost,
        high.stocks_taken,
        high.damage_taken,
    )
    assert (low.won, high.won) in [(True, False), (False, True), (None, None)]
