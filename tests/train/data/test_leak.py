from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.errors import SchemaError
from dataset.features.align import Aligned, align
from dataset.stream import bank as bank_module
from dataset.stream.bank import Bank
from dataset.stream.sampler import Lanes
from tests.train.builders import CODEC, FALCO, sample
from train.data.leak import TINY_FRAMES, measure_leak, require_no_leak


def lanes(delay: int = 0, num_frames: int = 3000) -> Lanes:
    bank = Bank([sample(f"r{i}", num_frames, jump_every=20) for i in range(4)], FALCO)
    return Lanes(bank, rows=3, window=16, delay=delay)


@pytest.mark.parametrize("delay", [0, 1, 5])
def test_aligned_batches_pass_at_any_delay(delay: int) -> None:
    leak = measure_leak(lanes(delay), CODEC)
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
    leak = measure_leak(lanes(), CODEC)
    with pytest.raises(SchemaError, match=r"leak check: at least 40 % .* run 'exphil verify'"):
        require_no_leak(leak, 100)


def test_states_of_the_other_player_abort_training(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FEATURES", "_INDICES", "_FLIPS"):
        monkeypatch.setattr(bank_module, name, getattr(bank_module, name)[::-1])
    with pytest.raises(SchemaError, match="leak check"):
        require_no_leak(measure_leak(lanes(), CODEC), 100)


def test_too_few_jumps_are_said_on_tiny_data_and_abort_on_plenty() -> None:
    leak = measure_leak(lanes(num_frames=60), CODEC)
    assert leak.status == "insufficient"
    assert "too few jumps to tell" in str(require_no_leak(leak, TINY_FRAMES - 1))
    with pytest.raises(SchemaError, match="over 8 jumps"):
        require_no_leak(leak, TINY_FRAMES)
