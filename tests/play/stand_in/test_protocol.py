"""How long frames waited for their answer, from what the stand-in saw."""

import numpy as np
import pytest

from play.stand_in.protocol import NEVER, PIPE, Report


def seen_by_stand_in(frames: list[int], sent_s: list[float], flush_s: list[float], poll_frame: list[int]) -> Report:
    empty = np.zeros(len(flush_s), dtype=np.int8)
    pads = dict.fromkeys(("main_x", "main_y", "c_x", "c_y", "trigger", "l_analog", "r_analog", "buttons"), empty)
    pads["port"] = np.full(len(flush_s), PIPE, dtype=np.uint8)
    times = {"sent_s": np.array(sent_s), "flush_s": np.array(flush_s)}
    numbers = {"frames": np.array(frames, np.int32), "poll_frame": np.array(poll_frame, np.int32)}
    return Report(**times, **numbers, **pads, num_bad_lines=0, is_over=True, has_client=True)  # type: ignore[arg-type]


def test_an_answer_that_comes_a_frame_late_counts_from_its_own_frame() -> None:
    seen = seen_by_stand_in([-123, -122, -121], [1.0, 1.016, 1.032], [0.5, 1.018, 1.034], [-123, -121, NEVER])
    found = seen.answer_ms([-123, -122], is_lock_step=False)
    assert found == pytest.approx((18.0, 18.0))


def test_the_first_copy_of_a_frame_is_the_one_that_is_answered() -> None:
    seen = seen_by_stand_in([-123, -122, -122], [1.0, 1.016, 1.020], [0.5, 1.001, 1.030], [-123, -122, NEVER])
    assert seen.answer_ms([-123, -122], is_lock_step=False) == pytest.approx((7.5, 13.87))


def test_in_lock_step_every_flush_answers_the_frame_before_it() -> None:
    seen = seen_by_stand_in([-123, -122], [1.0, 2.0], [0.5, 1.002, 2.004], [-123, -122, NEVER])
    assert seen.answer_ms([-123, -122], is_lock_step=True) == pytest.approx((2.0, 2.0))


def test_without_answers_there_is_nothing_to_measure() -> None:
    assert seen_by_stand_in([-123], [1.0], [0.5], [-123]).answer_ms([], is_lock_step=False) is None
