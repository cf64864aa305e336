import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dataset.errors import ReplayError
from dataset.slippi.slp import Header, HeaderPlayer
from ingest.options import IngestOptions
from ingest.replay import parse
from ingest.replay.judge import REJECTIONS, SENTENCES, judge, judge_header, outcome_of, ranks_in
from ingest.replay.parse import ParsedReplay
from ingest.sources.reader import FAULTS


def player(port: int, character: int = 10, kind: str = "human") -> HeaderPlayer:
    about = {"cpu_level": None, "connect_code": None, "display_name": None}
    return HeaderPlayer(port=port, character=character, kind=kind, **about)  # type: ignore[arg-type]


HEADER = Header(
    version=(3, 18, 0),
    stage=32,
    players=(player(1), player(3, 2)),
    is_pal=False,
    is_frozen=False,
    match_id=None,
    game_number=None,
    tiebreaker=None,
    is_teams=False,
    random_seed=7,
)


def game(
    stocks: tuple[int, int] = (4, 4), percents: tuple[list[float], list[float]] = ([0, 0], [0, 0])
) -> ParsedReplay:
    columns = {"frame": np.array([-123, -122], dtype=np.int32)}
    for side, left, percent in zip("ab", stocks, percents, strict=True):
        columns[f"{side}_stocks"] = np.array([4, left], dtype=np.uint8)
        columns[f"{side}_percent"] = np.array(percent, dtype=np.float32)
        columns |= {f"{side}_{name}": np.zeros(2, dtype=np.float32) for name in ("character", "action_state", "x", "y")}
    return ParsedReplay(
        header=HEADER,
        version=HEADER.version,
        ports=(1, 3),
        characters=(16, 1),
        stage=5,
        columns=columns,
        frames_resimulated=0,
        frame_gaps=0,
        non_finite={},
        off_lattice=0,
        end_method="game",
        quitter=None,
        placements={},
        started_at=None,
    )


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (replace(HEADER, players=(player(1),)), "not_two_players"),
        (replace(HEADER, players=(player(1), player(2), player(3))), "not_two_players"),
        (replace(HEADER, is_teams=True), "teams"),
        (replace(HEADER, players=(player(1), player(2, kind="cpu"))), "cpu_player"),
        (replace(HEADER, players=(player(1, 2), player(2, 20))), "character_absent"),
    ],
)
def test_a_header_is_refused_with_its_reason(header: Header, reason: str) -> None:
    with pytest.raises(ReplayError) as caught:
        judge_header(header, IngestOptions(character="mewtwo"))
    assert caught.value.reason == reason
    assert reason in REJECTIONS


def test_a_header_that_fits_is_let_in() -> None:
    judge_header(HEADER, IngestOptions(character="mewtwo"))
    judge_header(replace(HEADER, players=(player(1), player(2, kind="cpu"))), IngestOptions(include_cpu=True))


def test_short_games_and_games_without_a_hit_are_refused() -> None:
    fought = game(percents=([0, 5], [0, 0]))
    judge(fought, IngestOptions(min_frames=2), outcome_of(fought))
    with pytest.raises(ReplayError, match="lasts 3 frames or more, found 2"):
        judge(fought, IngestOptions(min_frames=3), outcome_of(fought))
    with pytest.raises(ReplayError, match="no damage"):
        judge(game(), IngestOptions(min_frames=2), outcome_of(game()))


@pytest.mark.parametrize(
    ("changes", "stocks", "percents", "winner"),
    [
        ({}, (2, 0), ([0, 0], [0, 0]), "a"),
        ({}, (0, 1), ([0, 0], [0, 0]), "b"),
        ({}, (1, 1), ([0, 0], [0, 0]), None),
        ({"quitter": 1}, (4, 4), ([0, 0], [0, 0]), "b"),
        ({"quitter": 3}, (1, 4), ([0, 0], [0, 0]), "a"),
        ({"quitter": 1}, (3, 0), ([0, 0], [0, 0]), "a"),
        ({"placements": {1: 1, 3: 0}}, (1, 1), ([0, 0], [0, 0]), "b"),
        ({"placements": {1: 0, 3: 0}}, (1, 1), ([0, 0], [0, 0]), None),
        ({"end_method": "time"}, (1, 2), ([0, 0], [0, 0]), "b"),
        ({"end_method": "time"}, (2, 2), ([0, 30], [0, 31]), "a"),
        ({"end_method": "time"}, (2, 2), ([0, 30], [0, 30]), None),
        ({"end_method": None}, (1, 2), ([0, 0], [0, 0]), None),
        ({"end_method": "time", "placements": {1: 1, 3: 0}}, (2, 1), ([0, 0], [0, 0]), "a"),
        ({"end_method": "time", "placements": {1: 1, 3: 0}}, (2, 2), ([0, 45.9], [0, 45.2]), None),
        ({"end_method": "time", "placements": {1: 0, 3: 1}}, (2, 2), ([0, 46.0], [0, 45.99]), "b"),
        ({"end_method": "time"}, (2, 2), ([0, np.nan], [0, 45]), None),
        ({"end_method": "game", "placements": {1: 0, 3: 1}}, (0, 0), ([0, 0], [0, 0]), None),
        ({"end_method": "time", "placements": {1: 0, 3: 1}}, (0, 0), ([0, 10], [0, 0]), None),
        ({"end_method": "game", "placements": {1: 1, 3: 0}}, (2, 1), ([0, 0], [0, 0]), None),
        ({"end_method": "game", "placements": {1: 1, 3: 0}}, (1, 2), ([0, 0], [0, 0]), "b"),
        ({"end_method": "time", "quitter": 1}, (4, 1), ([0, 0], [0, 0]), "b"),
    ],
)
def test_who_won(
    changes: dict[str, object],
    stocks: tuple[int, int],
    percents: tuple[list[float], list[float]],
    winner: str | None,
) -> None:
    outcome = outcome_of(replace(game(stocks, percents), **changes))  # type: ignore[arg-type]
    assert (outcome.winner, outcome.stocks) == (winner, stocks)


def test_damage_is_what_a_side_dealt_and_deaths_do_not_lower_it() -> None:
    parsed = game()
    columns = dict(parsed.columns)
    columns["frame"] = np.arange(-123, -118, dtype=np.int32)
    columns |= {f"{side}_{name}": np.zeros(5) for side in "ab" for name in ("character", "action_state", "x", "y")}
    columns["a_percent"] = np.array([0, 10.5, 0, 4, 4], dtype=np.float32)
    columns["b_percent"] = np.array([0, 0, np.nan, 0, 0], dtype=np.float32)
    outcome = outcome_of(replace(parsed, columns=columns))
    assert outcome.damage == (0.0, 14.5)
    assert outcome.seconds == 5 / 60


def test_every_reason_of_a_refusal_has_a_sentence_for_the_table() -> None:
    root = Path(__file__).parents[3]
    code = "".join(path.read_text() for stage in ("ingest", "dataset") for path in (root / stage).rglob("*.py"))
    reasons = set(re.findall(r'ReplayError\(\s*"(\w+)"', code)) | set(re.findall(r'_reason\(.*, "(\w+)"\)', code))
    assert len(reasons) > 20
    assert reasons | {reason for _, reason, _ in parse._REASONS} | {*REJECTIONS, *FAULTS} <= SENTENCES.keys()


@pytest.mark.parametrize(
    ("name", "ranks"),
    [
        ("/replays/master-diamond-3f0a9c.slp", "master-diamond"),
        ("set\\Grandmaster-Platinum_1.slp", "grandmaster-platinum"),
        ("platinum-platinum.slp", "platinum-platinum"),
        ("Game_20240101T000000.slp", None),
        ("gold-silversmith.slp", None),
        ("master-diamond/Game.slp", None),
        ("my-master-diamond.slp", None),
    ],
)
def test_ranks_are_read_from_names_that_begin_with_both(name: str, ranks: str | None) -> None:
    assert ranks_in(name) == ranks
