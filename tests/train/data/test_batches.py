import numpy as np
import pytest
import torch

from dataset.stream.bank import Bank
from dataset.stream.windows import Windows
from tests.train.builders import FALCO, sample
from train.data.batches import to_tensors

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
