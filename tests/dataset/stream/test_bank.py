from dataclasses import replace

import numpy as np
import pytest

from dataset.codecs.registry import get_codec
from dataset.errors import SchemaError
from dataset.features.align import align
from dataset.features.encoder import MIRROR_SIGNS, Encoded, perspective
from dataset.features.layout import FEATURE_ROW, FEATURES
from dataset.stream.bank import BLOCK, NOISY, PLAIN, Augment, Bank
from dataset.stream.window_shards import Packed, pack
from tests.dataset.stream.builders import FALCO, FOX, MEWTWO, sample, sampler

CODEC = get_codec("axis17")
REPLAY = sample("r", 400)
PREVIOUS, TARGET = REPLAY.classes[0].T, REPLAY.classes[1].T


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


def test_a_bank_keeps_replays_packed() -> None:
    still = sample("still", 5000)
    still.encoded.continuous[:] = 1
    still.encoded.indices[:] = 1
    decoded = still.encoded.continuous.nbytes + still.encoded.indices.nbytes + still.classes.nbytes
    assert Bank([still]).size_bytes < decoded / 10


@pytest.mark.parametrize("memory", [1, 10**9])
def test_a_replay_comes_back_whole_from_memory_and_from_the_temporary_file(memory: int) -> None:
    replays = [sample(f"r{i}", 20 + i) for i in range(5)]
    bank = Bank(replays, memory=memory)
    for i in (3, 0, 4, 1, 2):
        back = bank.sample(i)
        assert (back.id, back.characters) == (replays[i].id, replays[i].characters)
        assert np.array_equal(back.encoded.continuous, replays[i].encoded.continuous)
        assert np.array_equal(back.classes, replays[i].classes)


def test_samples_may_come_packed() -> None:
    replays = [sample("a", 20), sample("b", 30, (FOX, MEWTWO))]
    packed, plain = Bank((Packed(*pack(one)) for one in replays), FALCO), Bank(replays, FALCO)
    assert (packed.ids, packed.tracks, packed.size_bytes) == (plain.ids, plain.tracks, plain.size_bytes)


def test_replays_of_different_codecs_do_not_share_a_bank() -> None:
    other = sample("b", 20)
    with pytest.raises(SchemaError, match="replay b: all replays of a bank must have the same 13 components, found 12"):
        Bank([sample("a", 20), replace(other, classes=other.classes[:, :12])])


@pytest.mark.parametrize("augment", [PLAIN, Augment(mirrored_by=get_codec("axis17"), noise_seed=(1,))])
@pytest.mark.parametrize("side", [0, 1])
def test_a_track_is_opened_from_its_players_view_shifted_and_augmented(side: int, augment: Augment) -> None:
    replay = sample("r", BLOCK + 50, (FALCO, FALCO))
    bank = Bank([replay], FALCO)
    rows = bank.open(bank.tracks[side], 2, augment)
    aligned = align(replay.classes[side].T, replay.frames, 2)
    view, previous, target = augment.apply(perspective(replay.encoded, side), aligned.previous, aligned.target)
    assert np.array_equal(rows.continuous, view.continuous.T)
    assert np.array_equal(rows.indices, view.indices.T)
    assert np.array_equal(rows.previous, previous)
    assert np.array_equal(rows.target, target)
    assert np.array_equal(rows.mask, aligned.mask)


def test_the_bytes_that_pad_a_frame_are_zero() -> None:
    bank = Bank([sample("r", BLOCK + 50)], FALCO)
    out = np.full((BLOCK + 50, bank.layout.width), 255, dtype=np.uint8)
    bank.decode(bank.tracks[0], 0, PLAIN, out)
    padding = out[:, bank.layout.parts["target"].stop :]
    assert padding.shape[1] > 0
    assert not padding.any()


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
