import numpy as np
import pytest

from dataset.features.align import align
from dataset.features.encoder import perspective
from dataset.stream.bank import Bank
from dataset.stream.lanes import Lanes
from tests.dataset.stream.builders import FALCO, FOX, MIXES, frames_delivered, sample, sampler


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
