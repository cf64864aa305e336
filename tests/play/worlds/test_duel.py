import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.duels.duel import ENTRY_FRAMES
from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError
from dataset.features.encoder import controller_matrix
from dataset.features.layout import RAW_NAMES, RAW_ROW
from dataset.schema import CONTROLLER_NAMES, SIDES, Columns
from dataset.slippi import slp
from ingest.replay.parse import parse_columns
from play.agent.agent import as_read
from play.worlds.duel import DuelWorld
from play.worlds.world import Frames, Match

SCRIPTED = (3, 3)
MIXED = [
    Match(("mewtwo", "fox"), "final_destination", 1, (None, 3)),
    Match(("falco", "mewtwo"), "fountain_of_dreams", 2, (3, None)),
    Match(("peach", "sheik"), "yoshis_story", 3, (None, None)),
    Match(("mewtwo", "marth"), "battlefield", 4, SCRIPTED),
]


def rest(num_games: int) -> NDArray[np.int32]:
    return np.zeros((num_games, 2, 6), np.int32)


def random_controllers(seed: int, num_frames: int, num_games: int) -> NDArray[np.int32]:
    """Controllers held for a few frames each, every number in its range, as a policy without sense might send them."""
    rng = np.random.default_rng(seed)
    held = (num_frames // 5 + 1, num_games, 2)
    sticks = rng.integers(-80, 81, (*held, 4))
    buttons = rng.choice([0, 0, 0x100, 0x200, 0x400, 0x800, 0x10, 0x20, 0x40, 0x08], held)
    trigger = rng.choice([0, 0, 0, 60, 140], held)
    made = np.concatenate([sticks, trigger[..., None], buttons[..., None]], axis=-1).astype(np.int32)
    return np.repeat(made, 5, axis=0)[:num_frames]


def play(world: DuelWorld, matches: list[Match], controllers: NDArray[np.int32]) -> list[Frames]:
    return [world.reset(matches), *(world.step(now) for now in controllers)]


def play_to_the_end(world: DuelWorld, matches: list[Match]) -> list[Frames]:
    frames = [world.reset(matches)]
    while not frames[-1].is_over.all():
        frames.append(world.step(rest(len(matches))))
    return frames


def raw_of(columns: Columns) -> NDArray[np.float32]:
    """The raw columns [N, len(RAW_NAMES)] of an ingested replay that records all that is encoded."""
    raw = np.zeros((len(columns["frame"]), len(RAW_NAMES)), np.float32)
    for row, name in enumerate(RAW_NAMES):
        raw[:, row] = 1.0 if name.startswith("has_") else columns.get(name, 0)
    return raw


def saved(world: DuelWorld, game: int, folder: Path) -> Columns:
    world.save(game, folder / f"{game}.slp")
    return parse_columns(folder / f"{game}.slp", rollback="last").columns


def own_frames(frames: list[Frames], game: int) -> int:
    """How many frames a game had before it was over, the last included."""
    return 1 + next((t for t, frame in enumerate(frames) if frame.is_over[game]), len(frames) - 1)


def test_every_row_and_column_equals_what_ingest_makes_of_the_saved_replay(tmp_path: Path) -> None:
    world = DuelWorld()
    frames = play(world, MIXED, random_controllers(0, 3000, len(MIXED)))
    seen_items = False
    for game in range(len(MIXED)):
        columns = saved(world, game, tmp_path)
        played = own_frames(frames, game)
        ingested = raw_of(columns)
        live = np.stack([frame.raw[game] for frame in frames[:played]])
        for row, name in enumerate(RAW_NAMES):
            np.testing.assert_array_equal(live[:, row], ingested[:played, row], err_msg=name)
        seen_items |= bool(live[:, RAW_ROW["item0_kind"]].any())
        for side, label in enumerate(SIDES):
            pressed = np.stack([frame.controllers[game, side] for frame in frames[:played]])
            np.testing.assert_array_equal(pressed, controller_matrix(columns, label)[:played])
    assert seen_items


def test_two_scripted_players_play_the_duel_that_is_generated(tmp_path: Path) -> None:
    match = Match(("mewtwo", "fox"), "final_destination", 7, SCRIPTED)
    world = DuelWorld()
    frames = play_to_the_end(world, [match])
    generate_replay(tmp_path / "generated.slp", seed=7)
    theirs = parse_columns(tmp_path / "generated.slp", rollback="last").columns
    ours = saved(world, 0, tmp_path)
    assert len(ours["frame"]) == len(theirs["frame"]) == len(frames) + 60
    for name in theirs:
        np.testing.assert_array_equal(ours[name][: len(frames)], theirs[name][: len(frames)], err_msg=name)


def test_a_game_in_a_batch_equals_the_same_game_alone() -> None:
    controllers = random_controllers(1, 900, len(MIXED))
    together = play(DuelWorld(), MIXED, controllers)
    for game, match in enumerate(MIXED):
        alone = play(DuelWorld(), [match], controllers[:, game : game + 1])
        for ours, theirs in zip(together, alone, strict=True):
            np.testing.assert_array_equal(ours.raw[game], theirs.raw[0])
            np.testing.assert_array_equal(ours.controllers[game], theirs.controllers[0])


def test_the_game_reads_controllers_as_melee_does() -> None:
    pressed = random_controllers(2, 300, 1)
    frames = play(DuelWorld(), [MIXED[2]], pressed)
    for given, frame in zip(pressed, frames[1:], strict=True):
        for side in range(2):
            np.testing.assert_array_equal(frame.controllers[0, side], as_read(given[0, side]))


def test_frames_begin_at_minus_123_and_stay_as_they_are_after_further_steps() -> None:
    world = DuelWorld()
    first = world.reset(MIXED)
    kept = first.raw.copy()
    second = world.step(rest(len(MIXED)))
    assert first.raw[:, RAW_ROW["frame"]].tolist() == [-123.0] * 4
    assert second.raw[:, RAW_ROW["frame"]].tolist() == [-122.0] * 4
    assert second.raw.dtype == np.float32
    assert second.controllers.shape == (4, 2, len(CONTROLLER_NAMES))
    np.testing.assert_array_equal(first.raw, kept)


def test_a_game_that_is_over_keeps_its_last_row_and_ignores_controllers() -> None:
    matches = [Match(("mewtwo", "fox"), "final_destination", seed, SCRIPTED) for seed in (7, 8)]
    world = DuelWorld()
    frames = [*play_to_the_end(world, matches), world.step(rest(2))]
    ends = [own_frames(frames, game) for game in range(2)]
    early = int(np.argmin(ends))
    assert ends[0] != ends[1]
    last = frames[ends[early] - 1].raw[early]
    assert 0.0 in (last[RAW_ROW["a_stocks"]], last[RAW_ROW["b_stocks"]])
    for frame in frames[ends[early] :]:
        np.testing.assert_array_equal(frame.raw[early], last)


def test_a_long_game_takes_little_memory() -> None:
    world, nothing = DuelWorld(), rest(4)
    world.reset([Match(("mewtwo", "fox"), "battlefield", seed, (3, 3)) for seed in range(4)])
    for _ in range(ENTRY_FRAMES):
        world.step(nothing)
    tracemalloc.start()
    for _ in range(600):
        world.step(nothing)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown / (4 * 600) < 100, "bytes per frame of a game"


def test_the_clock_ends_a_game(tmp_path: Path) -> None:
    world = DuelWorld(limit=400)
    frames = play_to_the_end(world, MIXED[:1])
    assert len(frames) == 400
    assert saved(world, 0, tmp_path)["frame"].tolist() == list(range(-123, 277))
    tables = slp.read_events(slp.read_slp(tmp_path / "0.slp")[0]).tables
    assert tables[slp.GAME_END]["method"].tolist() == [1]


def test_a_replay_of_a_game_that_was_won_ends_with_a_pause_in_which_nobody_loses_a_stock(tmp_path: Path) -> None:
    """In the first game the winner is off the stage at the last hit, and would fall to its death in the pause."""
    falling = Match(("mewtwo", "marth"), "dream_land", 3, SCRIPTED)
    matches = [falling, Match(("mewtwo", "fox"), "final_destination", 7, SCRIPTED)]
    world = DuelWorld()
    frames = play_to_the_end(world, matches)
    pauses = []
    for game in range(len(matches)):
        columns = saved(world, game, tmp_path)
        pauses.append(len(columns["frame"]) - own_frames(frames, game))
        for side in SIDES:
            assert columns[f"{side}_stocks"][-1] == frames[-1].raw[game, RAW_ROW[f"{side}_stocks"]]
    assert 0 < pauses[0] < pauses[1] == 60


def test_different_games_of_one_seed_have_different_match_ids(tmp_path: Path) -> None:
    world = DuelWorld(limit=300)
    play_to_the_end(world, [MIXED[0], MIXED[0]._replace(levels=(2, 3)), MIXED[0]])
    for game in range(3):
        world.save(game, tmp_path / f"{game}.slp")
    ids = [slp.read_header(tmp_path / f"{game}.slp").match_id for game in range(3)]
    assert ids[0] != ids[1]
    assert ids[0] == ids[2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"characters": ("mewtwo", "kirby")}, "'kirby': unknown; use one of falco, fox"),
        ({"stage": "moon"}, "'moon': unknown"),
        ({"levels": (None, 4)}, "level '4': unknown; use one of 1, 2, 3"),
    ],
)
def test_a_match_that_duels_cannot_play_is_a_config_error(wrong: dict[str, object], message: str) -> None:
    match = MIXED[0]._replace(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):
        DuelWorld().reset([match])


@pytest.mark.parametrize("limit", [0, 28_801])
def test_a_length_out_of_range_is_a_config_error(limit: int) -> None:
    with pytest.raises(ConfigError, match=f"1 to 28800 frames, found {limit}"):
        DuelWorld(limit)
