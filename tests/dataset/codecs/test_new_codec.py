"""A newcomer adds a codec with one file (here: the class below) and one line (here: an entry of ``CODECS``)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dataset.codecs.base import Codec
from dataset.codecs.registry import CODECS, get_codec
from dataset.melee.controller import Classes, Controllers, X, Y, controller_floats
from dataset.store.manifest import Manifest
from dataset.store.reencode import encode_windows
from dataset.verify.verify import verify


@dataclass(frozen=True)
class ThreeWay:
    """The main stick to the left, in the middle or to the right, and a jump with X or Y."""

    name: str = "three-way"
    components: tuple[tuple[str, int], ...] = (("direction", 3), ("jump", 2))
    digest: str = "3" * 16

    def encode(self, controllers: Controllers) -> Classes:
        direction = np.sign(controllers[..., 0]) * (np.abs(controllers[..., 0]) > 40) + 1
        return np.stack([direction, (controllers[..., 5] & (X | Y)) != 0], axis=-1).astype(np.uint8)

    def decode(self, classes: Classes) -> Controllers:
        out = np.zeros((*classes.shape[:-1], 6), dtype=np.int32)
        out[..., 0] = 80 * (classes[..., 0].astype(np.int32) - 1)
        out[..., 5] = np.where(classes[..., 1], X, 0)
        return out

    def mirror(self, classes: Classes) -> Classes:
        return np.stack([2 - classes[..., 0], classes[..., 1]], axis=-1)


@pytest.fixture
def codec(monkeypatch: pytest.MonkeyPatch) -> Codec:
    monkeypatch.setitem(CODECS, "three-way", ThreeWay())
    return get_codec("three-way")


def test_a_store_is_encoded_with_a_new_codec_and_verified(codec: Codec, store: Path) -> None:
    encode_windows(store, codec.name)
    assert Manifest.load(store).codec_digest == codec.digest
    assert verify(store).ok


def test_a_policy_predicts_and_decodes_a_new_codec(codec: Codec) -> None:
    import torch

    from train.policy.embed import ControllerFloats
    from train.policy.policy import Head

    classes = torch.tensor([[2, 1]])
    logits = Head(codec, 8, is_autoregressive=True)(torch.zeros(1, 8 + 5), classes)
    assert logits.shape == (1, 5)
    floats = ControllerFloats(codec)(classes)
    assert floats.tolist() == controller_floats(codec.decode(classes.numpy().astype(np.uint8))).tolist()
