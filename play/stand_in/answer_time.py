"""How long frames of a stand-in waited for their answer, seen from the stand-in: from a frame's packet to its FLUSH."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from play.stand_in.stand_in import NEVER, PIPE, Report


def answer_ms(seen: Report, answered: Sequence[int], *, is_lock_step: bool) -> tuple[float, float] | None:
    """p50 and p99 of the time from a frame leaving the stand-in to the FLUSH of the agent's pad that answers it arriving there.

    Args:
        seen: the stand-in's report.
        answered: frames in the order in which they were answered.
        is_lock_step: whether every FLUSH answers the frame sent last. At the game's pace the first one opens the stream,
            and each later one answers the next of ``answered``, however late it comes.
    """
    is_own = seen.port == PIPE
    flushed = seen.flush_s[is_own]
    if is_lock_step:
        newest = np.searchsorted(seen.sent_s, flushed, side="right") - 1
        is_answer = (newest >= 0) & (seen.poll_frame[is_own] != NEVER)
        waited: Any = flushed[is_answer] - seen.sent_s[newest[is_answer]]
    else:
        frames, first_copy = np.unique(seen.frames, return_index=True)
        flushed = flushed[1:][: len(answered)]
        sent = seen.sent_s[first_copy[np.searchsorted(frames, answered[: len(flushed)])]]
        waited = flushed - sent
    return (float(np.percentile(waited, 50) * 1e3), float(np.percentile(waited, 99) * 1e3)) if len(waited) else None
