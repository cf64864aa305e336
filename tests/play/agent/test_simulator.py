"""Frames that simulators give: read as ingest reads the same game, and as the championship's own recorded frames show."""

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import ReplayError
from dataset.features.encoder import Encoded, encode, encode_columns, perspective
from dataset.features.layout import FEATURE_ROW, HITSTUN_STATES, RAW_NAMES, RAW_ROW
from dataset.melee.ids import OTHER_STAGE, character_from_name, stage_from_name
from dataset.schema import SIDES
from dataset.slippi import slp
from ingest.replay.parse import parse_columns
from play.agent.simulator import MELEE_SIM, UMI, FrameFormat, no_items, raw_columns
from tests.play.simulators import melee_sim, records
from tests.play.test_parity import playable

Records = np.ndarray


def umi_dtype() -> np.dtype[Any]:
    return pytest.importorskip("umi.frame", reason="umi-melee is not installed").FRAME


FORMATS = {
    "umi": (UMI, records.UMI, umi_dtype),
    "melee-sim": (MELEE_SIM, records.MELEE_SIM, lambda: melee_sim.FRAME_WITH_FOLLOWERS),
}


def read(frames: Records, layout: FrameFormat) -> np.ndarray:
    """[T, len(RAW_NAMES)] of the frames of one game, in order."""
    held, rows = no_items(1), []
    for frame in frames:
        raw, held = raw_columns(frame[None], layout, held)
        rows.append(raw[0])
    return np.stack(rows)


def expected(path: Path, *, is_umi: bool) -> np.ndarray:
    """Raw columns of ingest, in what an interface cannot show reduced to what it does."""
    columns = parse_columns(path, rollback="last").columns
    raw = np.zeros((len(columns["frame"]), len(RAW_NAMES)), np.float32)
    for row, name in enumerate(RAW_NAMES):
        raw[:, row] = 1.0 if name.startswith("has_") else columns.get(name, 0)
    for who in (*SIDES, "a_nana", "b_nana"):
        raw[:, RAW_ROW[f"{who}_action_frame"]] = np.floor(raw[:, RAW_ROW[f"{who}_action_frame"]])
        is_hitstun = np.isin(raw[:, RAW_ROW[f"{who}_action_state"]], HITSTUN_STATES)
        raw[~is_hitstun, RAW_ROW[f"{who}_misc"]] = 0  # which other states use for whatever they like, NaN included
        if is_umi:
            raw[:, RAW_ROW[f"{who}_percent"]] = np.floor(raw[:, RAW_ROW[f"{who}_percent"]])
    return raw


def assert_read_as_by_ingest(path: Path, interface: str, most: int | None = None) -> np.ndarray:
    """Raw columns and what the encoder makes of them, of at most so many frames."""
    layout, names, dtype = FORMATS[interface]
    ours = read(records.records(path, dtype(), names, most), layout)
    theirs = expected(path, is_umi=interface == "umi")[:most]
    assert len(ours) == len(theirs)
    for row, name in enumerate(RAW_NAMES):
        np.testing.assert_array_equal(ours[:, row], theirs[:, row], err_msg=name)
    seen, recorded = encoded(ours), encode_columns(parse_columns(path, rollback="last").columns)
    has = [row for name, row in FEATURE_ROW.items() if name.startswith("has_")]
    assert (seen.continuous[has] == 1).all()
    seen.continuous[has] = recorded.continuous[has, :most]  # 0 in replays that are older than a column
    np.testing.assert_array_equal(seen.continuous, recorded.continuous[:, :most])
    np.testing.assert_array_equal(seen.indices, recorded.indices[:, :most])
    return ours


def encoded(raw: np.ndarray) -> Encoded:
    return encode(np.ascontiguousarray(raw.reshape(-1, len(RAW_NAMES)).T))


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("generated") / "duel.slp"
    generate_replay(path, seed=4, characters=("falco", "mewtwo"), stage="battlefield", frames=1800, ports=(2, 4))
    return path


@pytest.mark.parametrize("interface", FORMATS)
def test_a_generated_game_is_read_as_by_ingest(generated: Path, interface: str) -> None:
    raw = assert_read_as_by_ingest(generated, interface)
    assert raw[:, RAW_ROW["item0_kind"]].any()


def test_a_real_game_with_items_is_read_as_by_ingest(modern_replays: list[Path]) -> None:
    raw = assert_read_as_by_ingest(modern_replays[0], "melee-sim")
    assert raw[:, RAW_ROW["item0_kind"]].any()
    assert (raw[:, RAW_ROW["a_action_frame"]] < 0).any()


def is_whole_and_legal(path: Path) -> bool:
    with suppress(ReplayError):
        slp.read_slp(path)
        return parse_columns(path, rollback="last").stage != OTHER_STAGE
    return False


def headers(paths: Iterable[Path], since: tuple[int, int, int] = (3, 8, 0)) -> dict[Path, slp.Header]:
    """Games of two, the shortest first; Slippi 3.8 is the first with every field that is encoded."""
    found = {}
    for path in sorted(paths, key=lambda path: path.stat().st_size):
        with suppress(ReplayError):
            header = slp.read_header(path)
            if header.version >= since and len(header.players) == 2:
                found[path] = header
    return found


MEWTWO, CLIMBERS = (character_from_name(name).external for name in ("mewtwo", "ice_climbers"))


def test_real_games_are_encoded_from_the_championships_frames_as_by_ingest(
    edge_case_replays: dict[str, Path], modern_replays: list[Path]
) -> None:
    found = headers([*edge_case_replays.values(), *modern_replays])
    whole = (path for path in found if path.stat().st_size > 200_000 and is_whole_and_legal(path))
    mewtwos = (path for path, header in found.items() if MEWTWO in (player.character for player in header.players))
    chosen = {*islice(whole, 12), *islice(filter(is_whole_and_legal, mewtwos), 2), *modern_replays[:1]}
    raw = np.concatenate([assert_read_as_by_ingest(path, "umi", most=900) for path in chosen])
    assert len(chosen) == 15
    assert len(raw) > 10_000
    assert raw[:, RAW_ROW["item0_kind"]].any()
    assert (raw[:, [RAW_ROW["a_percent"], RAW_ROW["b_percent"]]] > 20).any(axis=0).all()
    assert len({found[path].version for path in chosen}) > 4


@pytest.mark.slow
@pytest.mark.parametrize("interface", FORMATS)
@pytest.mark.parametrize(("archive", "at_least"), [("modern.zip", 22), ("edge-cases.zip", 60), ("falco-129.zip", 129)])
def test_every_real_game_is_read_as_by_ingest(archive: str, at_least: int, interface: str, tmp_path: Path) -> None:
    found = [path for path in playable(archive, tmp_path) if is_whole_and_legal(path)]
    assert len(found) >= at_least
    for path in found:
        assert_read_as_by_ingest(path, interface)


@pytest.mark.parametrize("interface", FORMATS)
def test_nana_is_read_as_by_ingest(edge_case_replays: dict[str, Path], interface: str) -> None:
    """Older games serve too: a field that they lack is 0."""
    found = headers(edge_case_replays.values(), (2, 0, 0))
    climbers = (path for path, header in found.items() if CLIMBERS in (player.character for player in header.players))
    raw = assert_read_as_by_ingest(next(filter(is_whole_and_legal, climbers)), interface)
    assert raw[:, [RAW_ROW["a_nana_exists"], RAW_ROW["b_nana_exists"]]].sum() > 1000


def test_hitstun_below_zero_is_read_from_an_unsigned_field() -> None:
    """Real replays hold -1 to -4 for a few frames."""
    frame = np.zeros(1, melee_sim.FRAME)
    frame["slots"]["hitstun"][0, 0] = 65535
    raw, _ = raw_columns(frame, MELEE_SIM, no_items(1), has_followers=False)
    assert raw[0, RAW_ROW["a_misc"]] == -1


@pytest.fixture(scope="module")
def championship() -> dict[str, Records]:
    return records.championship()


@pytest.fixture(scope="module")
def seats(championship: dict[str, Records]) -> tuple[np.ndarray, np.ndarray]:
    """Raw columns [720, 6, len(RAW_NAMES)] as either seat sees them, all games of a frame read at once."""
    read_of = []
    for seat in range(2):
        held, rows = no_items(6), []
        for frame in range(720):
            raw, held = raw_columns(championship["frames"][:, frame, seat], UMI, held)
            rows.append(raw)
        read_of.append(np.stack(rows))
    return read_of[0], read_of[1]


def test_both_seats_of_a_recorded_game_show_the_same_frames(seats: tuple[np.ndarray, np.ndarray]) -> None:
    own, other = (encoded(raw) for raw in seats)
    turned = perspective(other, 1)
    np.testing.assert_array_equal(own.continuous, turned.continuous)
    np.testing.assert_array_equal(own.indices, turned.indices)
    assert (own.continuous != other.continuous).any(axis=1).sum() > 40


def test_recorded_games_are_on_their_stages_with_their_characters(
    championship: dict[str, Records], seats: tuple[np.ndarray, np.ndarray]
) -> None:
    first = seats[0][0]
    names = {"POPO": "ice_climbers", "CPTFALCON": "captain_falcon", "DREAMLAND": "dream_land"}

    def known(name: str) -> str:
        return names.get(name, name.lower())

    assert first[:, RAW_ROW["frame"]].tolist() == [-123.0] * 6
    assert first[:, RAW_ROW["stage"]].tolist() == [
        stage_from_name(known(name)).number for name in championship["stages"]
    ]
    for side, column in enumerate(SIDES):
        wanted = [character_from_name(known(name)).internal for name in championship["characters"][:, side]]
        assert first[:, RAW_ROW[f"{column}_character"]].tolist() == wanted
        assert first[:, RAW_ROW[f"{column}_facing"]].tolist() == [1.0 - 2 * side] * 6


def test_recorded_frames_hold_what_replays_hold(seats: tuple[np.ndarray, np.ndarray]) -> None:
    raw = seats[0].reshape(-1, len(RAW_NAMES))

    def values(name: str) -> set[float]:
        return set(np.unique(raw[:, RAW_ROW[name]]).tolist())

    assert values("a_facing") == values("b_facing") == {-1, 1}
    assert values("a_on_ground") == {0, 1}
    assert values("a_hurtbox") == {0, 1, 2}
    assert values("a_stocks") <= {3, 4}
    assert raw[:, RAW_ROW["a_misc"]].max() == 30
    assert not raw[~np.isin(raw[:, RAW_ROW["a_action_state"]], HITSTUN_STATES), RAW_ROW["a_misc"]].any()
    assert values("has_items") == {1}
    assert values("item0_owner") == {-1, 0, 1}


def test_nana_is_there_in_one_recorded_game_and_zero_in_the_others(seats: tuple[np.ndarray, np.ndarray]) -> None:
    rows = [row for name, row in RAW_ROW.items() if "_nana_" in name]
    assert [bool(game.any()) for game in seats[0][:, :, rows].transpose(1, 0, 2)] == [True] + [False] * 5
    assert set(np.unique(seats[0][:, 0, RAW_ROW["a_nana_facing"]])) == {-1, 1}


def test_games_that_are_read_together_are_read_as_if_alone(
    championship: dict[str, Records], seats: tuple[np.ndarray, np.ndarray]
) -> None:
    samus = 1
    np.testing.assert_array_equal(read(championship["frames"][samus, :300, 0], UMI), seats[0][:300, samus])


def test_more_than_five_items_wait_for_a_slot(championship: dict[str, Records]) -> None:
    frames = championship["frames"][:, :, 0]
    game, frame = np.unravel_index(int(frames["items"]["exists"].sum(axis=-1).argmax()), frames.shape)
    raw = read(frames[game, : frame + 1], UMI)[-1]
    assert int(frames[game, frame]["items"]["exists"].sum()) > 5
    assert all(raw[RAW_ROW[f"item{slot}_kind"]] for slot in range(5))
