import numpy as np
import pytest

from dataset.features.align import MIN_ONSETS, Leak, align, leak_counts, leak_from_counts
from dataset.melee.ids import KNEE_BEND

CONTROLLERS = np.array([[10], [11], [12], [13], [14]], dtype=np.uint8)
FRAMES = np.arange(-123, -118, dtype=np.int32)


def _table(controllers: np.ndarray, frames: np.ndarray, delay: int) -> list[tuple[int, int] | None]:
    """(p, target) of every row, ``None`` where the row is masked."""
    aligned = align(controllers, frames, delay)
    rows = zip(aligned.previous[:, 0].tolist(), aligned.target[:, 0].tolist(), aligned.mask.tolist(), strict=True)
    return [(previous, target) if has_target else None for previous, target, has_target in rows]


@pytest.mark.parametrize(
    ("delay", "table"),
    [
        (0, [(10, 11), (11, 12), (12, 13), (13, 14), None]),
        (1, [(11, 12), (12, 13), (13, 14), None, None]),
        (3, [(13, 14), None, None, None, None]),
        (4, [None] * 5),
        (9, [None] * 5),
    ],
)
def test_a_row_sees_controller_t_plus_d_and_predicts_the_next(delay: int, table: list[tuple[int, int] | None]) -> None:
    assert _table(CONTROLLERS, FRAMES, delay) == table


@pytest.mark.parametrize(
    ("delay", "table"),
    [
        (0, [(10, 11), (11, 12), None, (13, 14), None]),
        (1, [(11, 12), None, None, None, None]),
        (2, [None, None, None, None, None]),
    ],
)
def test_rows_whose_target_lies_across_a_gap_are_masked(delay: int, table: list[tuple[int, int] | None]) -> None:
    frames = np.array([0, 1, 2, 4, 5], dtype=np.int32)
    assert _table(CONTROLLERS, frames, delay) == table


def test_a_gap_near_the_end_does_not_make_the_last_row_its_own_neighbour() -> None:
    frames = np.array([0, 1, 2, 3, 5], dtype=np.int32)
    assert _table(CONTROLLERS, frames, 1) == [(11, 12), (12, 13), None, None, None]


@pytest.mark.parametrize("num_rows", [0, 1])
def test_a_replay_too_short_for_a_target_is_all_masked(num_rows: int) -> None:
    assert _table(CONTROLLERS[:num_rows], FRAMES[:num_rows], 0) == [None] * num_rows


def test_masked_rows_are_kept() -> None:
    aligned = align(CONTROLLERS, FRAMES, 2)
    assert (aligned.previous.shape, aligned.target.shape, aligned.mask.shape) == ((5, 1), (5, 1), (5,))


NUM_JUMPS = 300


def _jumps() -> tuple[np.ndarray, np.ndarray]:
    """(jump held [N, 1], action states [N]): a jump every ten frames; two in three show KNEE_BEND at once, one later."""
    pressed = np.zeros((10 * NUM_JUMPS, 1), dtype=np.uint8)
    states = np.full(len(pressed), 14)
    for jump in range(NUM_JUMPS):
        pressed[10 * jump + 5 : 10 * jump + 8] = 1
        states[10 * jump + 5 + (jump % 3 == 0) : 10 * jump + 9] = KNEE_BEND
    return pressed, states


def _leak(pressed: np.ndarray, states: np.ndarray, delay: int, target_shift: int = 0) -> Leak:
    aligned = align(pressed, np.arange(len(pressed), dtype=np.int32), delay)
    target = np.roll(aligned.target, -target_shift, axis=0)
    previous = np.roll(aligned.previous, -target_shift, axis=0)
    return leak_from_counts(leak_counts(states, previous[:, 0] > 0, target[:, 0] > 0, aligned.mask, delay))


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_aligned_rows_pass_at_every_delay(delay: int) -> None:
    assert _leak(*_jumps(), delay) == Leak(NUM_JUMPS, 200 / 300, 0.0)
    assert _leak(*_jumps(), delay).status == "ok"


def test_a_same_row_target_leaks() -> None:
    leak = _leak(*_jumps(), 0, target_shift=-1)
    assert (leak.row_before, leak.status) == (200 / 300, "failed")


def test_a_target_one_frame_late_fails_too() -> None:
    leak = _leak(*_jumps(), 0, target_shift=1)
    assert (leak.own_row, leak.row_before, leak.status) == (0.0, 0.0, "failed")


@pytest.mark.parametrize(("onsets", "status"), [(MIN_ONSETS - 1, "insufficient"), (MIN_ONSETS, "ok")])
def test_few_onsets_are_insufficient_not_ok(onsets: int, status: str) -> None:
    assert Leak(onsets, 0.63, 0.001).status == status


@pytest.mark.parametrize(
    ("own_row", "row_before", "status"),
    [(0.40, 0.05, "ok"), (0.39, 0.0, "failed"), (0.63, 0.051, "failed")],
)
def test_the_verdict_is_two_sided(own_row: float, row_before: float, status: str) -> None:
    assert Leak(1000, own_row, row_before).status == status


def test_held_buttons_masked_rows_and_the_last_row_are_no_onsets() -> None:
    states = np.full(4, KNEE_BEND)
    held = leak_counts(states, np.ones(4, bool), np.ones(4, bool), np.ones(4, bool), 0)
    masked = leak_counts(states, np.zeros(4, bool), np.ones(4, bool), np.zeros(4, bool), 0)
    every_row = leak_counts(states, np.zeros(4, bool), np.ones(4, bool), np.ones(4, bool), 0)
    assert (held.tolist(), masked.tolist(), every_row.tolist()) == ([0, 0, 0], [0, 0, 0], [3, 3, 3])


def test_counts_of_replays_add_up_and_none_is_insufficient() -> None:
    assert leak_from_counts(np.array([100, 60, 0]) + np.array([300, 180, 4])) == Leak(400, 0.6, 0.01)
    assert leak_from_counts(np.zeros(3, dtype=np.int64)) == Leak(0, 0.0, 0.0)
    assert leak_from_counts(np.zeros(3, dtype=np.int64)).status == "insufficient"
