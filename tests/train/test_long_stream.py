"""Half an hour of frames through an exported graph: its state stays finite, and what PyTorch's windows give.

Rotary positions repeat every 4 096 frames, rings wrap every window, and a state-space state is never reset in a game: what
drifts does so only over streams that no other test is long enough for.
"""

import numpy as np
import pytest
import torch

from tests.train.builders import tiny_policy_config
from tests.train.export.test_export import trained_looking
from train.export.export import export_front, one_thread_session, random_frame
from train.export.folded_step import leaves_of
from train.policy.config import BACKBONES

FRAMES = 30 * 60 * 60
WINDOW = 1000
"""Frames that PyTorch is given at once; also how many different ones there are."""
TOLERANCE = 1e-4
"""Against 1 or the largest, whichever is more: twenty times that of the 600 frames that every export is checked over."""


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_half_an_hour_of_frames_gives_what_windows_give(backbone: str) -> None:
    policy, generator = trained_looking(tiny_policy_config(backbone=backbone)), torch.Generator().manual_seed(0)
    session = one_thread_session(export_front(policy).SerializeToString())
    frames = [random_frame(policy, generator, delay=2) for _ in range(WINDOW)]
    names = ("continuous", "indices", "previous", "delay")
    feeds = [{name: frame[name] for name in names} for frame in frames]
    window = [torch.from_numpy(np.stack([frame[name] for frame in frames], axis=1)) for name in names]
    state = policy.initial_state(1)
    carried = {f"state_{i}": leaf.numpy() for i, leaf in enumerate(leaves_of(state))}
    outputs = ["hidden_units", *(f"next_{name}" for name in carried)]
    with torch.no_grad():
        x, _ = policy.embed(*window)
        for start in range(0, FRAMES, WINDOW):
            y, state = policy.backbone(x, state)
            wanted = policy.head.hidden(y)[0].numpy()
            for t, feed in enumerate(feeds):
                hidden, *after = session.run(outputs, {**feed, **carried})
                carried = dict(zip(carried, after, strict=True))
                assert np.abs(hidden - wanted[t]).max() <= TOLERANCE * max(1.0, np.abs(wanted[t]).max()), start + t
            for ours, theirs in zip(carried.values(), leaves_of(state), strict=True):
                assert np.isfinite(ours).all()
                assert np.abs(ours - theirs.numpy()).max(initial=0) <= TOLERANCE * max(1.0, float(theirs.abs().max()))
