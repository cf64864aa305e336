"""Lanes: each row of a batch walks one replay in the order in which it was played, every imitated frame once an epoch.

Row b of every batch is lane b, T frames further, so that a policy's state is carried from batch to batch. The surprise:
lanes are filled edge to edge, so most begin inside a replay; such a row has ``reset`` set like any other start and its policy
begins there from its initial state. The tail of a replay is padded and masked, never dropped.

Legend: T frames in the window.
"""

import numpy as np

from dataset.stream.plan import Plan, Segment, plan_evenly, plan_whole
from dataset.stream.sampler import ORDER, Cut, Ints, Sampler

BLOCK = 16
"""Steps for which tracks are decoded together: few, so that no step waits long for its tracks."""


class Lanes(Sampler):
    """Batches of one bank; see ``Sampler`` for the arguments."""

    def plan(self, epoch: int) -> Plan:
        """What each lane walks: all windows evenly on all lanes, or every replay whole on one."""
        tracks = self.bank.tracks
        lengths = [-(-track.num_frames // self.window) for track in tracks]
        if not self.is_shuffled:
            return plan_whole(lengths, self.rows)
        order = self.random(epoch, ORDER).permutation(len(self.bank.ids)).tolist()
        return plan_evenly(lengths, [track.replay for track in tracks], order, self.rows)

    def cut(self, segment: Segment, epoch: int) -> Cut:
        """Window w holds frames w·T … (w + 1)·T − 1."""
        number = np.arange(segment.num_windows)
        return Cut((segment.first + number) * self.window, None, number == 0)

    def block_size(self, plan: Plan) -> int:
        """The same for every plan."""
        return BLOCK

    def order(self, plan: Plan, epoch: int, first: int, last: int) -> Ints:
        """One after the other."""
        return np.arange(first, last)
