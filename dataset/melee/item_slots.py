"""Item slots: which of the five an item sits in, decided once for replays and live frames.

An item, recognized by its spawn id, keeps its slot for as long as it lives. New items take the lowest free slots in the order
in which Slippi lists them; one that finds no free slot waits for one. Slots depend on the frames before, so frames must come
in order, and a new game needs a new ``ItemSlots``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset.schema import NUM_ITEM_SLOTS


class ItemSlots:
    """The slots of one game."""

    def __init__(self) -> None:
        self._held: dict[int, int] = {}

    def assign(self, spawn_ids: Sequence[int]) -> list[int]:
        """For each slot, the position in ``spawn_ids`` of the item it holds this frame, or -1."""
        places = [-1] * NUM_ITEM_SLOTS
        held: dict[int, int] = {}
        waiting: dict[int, int] = {}
        for place, spawn_id in enumerate(spawn_ids):
            slot = self._held.get(spawn_id)
            if slot is None:
                waiting[spawn_id] = place
            else:
                places[slot], held[spawn_id] = place, slot
        for spawn_id, place in waiting.items():
            if -1 not in places:
                break
            held[spawn_id] = slot = places.index(-1)
            places[slot] = place
        self._held = held
        return places


EMPTY = -1
"""Stands for the spawn id of no item."""

SpawnIds = NDArray[np.int64]


def assign_games(spawn_ids: SpawnIds, held: SpawnIds) -> tuple[NDArray[np.intp], SpawnIds]:
    """What ``ItemSlots`` decides, for one frame of each of N games at once.

    Args:
        spawn_ids: [N, M] of the items that each game lists, ``EMPTY`` where there is none.
        held: [N, NUM_ITEM_SLOTS] of the items that the slots held in the frame before; all ``EMPTY`` in a game's first.

    Returns:
        For each slot the position in ``spawn_ids`` of the item that it holds, or -1; and ``held`` for the next frame.
    """
    is_listed = spawn_ids != EMPTY
    is_same = (held[:, :, None] == spawn_ids[:, None, :]) & is_listed[:, None, :]
    positions = _positions(is_same)
    is_waiting = is_listed & ~is_same.any(axis=1)
    if is_waiting.any():  # the first that waits takes the first free slot, the second the second, and so on
        is_free = positions < 0
        turns = np.cumsum(is_waiting, axis=1)
        is_taken = np.cumsum(is_free, axis=1)[:, :, None] == turns[:, None, :]
        taken = _positions(is_taken & is_waiting[:, None, :])
        positions = np.where(is_free, taken, positions)
    return positions, np.where(positions < 0, EMPTY, np.take_along_axis(spawn_ids, positions, axis=1))


def _positions(is_there: NDArray[np.bool_]) -> NDArray[np.intp]:
    """[N, slots] where the one that is true stands in the last axis, or -1."""
    return np.where(is_there.any(axis=2), is_there.argmax(axis=2), -1)


class Held(NamedTuple):
    """Every cell of a replay's slots that holds an item."""

    rows: NDArray[np.int64]
    slots: NDArray[np.int64]
    positions: NDArray[np.int64]
    """Where the item stands in ``spawn_ids``."""


def assign_slots(spawn_ids: NDArray[np.uint32], offsets: NDArray[np.int64]) -> Held:
    """Slots of a whole replay at once: runs ``ItemSlots`` only where the list of items changes.

    Args:
        spawn_ids: [M] spawn ids of all frames' items, one frame after the other.
        offsets: [N + 1] where each frame's items begin in ``spawn_ids``.
    """
    slots, ids = ItemSlots(), spawn_ids.tolist()
    starts = _starts_of_runs(spawn_ids, offsets)
    begins, ends = offsets[starts].tolist(), offsets[starts + 1].tolist()
    places = [slots.assign(ids[begin:end]) for begin, end in zip(begins, ends, strict=True)]
    in_frame = np.array(places, dtype=np.int64).reshape(-1, NUM_ITEM_SLOTS)
    run, slot = np.nonzero(in_frame >= 0)
    lengths = np.diff(np.append(starts, len(offsets) - 1))[run]
    before = np.cumsum(lengths) - lengths
    rows = np.arange(lengths.sum()) + np.repeat(starts[run] - before, lengths)
    return Held(rows, np.repeat(slot, lengths), offsets[rows] + np.repeat(in_frame[run, slot], lengths))


def _starts_of_runs(spawn_ids: NDArray[np.uint32], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """First rows of the runs of consecutive frames that list the same items in the same order."""
    counts = np.diff(offsets)
    is_new = np.ones(len(counts), dtype=np.bool_)
    is_new[1:] = counts[1:] != counts[:-1]
    # Each item is compared with the one as many places before as its frame has items. If the frame before has as many, that is
    # the item in the same place of its list; if not, the frame starts a run anyway.
    counterparts = np.arange(len(spawn_ids)) - np.repeat(counts, counts)
    differing = np.flatnonzero(spawn_ids != spawn_ids[counterparts])
    is_new[np.searchsorted(offsets, differing, side="right") - 1] = True
    return np.flatnonzero(is_new)
