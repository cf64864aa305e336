"""What holds of every sampler, and of lanes."""

import tracemalloc
from itertools import count
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from dataset.errors import ConfigError
from dataset.features.align import align
from dataset.features.encoder import perspective
from dataset.stream.bank import Bank
from dataset.stream.sampler import Batch, Lanes
from tests.dataset.stream.builders import (
    FALCO,
    FOX,
    MEWTWO,
    MIXES,
    SAMPLERS,
    equal,
    frames_delivered,
    frames_predicted,
    sample,
    sampler,
)

WORLD_SIZES = (1, 2, 3, 4)


@pytest.mark.parametrize("is_shuffled", [True, False])
@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("mix", MIXES)
def test_an_epoch_predicts_each_frame_of_each_imitated_player_exactly_once(
    mix: str, kind: str, is_shuffled: bool
) -> None:
    made = sampler(mix, kind, is_shuffled=is_shuffled)
    last_row = 1  # has no target
    expected = {(i, row): 1 for i, t in enumerate(made.bank.tracks) for row in range(t.num_frames - last_row)}
    for epoch in range(2):
        assert frames_predicted(list(made.batches(epoch))) == expected


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("mix", MIXES)
def test_no_replay_is_in_a_batch_twice_unless_fewer_replays_than_rows_have_frames_left(mix: str, kind: str) -> None:
    made = sampler(mix, kind)
    tracks = made.bank.tracks
    for epoch in range(3):
        left: set[int] = set()
        for batch in reversed(list(made.batches(epoch))):
            replays = [tracks[track].replay for track in batch.track if track >= 0]
            left |= set(replays)
            assert len(set(replays)) == len(replays) or len(left) < made.rows


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("mix", MIXES)
def test_all_rows_are_busy_until_the_last_step(mix: str, kind: str) -> None:
    made = sampler(mix, kind)
    idle = [int((batch.track < 0).sum()) for batch in made.batches(0)]
    assert sum(idle) < made.rows
    assert sum(count > 0 for count in idle) <= 1


@pytest.mark.parametrize("kind", SAMPLERS)
def test_the_order_is_a_function_of_seed_and_epoch(kind: str) -> None:
    def walked(seed: int, epoch: int) -> list[list[int]]:
        return [batch.start.tolist() for batch in sampler("many replays", kind, seed=seed).batches(epoch)]

    assert walked(1, 0) == walked(1, 0)
    assert walked(1, 0) != walked(1, 1)
    assert walked(1, 0) != walked(2, 0)


@pytest.mark.parametrize("is_shuffled", [True, False])
@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_cursor_of_epoch_and_step_resumes_exactly(kind: str, is_shuffled: bool) -> None:
    options = {"is_shuffled": is_shuffled, "delay": (2, 4)}
    whole = list(sampler("many replays", kind, **options).batches(3))
    for step in range(0, len(whole), max(len(whole) // 20, 1)):
        rest = list(sampler("many replays", kind, **options).batches(3, first_step=step))
        assert len(rest) == len(whole) - step
        assert all(equal(a, b) for a, b in zip(rest, whole[step:], strict=True))


def test_a_sampler_takes_over_the_memory_of_the_one_whose_epoch_ended_before() -> None:
    made = [sampler("many replays", kind) for kind in SAMPLERS]
    one_memory = made[0].bank.num_frames * made[0].bank.layout.width
    tracemalloc.start()
    for one in made:
        for _ in one.batches(0):
            pass
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2 * one_memory < len(made) * one_memory


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("mix", MIXES)
def test_every_epoch_has_equally_many_steps(mix: str, kind: str) -> None:
    made = sampler(mix, kind)
    assert [len(list(made.batches(epoch))) for epoch in range(3)] == [made.num_steps(0)] * 3


@pytest.mark.parametrize("is_shuffled", [True, False])
@pytest.mark.parametrize("world_size", WORLD_SIZES)
@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("mix", MIXES)
def test_ranks_together_see_what_one_alone_would_in_equally_many_batches_of_equal_size(
    mix: str, kind: str, world_size: int, is_shuffled: bool
) -> None:
    alone = list(sampler(mix, kind, is_shuffled=is_shuffled, delay=(0, 3)).batches(1))
    ranks = [
        list(sampler(mix, kind, is_shuffled=is_shuffled, delay=(0, 3), rank=rank, world_size=world_size).batches(1))
        for rank in range(world_size)
    ]
    assert [len(batches) for batches in ranks] == [len(alone)] * world_size
    assert len({len(batch.track) for batches in ranks for batch in batches}) == 1
    for step, batch in enumerate(alone):
        for row in range(len(batch.track)):
            own, place = ranks[row % world_size][step], row // world_size
            for name in vars(batch):
                assert np.array_equal(getattr(own, name)[place], getattr(batch, name)[row])
    total = sum(frames_predicted(batches).total() for batches in ranks)
    assert total == frames_predicted(alone).total()  # whatever else ranks hold is masked


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2)])
def test_a_rank_outside_the_world_is_refused(rank: int, world_size: int) -> None:
    with pytest.raises(ConfigError, match=f"rank {rank}: must be from 0 to below the {world_size} ranks"):
        sampler("many replays", "lanes", rank=rank, world_size=world_size)


def test_a_bank_without_the_character_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs replays with mewtwo, found none"):
        Lanes(Bank([sample("r", 12)], MEWTWO), rows=1, window=4, delay=0)


def test_a_delay_is_drawn_for_each_track_and_told() -> None:
    made = sampler("many replays", "lanes", delay=(2, 4))
    seen: dict[int, set[int]] = {}
    for batch in made.batches(0):
        for row in np.flatnonzero(batch.track >= 0):
            seen.setdefault(int(batch.track[row]), set()).add(int(batch.delay[row]))
    assert all(len(delays) == 1 for delays in seen.values())
    assert set.union(*seen.values()) == {2, 3, 4}
    assert [made.delay_of(0).tolist() == made.delay_of(epoch).tolist() for epoch in (0, 1)] == [True, False]
    for batch in made.batches(0):
        _assert_aligned(made.bank, batch)


def _assert_aligned(bank: Bank, batch: Batch) -> None:
    for row in np.flatnonzero(batch.track >= 0):
        rows = bank.open(bank.tracks[batch.track[row]], int(batch.delay[row]))
        own, start = int(batch.length[row]), int(batch.start[row])
        assert np.array_equal(batch.previous[row, :own], rows.previous[start : start + own])
        assert np.array_equal(batch.target[row, :own], rows.target[start : start + own])


def test_the_character_is_imitated_whatever_the_port() -> None:
    assert sampler("many replays", "lanes").bank.character == FALCO


@pytest.mark.parametrize("kind", SAMPLERS)
def test_threads_decode_at_once_and_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = list(sampler("many replays", kind).batches(3))
    made = sampler("many replays", kind, threads=2)
    both, decode, calls = Barrier(2), made.bank.decode, count()

    def meeting(*arguments: Any) -> Any:
        if next(calls) < 2:
            both.wait(timeout=30)  # one thread by itself would wait here in vain
        return decode(*arguments)

    monkeypatch.setattr(made.bank, "decode", meeting)
    assert all(map(equal, made.batches(3), alone))
    assert not both.broken
    assert next(calls) > 2


@pytest.mark.parametrize("is_shuffled", [True, False])
@pytest.mark.parametrize("mix", MIXES)
def test_an_epoch_is_each_frame_of_each_imitated_player_exactly_once(mix: str, is_shuffled: bool) -> None:
    lanes = sampler(mix, "lanes", is_shuffled=is_shuffled)
    expected = {(i, row): 1 for i, track in enumerate(lanes.bank.tracks) for row in range(track.num_frames)}
    for epoch in range(2):
        assert frames_delivered(list(lanes.batches(epoch))) == expected


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize("side", [0, 1])
def test_a_lane_delivers_the_players_view_aligned_by_the_delay(side: int, delay: int) -> None:
    replay = sample("r", 100, (FALCO, FOX) if side == 0 else (FOX, FALCO))
    lanes = Lanes(Bank([replay], FALCO), rows=1, window=32, delay=delay)
    batches = list(lanes.batches(0))
    view = perspective(replay.encoded, side)
    aligned = align(replay.classes[side].T, replay.frames, delay)
    joined = {
        name: np.concatenate([getattr(batch, name)[0] for batch in batches])
        for name in ("continuous", "indices", "previous", "target", "mask")
    }
    assert np.array_equal(joined["continuous"][:100], view.continuous.T)
    assert np.array_equal(joined["indices"][:100], view.indices.T)
    assert np.array_equal(joined["previous"][:100], aligned.previous)
    assert np.array_equal(joined["target"][:100], aligned.target)
    assert joined["mask"].tolist() == aligned.mask.tolist() + [False] * 28
    assert not joined["continuous"][100:].any()
    assert [batch.reset.tolist() for batch in batches] == [[True], [False], [False], [False]]


@pytest.mark.parametrize("mix", MIXES)
def test_a_lane_walks_each_replay_in_order_and_resets_only_where_it_starts_anew(mix: str) -> None:
    lanes = sampler(mix, "lanes")
    batches = list(lanes.batches(1))
    for lane in range(lanes.num_rows):
        expected = (-1, -1)
        for batch in batches:
            here = (int(batch.track[lane]), int(batch.start[lane]))
            if here[0] >= 0:
                assert here == expected or batch.reset[lane]
            expected = (here[0], here[1] + lanes.window)


def test_lanes_start_staggered() -> None:
    starts = next(sampler("many replays", "lanes").batches(0)).start
    assert len(set(starts.tolist())) == len(starts)


def test_unshuffled_lanes_keep_every_replay_whole_from_its_first_frame() -> None:
    lanes = sampler("one replay much longer than the others", "lanes", is_shuffled=False)
    starts = [
        (int(batch.track[lane]), int(batch.start[lane]))
        for batch in lanes.batches(0)
        for lane in np.flatnonzero(batch.reset & (batch.track >= 0))
    ]
    assert sorted(starts) == [(track, 0) for track in range(5)]
