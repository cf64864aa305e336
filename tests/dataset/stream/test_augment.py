import numpy as np

from dataset.codecs.registry import get_codec
from dataset.features.encoder import MIRROR_SIGNS, Encoded
from dataset.features.layout import FEATURE_ROW, FEATURES
from dataset.stream.augment import NOISY, PLAIN, Augment
from tests.dataset.stream.builders import sample, sampler

CODEC = get_codec("axis17")
REPLAY = sample("r", 400)
PREVIOUS, TARGET = REPLAY.classes[0].T, REPLAY.classes[1].T


def test_a_mirror_turns_state_previous_controller_and_target_together_and_twice_is_nothing() -> None:
    augment = Augment(mirrored_by=CODEC)
    encoded, previous, target = augment.apply(REPLAY.encoded, PREVIOUS, TARGET)
    assert np.array_equal(encoded.continuous, REPLAY.encoded.continuous * MIRROR_SIGNS[:, None])
    assert np.array_equal(encoded.indices, REPLAY.encoded.indices)
    assert np.array_equal(previous, CODEC.mirror(PREVIOUS))
    assert np.array_equal(target, CODEC.mirror(TARGET))
    again, previous, target = augment.apply(encoded, previous, target)
    assert np.array_equal(again.continuous, REPLAY.encoded.continuous)
    assert np.array_equal(previous, PREVIOUS)
    assert np.array_equal(target, TARGET)


def test_noise_touches_positions_and_speeds_and_nothing_else() -> None:
    encoded, previous, target = Augment(noise_seed=(3,)).apply(REPLAY.encoded, PREVIOUS, TARGET)
    changed = (encoded.continuous != REPLAY.encoded.continuous).any(axis=1)
    assert np.flatnonzero(changed).tolist() == NOISY.tolist()
    difference = (encoded.continuous.astype(float) - REPLAY.encoded.continuous)[NOISY]
    assert 0.009 < difference.std() < 0.011
    assert np.array_equal(encoded.indices, REPLAY.encoded.indices)
    assert np.array_equal(previous, PREVIOUS)
    assert np.array_equal(target, TARGET)


def test_the_noisy_features_are_these() -> None:
    names = {name.removeprefix("a_").removeprefix("b_") for name in (FEATURES[row].name for row in NOISY)}
    items = {f"item{slot}_{what}" for slot in range(5) for what in ("x", "y", "speed_x", "speed_y")}
    speeds = {"speed_air_x", "speed_y", "speed_attack_x", "speed_attack_y", "speed_ground_x"}
    assert names == {"x", "y", "ledge", "nana_x", "nana_y", "dx", "dy", "distance"} | speeds | items


def test_what_is_absent_stays_absent() -> None:
    absent = Encoded(np.zeros_like(REPLAY.encoded.continuous), REPLAY.encoded.indices)
    encoded, _, _ = Augment(noise_seed=(3,)).apply(absent, PREVIOUS, TARGET)
    assert not encoded.continuous.any()


def test_nothing_is_done_to_the_recording_itself() -> None:
    before = REPLAY.encoded.continuous.copy()
    Augment(mirrored_by=CODEC, noise_seed=(3,)).apply(REPLAY.encoded, PREVIOUS, TARGET)
    assert np.array_equal(REPLAY.encoded.continuous, before)
    assert PLAIN.apply(REPLAY.encoded, PREVIOUS, TARGET)[0] is REPLAY.encoded


def test_augmenting_a_sampler_mirrors_about_half_of_the_tracks_anew_each_epoch() -> None:
    plain, augmented = (sampler("many replays", "windows", augment=codec, rows=10) for codec in (None, CODEC))
    row = FEATURE_ROW["a_on_ground"], FEATURE_ROW["a_facing"]

    def mirrored(epoch: int) -> dict[int, bool]:
        found: dict[int, bool] = {}
        for one, other in zip(plain.batches(epoch), augmented.batches(epoch), strict=True):
            assert np.array_equal(one.continuous[..., row[0]], other.continuous[..., row[0]])
            for place in np.flatnonzero(one.track >= 0):
                facing, own = one.continuous[place, :, row[1]], other.continuous[place, :, row[1]]
                is_mirrored = not np.array_equal(facing, own)
                assert np.array_equal(own, -facing if is_mirrored else facing)
                assert found.setdefault(int(one.track[place]), is_mirrored) == is_mirrored
        return found

    epochs = [mirrored(epoch) for epoch in range(6)]
    assert len({tuple(sorted(epoch.items())) for epoch in epochs}) == 6
    assert 0.3 < np.mean([value for epoch in epochs for value in epoch.values()]) < 0.7
