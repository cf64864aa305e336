import numpy as np
import pytest

from dataset.errors import ConfigError
from dataset.stream.bank import Bank
from dataset.stream.windows import Windows
from tests.dataset.stream.builders import FALCO, MIXES, sample, sampler


@pytest.mark.parametrize("burn_in", [0, 4, 15])
@pytest.mark.parametrize("mix", MIXES)
def test_a_frame_is_predicted_after_the_burn_in_or_from_the_replays_first_frame(mix: str, burn_in: int) -> None:
    windows = sampler(mix, "windows", burn_in=burn_in)
    for batch in windows.batches(0):
        for row in np.flatnonzero(batch.start > 0):
            assert not batch.mask[row, :burn_in].any()


@pytest.mark.parametrize("mix", MIXES)
def test_every_window_starts_from_the_initial_state(mix: str) -> None:
    assert all(batch.reset.all() for batch in sampler(mix, "windows").batches(0))


def test_predicting_the_last_frame_is_a_burn_in_of_all_others() -> None:
    windows = Windows(Bank([sample("r", 100)], FALCO), rows=4, window=16, delay=0, burn_in=15)
    for batch in windows.batches(0):
        assert (batch.mask.sum(axis=1) <= 1).all()
        assert (batch.mask[batch.start > 0].argmax(axis=1) == 15).sum() >= (batch.start > 0).sum() - 1


def test_windows_hold_what_the_track_holds() -> None:
    windows = sampler("many replays", "windows")
    tracks = [windows.bank.open(track, 0) for track in windows.bank.tracks]
    for batch in windows.batches(0):
        for row in np.flatnonzero(batch.track >= 0):
            own, start = int(batch.length[row]), int(batch.start[row])
            for name in ("continuous", "indices", "previous", "target"):
                expected = getattr(tracks[batch.track[row]], name)[start : start + own]
                assert np.array_equal(getattr(batch, name)[row, :own], expected)
                assert not getattr(batch, name)[row, own:].any()


def test_over_many_epochs_windows_start_anywhere() -> None:
    windows = Windows(Bank([sample("r", 64)], FALCO), rows=4, window=8, delay=0)
    starts = {int(start) for epoch in range(200) for batch in windows.batches(epoch) for start in batch.start}
    assert starts == set(range(64 - 8 + 1))


def test_within_its_memory_the_whole_bank_is_shuffled_together() -> None:
    windows = sampler("many replays", "windows", burn_in=15)
    order = np.concatenate([batch.start + 1000 * batch.track for batch in windows.batches(0)])
    halves = [{int(n) // 1000 for n in half} for half in np.array_split(order, 2)]
    assert halves[0] | {9} == halves[1] | {9} == set(range(10))  # replay 9 has but one window


def test_a_burn_in_that_leaves_nothing_to_predict_is_refused() -> None:
    with pytest.raises(ConfigError, match="--burn-in: must leave at least one frame of the window of 16, found 16"):
        sampler("many replays", "windows", burn_in=16)


def test_thinned_windows_predict_each_nth_frame_from_its_full_past() -> None:
    bank = Bank([sample("r", 100), sample("s", 37), sample("short", 3)], FALCO)
    windows = Windows(bank, rows=4, window=16, delay=0, burn_in=15, is_shuffled=False, every=8)
    predicted: dict[int, list[int]] = {}
    for batch in windows.batches(0):
        for row, place in np.argwhere(batch.mask):
            assert place == 15 or batch.start[row] == 0
            predicted.setdefault(int(batch.track[row]), []).append(int(batch.start[row] + place))
    assert {track: sorted(rows) for track, rows in predicted.items()} == {
        0: list(range(4, 99, 8)),  # the last frame has no next controller to predict
        1: list(range(4, 36, 8)),
    }


@pytest.mark.parametrize("changes", [{"is_shuffled": True}, {"burn_in": 8}])
def test_only_measuring_windows_of_one_frame_are_thinned(changes: dict[str, int]) -> None:
    given = {"rows": 4, "window": 16, "delay": 0, "burn_in": 15, "is_shuffled": False, "every": 8, **changes}
    with pytest.raises(ConfigError, match="every 8: thins only windows that are in order and predict one frame each"):
        Windows(Bank([sample("r", 100)], FALCO), **given)
