from collections import Counter

import numpy as np
import pytest

from dataset.align import align
from dataset.encode import FEATURES, INDICES, Encoded, perspective
from dataset.errors import ConfigError
from dataset.shards import Sample
from dataset.stream import Bank, Batch, Lanes

FALCO, FOX, MEWTWO = 22, 1, 16
COMPONENTS = 13


def sample(name: str, num_frames: int, characters: tuple[int, int] = (FALCO, FOX)) -> Sample:
    random = np.random.default_rng([num_frames, *name.encode()])
    return Sample(
        id=name,
        ports=(1, 2),
        characters=characters,
        stage=0,
        frames=np.arange(num_frames, dtype=np.int32) - 123,
        encoded=Encoded(
            random.normal(size=(len(FEATURES), num_frames)).astype(np.float16),
            np.stack([random.integers(0, size, num_frames) for _, size in INDICES]).astype(np.uint16),
        ),
        classes=random.integers(0, 2, (2, COMPONENTS, num_frames)).astype(np.uint8),
    )


def frames_walked(batches: list[Batch]) -> Counter[tuple[int, int]]:
    """How often each (track, row) was delivered."""
    return Counter(
        (int(track), int(start) + i)
        for batch in batches
        for track, start, length in zip(batch.track, batch.start, batch.length, strict=True)
        for i in range(length)
    )


def equal(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one))


MIXES = {
    "many replays": ([301, 77, 450, 129, 64, 333, 210, 65, 512, 1], FALCO, 3),
    "dittos and all players": ([301, 77, 450, 129], None, 2),
    "fewer replays than lanes": ([700, 300], FALCO, 8),
    "one replay much longer than the others": ([2000, 70, 80, 90, 100], FALCO, 3),
}


def mix(name: str, *, window: int = 16, delay: int = 0, is_shuffled: bool = True) -> Lanes:
    lengths, character, lanes = MIXES[name]
    bank = Bank((sample(f"r{i}", length) for i, length in enumerate(lengths)), character)
    return Lanes(bank, lanes=lanes, window=window, delay=delay, seed=5, is_shuffled=is_shuffled)


@pytest.mark.parametrize("is_shuffled", [True, False])
@pytest.mark.parametrize("name", MIXES)
def test_an_epoch_is_each_frame_of_each_imitated_player_exactly_once(name: str, is_shuffled: bool) -> None:
    lanes = mix(name, is_shuffled=is_shuffled)
    expected = {(i, row): 1 for i, track in enumerate(lanes.bank.tracks) for row in range(track.num_frames)}
    for epoch in range(2):
        assert frames_walked(list(lanes.batches(epoch))) == expected


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize("side", [0, 1])
def test_a_lane_delivers_the_players_view_aligned_by_the_delay(side: int, delay: int) -> None:
    replay = sample("r", 100, (FALCO, FOX) if side == 0 else (FOX, FALCO))
    lanes = Lanes(Bank([replay], FALCO), lanes=1, window=32, delay=delay)
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


@pytest.mark.parametrize("name", MIXES)
def test_a_lane_walks_each_replay_in_order_and_resets_only_where_it_starts_anew(name: str) -> None:
    lanes = mix(name)
    batches = list(lanes.batches(1))
    for lane in range(lanes.lanes):
        expected = (-1, -1)
        for batch in batches:
            here = (int(batch.track[lane]), int(batch.start[lane]))
            if here[0] >= 0:
                assert here == expected or batch.reset[lane]
            expected = (here[0], here[1] + lanes.window)


@pytest.mark.parametrize("name", MIXES)
def test_no_replay_is_in_a_batch_twice_unless_fewer_replays_than_lanes_have_frames_left(name: str) -> None:
    lanes = mix(name)
    tracks = lanes.bank.tracks
    for epoch in range(5):
        batches = list(lanes.batches(epoch))
        for step, batch in enumerate(batches):
            replays = [tracks[track].replay for track in batch.track if track >= 0]
            left = {tracks[track].replay for later in batches[step:] for track in later.track if track >= 0}
            assert len(set(replays)) == len(replays) or len(left) < lanes.lanes


@pytest.mark.parametrize("name", MIXES)
def test_shuffled_lanes_are_all_busy_until_the_last_step(name: str) -> None:
    lanes = mix(name)
    for batch in list(lanes.batches(0))[:-1]:
        assert (batch.track >= 0).all()


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def tracks(seed: int, epoch: int) -> list[list[int]]:
        bank = Bank((sample(f"r{i}", 50 + i) for i in range(9)), FALCO)
        lanes = Lanes(bank, lanes=2, window=10, delay=0, seed=seed)
        return [batch.track.tolist() for batch in lanes.batches(epoch)]

    assert tracks(1, 0) == tracks(1, 0)
    assert tracks(1, 0) != tracks(1, 1)
    assert tracks(1, 0) != tracks(2, 0)


@pytest.mark.parametrize("is_shuffled", [True, False])
def test_a_cursor_of_epoch_and_step_resumes_exactly(is_shuffled: bool) -> None:
    lanes = mix("many replays", is_shuffled=is_shuffled)
    whole = list(lanes.batches(3))
    for step in range(len(whole)):
        rest = list(mix("many replays", is_shuffled=is_shuffled).batches(3, first_step=step))
        assert len(rest) == len(whole) - step
        assert all(equal(a, b) for a, b in zip(rest, whole[step:], strict=True))


@pytest.mark.parametrize("name", MIXES)
def test_every_epoch_has_equally_many_steps(name: str) -> None:
    lanes = mix(name)
    assert [len(list(lanes.batches(epoch))) for epoch in range(3)] == [lanes.num_steps(0)] * 3


def test_a_character_is_imitated_on_any_port_and_nobody_in_its_place() -> None:
    replays = [
        sample("left", 10, (FALCO, FOX)),
        sample("right", 11, (FOX, FALCO)),
        sample("ditto", 12, (FALCO, FALCO)),
        sample("neither", 13, (FOX, MEWTWO)),
    ]
    falco, everyone = Bank(replays, FALCO), Bank(replays)
    found = [(falco.ids[track.replay], track.side, track.num_frames) for track in falco.tracks]
    assert found == [("left", 0, 10), ("right", 1, 11), ("ditto", 0, 12), ("ditto", 1, 12)]
    assert (falco.num_frames, falco.ids) == (45, ["left", "right", "ditto"])
    assert [(everyone.ids[t.replay], t.side) for t in everyone.tracks] == [
        (replay.id, side) for replay in replays for side in (0, 1)
    ]
    with pytest.raises(ConfigError, match="needs replays with mewtwo, found none"):
        Lanes(Bank(replays[:3], MEWTWO), lanes=1, window=4, delay=0)


def test_unshuffled_lanes_keep_every_replay_whole_from_its_first_frame() -> None:
    lanes = mix("one replay much longer than the others", is_shuffled=False)
    starts = [
        (int(batch.track[lane]), int(batch.start[lane]))
        for batch in lanes.batches(0)
        for lane in np.flatnonzero(batch.reset & (batch.track >= 0))
    ]
    assert sorted(starts) == [(track, 0) for track in range(5)]


def test_a_bank_keeps_replays_packed() -> None:
    still = sample("still", 5000)
    still.encoded.continuous[:] = 1
    still.encoded.indices[:] = 1
    decoded = still.encoded.continuous.nbytes + still.encoded.indices.nbytes + still.classes.nbytes
    assert Bank([still]).size_bytes < decoded / 10
