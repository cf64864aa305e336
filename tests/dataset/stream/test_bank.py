from dataclasses import replace

import numpy as np
import pytest

from dataset.codecs.registry import get_codec
from dataset.errors import SchemaError
from dataset.features.align import align
from dataset.features.encoder import perspective
from dataset.stream.augment import PLAIN, Augment
from dataset.stream.bank import Bank
from dataset.stream.decode import BLOCK
from dataset.stream.window_shards import Packed, pack
from tests.dataset.stream.builders import FALCO, FOX, MEWTWO, sample


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
