import numpy as np
import pytest
import torch

from dataset.stream import Bank, Lanes
from tests.train.builders import FALCO, sample
from train.batches import ahead, to_tensors


def test_tensors_hold_the_batch_in_its_compact_types() -> None:
    lanes = Lanes(Bank([sample("r", 25)], FALCO), lanes=2, window=10, delay=3)
    for batch in lanes.batches(0):
        tensors = to_tensors(batch, 3, torch.device("cpu"))
        for name in ("continuous", "indices", "previous", "target", "mask", "reset"):
            assert np.array_equal(getattr(tensors, name).numpy(), getattr(batch, name))
        assert tensors.continuous.dtype == torch.float16
        assert (tensors.indices.element_size(), tensors.previous.element_size()) == (2, 1)
        assert tensors.delay.tolist() == [3, 3]
        assert tensors.num_frames == batch.mask.sum()


def test_preparing_ahead_keeps_every_item_and_the_order() -> None:
    assert list(ahead(iter(range(20)))) == list(range(20))
    assert list(ahead(iter([]))) == []


def test_an_error_while_preparing_ahead_reaches_whoever_waits() -> None:
    def items() -> "list[int]":
        raise ValueError("broken shard")

    with pytest.raises(ValueError, match="broken shard"):
        list(ahead(x for x in items()))
