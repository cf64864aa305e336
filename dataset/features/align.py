"""The same-row contract: which controller is seen and which is predicted at each row, and the leak check that proves it.

Row t holds state t and the controller that produced it. With delay d a policy is given state t and p = controller t+d, the
newest *committed* controller, and predicts controller t+d+1. This shift is written here and nowhere else.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.melee.ids import KNEE_BEND

Bools = NDArray[np.bool_]

MIN_ONSETS = 200
"""Fewer jump onsets than this say nothing about alignment."""


@dataclass(frozen=True)
class Aligned:
    """Controllers as a policy meets them; rows without a target are masked, not dropped."""

    previous: NDArray[np.uint8]
    """[N, K] classes of controller t+d."""
    target: NDArray[np.uint8]
    """[N, K] classes of controller t+d+1."""
    mask: Bools
    """[N] whether row t has a target."""


def align(classes: NDArray[np.uint8], frames: NDArray[np.int32], delay: int) -> Aligned:
    """Shift one replay's controllers onto its states.

    Args:
        classes: [N, K] encoded controllers, row t acted in frame t.
        frames: [N] Slippi frame indices; a row whose target lies across a gap in them is masked.
        delay: frames between seeing and acting, 0 is the very next frame.
    """
    ahead = delay + 1
    mask = np.zeros(len(classes), dtype=np.bool_)
    if ahead < len(classes):
        # Near the end, a row may hit the right frame number across a gap by chance; it still has no p.
        mask[:-ahead] = frames[ahead:] - frames[:-ahead] == ahead
    return Aligned(_later(classes, delay), _later(classes, ahead), mask)


def _later(classes: NDArray[np.uint8], rows: int) -> NDArray[np.uint8]:
    """For each row the one ``rows`` later; past the end, the last one."""
    return np.concatenate([classes[rows:], classes[-1:].repeat(min(rows, len(classes)), axis=0)])


@dataclass(frozen=True)
class Leak:
    """How jumps in the target line up with KNEE_BEND in the states."""

    onsets: int
    own_row: float
    """Share of onsets whose own row (the target's frame) shows KNEE_BEND; about 0.63 on real replays."""
    row_before: float
    """Share whose row one before shows it; about 0.001 on real replays. More means the target leaks into the input."""

    @property
    def status(self) -> str:
        """``ok``, ``failed``, or ``insufficient`` when there are too few onsets."""
        if self.onsets < MIN_ONSETS:
            return "insufficient"
        return "ok" if self.own_row >= 0.40 and self.row_before <= 0.05 else "failed"


def leak_counts(
    action_states: NDArray[np.integer], jump_before: Bools, jump_target: Bools, mask: Bools, delay: int
) -> NDArray[np.int64]:
    """Onsets of X or Y in the target, and how many show KNEE_BEND in their own row and in the row before.

    Args:
        action_states: [N] the player's action states, as the policy's input rows hold them.
        jump_before: [N] whether p holds X or Y.
        jump_target: [N] whether the target does.
        mask: [N] whether the row has a target.
        delay: the delay the rows were aligned with.

    Returns:
        int64 [3]: onsets, own row, row before; sums over replays add up.
    """
    onset = np.flatnonzero(jump_target & ~jump_before & mask)
    onset = onset[onset + delay + 1 < len(action_states)]
    own = action_states[onset + delay + 1] == KNEE_BEND
    before = action_states[onset + delay] == KNEE_BEND
    return np.array([len(onset), own.sum(), before.sum()], dtype=np.int64)


def leak_from_counts(counts: NDArray[np.int64]) -> Leak:
    """The verdict over summed ``leak_counts``."""
    onsets, own, before = (int(n) for n in counts)
    return Leak(onsets, own / max(onsets, 1), before / max(onsets, 1))
