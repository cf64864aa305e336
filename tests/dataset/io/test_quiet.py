"""Panics of Rust's libraries are not heard while they are silenced, and everything is afterwards."""

import os
import threading

import pytest

from dataset.io.quiet import silent_panics


def test_nothing_is_heard_within_and_everything_after(capfd: pytest.CaptureFixture[str]) -> None:
    with silent_panics():
        with silent_panics():
            os.write(2, b"inner ")
        os.write(2, b"outer ")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_threads_that_overlap_give_the_stream_back(capfd: pytest.CaptureFixture[str]) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    def longer() -> None:
        with silent_panics():
            has_begun.set()
            may_end.wait(10)

    other = threading.Thread(target=longer)
    with silent_panics():
        other.start()
        has_begun.wait(10)
    os.write(2, b"still silent ")
    may_end.set()
    other.join()
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_what_may_be_heard_is(capfd: pytest.CaptureFixture[str]) -> None:
    with silent_panics(is_silent=False):
        os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
