import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.melee.item_slots import EMPTY, ItemSlots, assign_games, assign_slots

GAMES = st.lists(st.lists(st.integers(0, 9), max_size=8, unique=True), max_size=30)


def _columns(frames: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    spawn_ids = np.array([spawn_id for frame in frames for spawn_id in frame], dtype=np.uint32)
    offsets = np.cumsum([0, *(len(frame) for frame in frames)]).astype(np.int64)
    return spawn_ids, offsets


def _cells(spawn_ids: np.ndarray, offsets: np.ndarray) -> list[list[int]]:
    """The position in every slot, frame by frame, -1 where it is empty, through ``assign_slots``."""
    cells = np.full((len(offsets) - 1, 5), -1)
    rows, slots, positions = assign_slots(spawn_ids, offsets)
    assert len(set(zip(rows.tolist(), slots.tolist(), strict=True))) == len(positions)
    cells[rows, slots] = positions
    return cells.tolist()


def _slots(frames: list[list[int]]) -> list[list[int | None]]:
    """The spawn id in every slot, frame by frame."""
    spawn_ids, offsets = _columns(frames)
    rows = _cells(spawn_ids, offsets)
    return [[None if position < 0 else int(spawn_ids[position]) for position in row] for row in rows]


def test_an_item_keeps_its_slot_and_a_new_one_takes_the_lowest_free() -> None:
    assert _slots([[7], [7, 8], [8], [9, 8], []]) == [
        [7, None, None, None, None],
        [7, 8, None, None, None],
        [None, 8, None, None, None],
        [9, 8, None, None, None],
        [None] * 5,
    ]


def test_the_order_of_the_list_does_not_move_a_held_item() -> None:
    assert _slots([[1, 2, 3], [3, 1, 2]]) == [[1, 2, 3, None, None]] * 2


def test_a_sixth_item_waits_for_a_slot_and_then_takes_it() -> None:
    assert _slots([[1, 2, 3, 4, 5, 6, 7], [1, 2, 4, 5, 6, 7], [1, 2, 4, 5, 6, 7]]) == [
        [1, 2, 3, 4, 5],
        [1, 2, 6, 4, 5],
        [1, 2, 6, 4, 5],
    ]


def test_positions_count_through_the_whole_replay() -> None:
    spawn_ids, offsets = _columns([[5], [], [5, 6]])
    assert _cells(spawn_ids, offsets) == [[0, -1, -1, -1, -1], [-1] * 5, [1, 2, -1, -1, -1]]


@settings(max_examples=150, deadline=None)
@given(GAMES)
def test_a_whole_replay_equals_frame_by_frame(frames: list[list[int]]) -> None:
    spawn_ids, offsets = _columns(frames)
    live = ItemSlots()
    by_frame = [live.assign(frame) for frame in frames]
    expected = [[p if p < 0 else p + int(o) for p in row] for row, o in zip(by_frame, offsets[:-1], strict=True)]
    assert _cells(spawn_ids, offsets) == expected


@settings(max_examples=100, deadline=None)
@given(GAMES)
def test_slots_hold_each_item_once_and_lose_none_while_there_is_room(frames: list[list[int]]) -> None:
    before: list[int | None] = [None] * 5
    for frame, held in zip(frames, _slots(frames), strict=True):
        shown = [spawn_id for spawn_id in held if spawn_id is not None]
        assert len(set(shown)) == len(shown) == min(len(frame), 5)
        assert all(now == then for now, then in zip(held, before, strict=True) if then in frame)
        before = held


@settings(max_examples=60, deadline=None)
@given(st.lists(GAMES, min_size=1, max_size=4))
def test_many_games_at_once_equal_each_alone(games: list[list[list[int]]]) -> None:
    alone = [ItemSlots() for _ in games]
    held = np.full((len(games), 5), EMPTY)
    for frame in range(max(map(len, games))):
        lists = [game[frame] if frame < len(game) else [] for game in games]
        listed = np.array([[*spawn_ids, *[EMPTY] * (8 - len(spawn_ids))] for spawn_ids in lists])
        positions, held = assign_games(listed, held)
        assert positions.tolist() == [slots.assign(ids) for slots, ids in zip(alone, lists, strict=True)]
