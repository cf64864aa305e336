"""Item slots: which of the five an item sits in, decided once for replays and live frames.

An item keeps its slot for as long as it lives, known by its spawn id. New items take the lowest free slots in the order in
which Slippi lists them; one that finds no free slot waits for one. The surprise: assignment has memory, so frames must come
in order, and a new game needs a new ``ItemSlots``.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dataset.schema import NUM_ITEM_SLOTS


class ItemSlots:
    """The slots of one game."""

    def __init__(self) -> None:
        self._held: list[int | None] = [None] * NUM_ITEM_SLOTS

    def assign(self, spawn_ids: Sequence[int]) -> list[int]:
        """For each slot, the position in ``spawn_ids`` of the item it holds this frame, or -1."""
        position = {spawn_id: i for i, spawn_id in enumerate(spawn_ids)}
        self._held = [held if held in position else None for held in self._held]
        num_held = NUM_ITEM_SLOTS - self._held.count(None)
        if num_held < min(len(position), NUM_ITEM_SLOTS):
            waiting = [spawn_id for spawn_id in position if spawn_id not in self._held]
            for slot, held in enumerate(self._held):
                if held is None and waiting:
                    self._held[slot] = waiting.pop(0)
        return [-1 if held is None else position[held] for held in self._held]


def assign_slots(spawn_ids: NDArray[np.uint32], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Slots of a whole replay at once: runs ``ItemSlots`` only where the list of items changes.

    Args:
        spawn_ids: [M] spawn ids of all frames' items, one frame after the other.
        offsets: [N + 1] where each frame's items begin in ``spawn_ids``.

    Returns:
        [N, NUM_ITEM_SLOTS] positions in ``spawn_ids``, -1 for an empty slot.
    """
    counts = np.diff(offsets)
    slots = ItemSlots()
    starts = _starts_of_runs(spawn_ids, offsets, counts)
    begins, ends = offsets[starts].tolist(), offsets[starts + 1].tolist()
    ids = spawn_ids.tolist()
    held = [slots.assign(ids[begin:end]) for begin, end in zip(begins, ends, strict=True)]
    lengths = np.diff(np.append(starts, len(counts)))
    rows = np.repeat(np.array(held, dtype=np.int64).reshape(-1, NUM_ITEM_SLOTS), lengths, axis=0)
    return np.where(rows >= 0, rows + offsets[:-1, None], -1)


def _starts_of_runs(
    spawn_ids: NDArray[np.uint32], offsets: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """First rows of the runs of consecutive frames that list the same items in the same order."""
    is_new = np.ones(len(counts), dtype=np.bool_)
    is_new[1:] = counts[1:] != counts[:-1]
    frame_of_item = np.repeat(np.arange(len(counts)), counts)
    same_length = frame_of_item[~is_new[frame_of_item]]
    items = np.flatnonzero(~is_new[frame_of_item])
    differs = spawn_ids[items] != spawn_ids[items - counts[same_length]]
    is_new[same_length[differs]] = True
    return np.flatnonzero(is_new)
