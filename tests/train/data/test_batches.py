"""Each flag that decides which frames are seen changes the batches, and nothing else does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dataset.errors import SchemaError
from dataset.features.align import Aligned, Leak, align
from dataset.stream import bank as bank_module
from dataset.stream.bank import Bank
from dataset.stream.sampler import Batch
from dataset.stream.windows import Windows
from tests.train.builders import FALCO, sample, tiny_config
from train.config.resolve import resolve
from train.config.run_config import DataConfig, RunConfig
from train.data.batches import TINY_FRAMES, build_sampler, measure_leak, require_no_leak, to_tensors

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")),
]


@pytest.mark.parametrize("device", DEVICES)
def test_tensors_hold_the_batch_in_its_compact_types(device: str) -> None:
    windows = Windows(Bank([sample("r", 25)], FALCO), rows=2, window=10, delay=(2, 4), burn_in=3)
    for batch in windows.batches(0):
        tensors = to_tensors(batch, torch.device(device))
        for name in ("continuous", "indices", "previous", "target", "mask", "reset", "delay"):
            assert np.array_equal(getattr(tensors, name).cpu().numpy(), getattr(batch, name))
        assert tensors.continuous.dtype == torch.float16
        assert (tensors.indices.element_size(), tensors.previous.element_size()) == (2, 1)
        assert tensors.num_frames == batch.mask.sum()


FLAGS = {"batch_size": 3, "window_size": 16}


def batches(flags: dict[str, Any], *, is_shuffled: bool = True) -> list[Batch]:
    bank = Bank((sample(f"r{i}", 100 + i) for i in range(5)), FALCO)
    return list(build_sampler(bank, resolve(None, FLAGS | flags).config, is_shuffled=is_shuffled).batches(0))


def differing(one: list[Batch], other: list[Batch]) -> set[str]:
    return {
        name
        for name in vars(one[0])
        if name != "frames"
        and (
            len(one) != len(other)
            or not all(np.array_equal(getattr(a, name), getattr(b, name)) for a, b in zip(one, other, strict=True))
        )
    }


@pytest.mark.parametrize("sampling", ["lanes", "windows"])
def test_augment_changes_states_controllers_and_targets_and_no_more(sampling: str) -> None:
    plain, augmented = (batches({"sampling": sampling, "augment": augment}) for augment in (False, True))
    assert differing(plain, augmented) == {"continuous", "previous", "target"}


@pytest.mark.parametrize("sampling", ["lanes", "windows"])
def test_online_robust_draws_delays_and_shifts_controllers_by_them(sampling: str) -> None:
    fixed, robust = (batches({"sampling": sampling} | flags) for flags in ({"delay": 3}, {"online_robust": True}))
    assert differing(fixed, robust) == {"previous", "target", "mask", "delay"}
    assert {int(d) for batch in robust for d in batch.delay[batch.track >= 0]} == {2, 3, 4}


def test_sampling_windows_forgets_and_masks_the_burn_in() -> None:
    windows = batches({"sampling": "windows"})
    assert all(batch.reset.all() for batch in windows)
    assert not any(batch.mask[batch.start > 0, :8].any() for batch in windows)
    assert not all(batch.reset.all() for batch in batches({"sampling": "lanes"}))


def test_supervise_last_predicts_one_frame_of_each_window() -> None:
    assert all((batch.mask.sum(axis=1) <= 1).all() for batch in batches({"sampling": "windows", "supervise": "last"}))


def test_burn_in_decides_from_where_frames_are_predicted() -> None:
    for burn_in in (0, 5):
        found = [b.mask[b.start > 0].any(axis=0) for b in batches({"sampling": "windows", "burn_in": burn_in})]
        first = int(np.any(found, axis=0).argmax())
        assert burn_in <= first <= burn_in + 1  # windows may be a frame shorter than the most that they predict


@pytest.mark.parametrize("sampling", ["lanes", "windows"])
def test_measuring_sees_replays_as_they_were_recorded_at_the_delay_of_play(sampling: str) -> None:
    plain = batches({"sampling": sampling, "delay": 3}, is_shuffled=False)
    robust = batches({"sampling": sampling, "online_robust": True, "augment": True}, is_shuffled=False)
    assert differing(plain, robust) == set()


@pytest.mark.parametrize(
    ("backbone", "flags", "burn_in", "contract"),
    [
        ("gru", {}, 0, "stream"),
        ("gru", {"sampling": "windows"}, 8, "window"),
        ("mlp", {"sampling": "windows"}, 0, "stream"),
        ("gru", {"sampling": "windows", "burn_in": 3}, 3, "window"),
        ("gru", {"sampling": "windows", "supervise": "last"}, 15, "window"),
    ],
)
def test_the_burn_in_and_the_contract_follow_from_the_settings(
    backbone: str, flags: dict[str, Any], burn_in: int, contract: str
) -> None:
    config: RunConfig = resolve(None, FLAGS | {"backbone": backbone} | flags).config
    assert (config.burn_in, config.contract) == (burn_in, contract)


def test_a_run_that_predicts_last_frames_is_measured_on_every_eighth() -> None:
    seen = batches({"sampling": "windows", "supervise": "last"}, is_shuffled=False)
    frames = sorted((int(b.track[i]), int(b.start[i] + t)) for b in seen for i, t in np.argwhere(b.mask))
    assert frames == [(track, row) for track in range(5) for row in range(4, 99 + track, 8)]
    assert sum(int(b.mask.sum()) for b in batches({"sampling": "windows", "supervise": "last"})) == 5 * 99 + 10


def leak_of(delay: int = 0, num_frames: int = 3000) -> Leak:
    bank = Bank([sample(f"r{i}", num_frames, jump_every=20) for i in range(4)], FALCO)
    return measure_leak(bank, tiny_config(data=DataConfig(lanes=3, window_size=16, delay=delay)))


@pytest.mark.parametrize("delay", [0, 1, 5])
def test_aligned_batches_pass_at_any_delay(delay: int) -> None:
    leak = leak_of(delay)
    assert (leak.own_row, leak.row_before) == (1.0, 0.0)
    assert leak.onsets > 400
    assert require_no_leak(leak, 10_000_000) is None


def shifted(rows: int) -> Callable[..., Aligned]:
    def wrong(classes: NDArray[np.uint8], frames: NDArray[np.int32], delay: int) -> Aligned:
        true = align(classes, frames, delay)
        return replace(true, target=np.roll(true.target, rows, axis=0), previous=np.roll(true.previous, rows, axis=0))

    return wrong


@pytest.mark.parametrize("rows", [1, -1])
def test_a_target_one_frame_early_or_late_aborts_training(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(bank_module, "align", shifted(rows))
    leak = leak_of()
    with pytest.raises(SchemaError, match=r"leak check: at least 40 % .* run 'exphil verify'"):
        require_no_leak(leak, 100)


def test_states_of_the_other_player_abort_training(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FEATURES", "_INDICES", "_FLIPS"):
        monkeypatch.setattr(bank_module, name, getattr(bank_module, name)[::-1])
    with pytest.raises(SchemaError, match="leak check"):
        require_no_leak(leak_of(), 100)


def test_too_few_jumps_are_said_on_tiny_data_and_abort_on_plenty() -> None:
    leak = leak_of(num_frames=60)
    assert leak.status == "insufficient"
    assert "too few jumps to tell" in str(require_no_leak(leak, TINY_FRAMES - 1))
    with pytest.raises(SchemaError, match="over 8 jumps"):
        require_no_leak(leak, TINY_FRAMES)
