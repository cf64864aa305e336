"""melee-sim as a world, against a double of its package inside which duels are played."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.errors import ConfigError
from dataset.features.layout import RAW_NAMES, RAW_ROW
from dataset.melee.controller import D_DOWN, START, A
from play.worlds.duel import DuelWorld
from play.worlds.melee_sim import melee_sim_kind
from play.worlds.world import Match, World, WorldKind
from tests.play.simulators import melee_sim as double
from tests.play.simulators.melee_sim import data_folder, install
from tests.play.worlds.test_duel import random_controllers, rest

MATCHES = [
    Match(("mewtwo", "fox"), "final_destination", 1),
    Match(("falco", "mewtwo"), "fountain_of_dreams", 2),
    Match(("peach", "sheik"), "yoshis_story", 3),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return data_folder(tmp_path)


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch, data: Path) -> WorldKind:
    install(monkeypatch, data)
    return melee_sim_kind()


def test_its_frames_and_controllers_are_those_of_the_games_it_plays(kind: WorldKind) -> None:
    """For longer than the simulator's buffers hold."""
    pressed = random_controllers(5, 700, len(MATCHES))
    world, duel = kind.make(kind.longest), DuelWorld()
    frames = [world.reset(MATCHES), *(world.step(now) for now in pressed)]
    wanted = [duel.reset(MATCHES), *(duel.step(now) for now in pressed)]
    ours, theirs = (np.stack([frame.raw for frame in each]) for each in (frames, wanted))
    same = [row for row, name in enumerate(RAW_NAMES) if not name.endswith(("_action_frame", "_misc"))]
    np.testing.assert_array_equal(ours[..., same], theirs[..., same])
    assert ours[..., RAW_ROW["item0_kind"]].any()
    for ours_read, theirs_read in zip(frames, wanted, strict=True):
        np.testing.assert_array_equal(ours_read.controllers, theirs_read.controllers)


def test_a_game_that_has_ended_is_stepped_no_more_and_keeps_its_last_frame(kind: WorldKind) -> None:
    """The double refuses to step it. Here one player runs off the stage until no stocks are left."""
    world = kind.make(kind.longest)
    controllers = rest(2)
    controllers[0, 0, 0] = -80
    frames = [world.reset(MATCHES[:2])]
    while not frames[-1].is_over[0]:
        frames.append(world.step(controllers))
        assert len(frames) < 3000
    end = frames[-1].raw[0].copy()
    controllers[0, 0, 0] = 80
    after = [world.step(controllers) for _ in range(80)][-1]
    assert end[RAW_ROW["a_stocks"]] == 0
    np.testing.assert_array_equal(after.raw[0], end)
    assert after.controllers[0, 0].tolist() == frames[-1].controllers[0, 0].tolist()
    assert after.is_over.tolist() == [True, False]
    assert after.raw[1, RAW_ROW["frame"]] == end[RAW_ROW["frame"]] + 80


def test_frames_stay_as_they_are_after_further_steps(kind: WorldKind) -> None:
    world = kind.make(kind.longest)
    first = world.reset(MATCHES)
    kept = first.raw.copy()
    world.step(random_controllers(6, 1, len(MATCHES))[0])
    np.testing.assert_array_equal(first.raw, kept)
    assert not first.controllers.any()


def test_games_end_with_the_time(kind: WorldKind) -> None:
    world = kind.make(3)
    over = [world.reset(MATCHES).is_over.tolist(), *(world.step(rest(3)).is_over.tolist() for _ in range(2))]
    assert over == [[False] * 3, [False] * 3, [True] * 3]


def test_only_buttons_that_a_policy_may_press_reach_the_simulator(kind: WorldKind) -> None:
    world = kind.make(kind.longest)
    world.reset(MATCHES)
    controllers = rest(3)
    controllers[:, 1] = [-80, 3, 4, -5, 140, A | START | D_DOWN]
    world.step(controllers)
    pads = double.EnvBatch.made[-1].raw_action_view["players"][0, :, 1]
    assert pads[0].tolist() == (A, -80, 3, 4, -5, 140, 0)


def test_the_simulators_games_are_freed(kind: WorldKind) -> None:
    world = kind.make(kind.longest)
    world.reset(MATCHES)
    first = double.EnvBatch.made[-1]
    world.reset(MATCHES[:1])
    second = double.EnvBatch.made[-1]
    assert (first.is_closed, second.is_closed, second.batch_size) == (True, False, 1)
    world.close()
    assert [batch.is_closed for batch in double.EnvBatch.made] == [True] * 3  # the first one only showed its fields


def test_the_seed_reaches_the_simulator(kind: WorldKind) -> None:
    kind.make(10).reset([MATCHES[0]._replace(seed=2**32 - 1)])
    assert double.EnvBatch.made[-1].configs[0].seed == 2**32 - 1


def test_nobody_plays_ice_climbers_unless_the_simulator_shows_nana(
    monkeypatch: pytest.MonkeyPatch, data: Path, kind: WorldKind
) -> None:
    assert "ice_climbers" not in kind.characters
    assert {"mewtwo", "captain_falcon", "game_and_watch"} < set(kind.characters)
    assert len(kind.characters) == 22
    install(monkeypatch, data, EnvBatch=double.EnvBatchWithFollowers)
    with_nana = melee_sim_kind()
    assert "ice_climbers" in with_nana.characters
    assert with_nana.make(10).reset(MATCHES).raw[:, RAW_ROW["a_nana_exists"]].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"characters": ("mewtwo", "kirby")}, "character in melee-sim 'kirby': unknown; use one of"),
        ({"characters": ("pichu", "fox")}, "'pichu': unknown"),
        ({"characters": ("fox", "roy")}, "'roy': unknown"),
        ({"stage": "moon"}, "'moon': unknown"),
        ({"levels": (None, 3)}, "no player of its own"),
    ],
)
def test_a_match_that_it_cannot_play_is_a_config_error(kind: WorldKind, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind.make(10).reset([MATCHES[0]._replace(**wrong)])


def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "melee_sim", None)
    with pytest.raises(
        ConfigError, match=r"needs melee-sim-light, found no package melee_sim .*pip install 'git\+https://"
    ):
        melee_sim_kind()


def test_missing_data_are_named_with_the_way_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Path("nowhere"))
    with pytest.raises(
        ConfigError,
        match=r"needs data of the game.*directory is incomplete: nowhere.*extract_data --iso PATH.*MSL_DATA_DIR",
    ):
        melee_sim_kind()


class OldMatchConfig:
    def __init__(self, stage: int, players: Any, frame_pre_random_seed: int, stock_count: int) -> None: ...


class OldBatch(double.EnvBatch):
    def step(self) -> None: ...


class OtherFrames(double.EnvBatch):
    frame_dtype = np.dtype(
        [
            ("items" if name == "items" else name.replace("frame_id", "frame"), *rest)
            for name, *rest in double.FRAME.descr
        ]
    )


class OtherPads(double.EnvBatch):
    pads_dtype = np.dtype([("p", double.PAD, (4,))])


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"MatchConfig": None}, "without MatchConfig in /somewhere"),
        ({"MatchConfig": OldMatchConfig}, r"without MatchConfig\(seed\), MatchConfig\(stocks\) in"),
        ({"EnvBatch": OldBatch}, r"without EnvBatch\.step\(step_mask\) in"),
        ({"EnvBatch": OtherFrames}, "without frame_id in"),
        ({"EnvBatch": OtherPads}, r"without raw_action_view\['players'\] in"),
    ],
)
def test_another_version_is_refused_with_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, data: Path, changed: dict[str, Any], missing: str
) -> None:
    install(monkeypatch, data, **changed)
    with pytest.raises(
        ConfigError, match=f"needs melee-sim-light at commit 2d163e93 or later, found a version {missing}"
    ):
        melee_sim_kind()


def test_saving_is_refused(kind: WorldKind, tmp_path: Path) -> None:
    world: World = kind.make(10)
    world.reset(MATCHES)
    assert not kind.can_save
    with pytest.raises(ConfigError, match="writes no replays"):
        world.save(0, tmp_path / "game.slp")
