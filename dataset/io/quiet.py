"""Keeps what Rust's libraries write about their own panics from the user, who gets one sentence instead."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Silence:
    """File descriptor 2 is one for the whole process: whoever comes first turns it away, whoever is last turns it back."""

    def __init__(self) -> None:
        self._lock, self._depth = threading.Lock(), 0
        self._kept: int | None = None

    def begin(self) -> None:
        with self._lock:
            self._depth += 1
            if self._depth > 1:
                return
            try:
                self._kept = os.dup(2)
            except OSError:  # whoever closed it hears nothing anyhow
                return
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)

    def end(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0 and self._kept is not None:
                os.dup2(self._kept, 2)
                os.close(self._kept)
                self._kept = None


_SILENCE = _Silence()


@contextmanager
def silent_panics(is_silent: bool = True) -> Iterator[None]:
    """Let file descriptor 2 lead nowhere while the context runs: a panic prints a backtrace there before Python sees it.

    It may be used within itself, and by several threads at a time.
    """
    if not is_silent:
        yield
        return
    _SILENCE.begin()
    try:
        yield
    finally:
        _SILENCE.end()
