"""Keeps what Rust's libraries write about their own panics from the user, who gets one sentence instead."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silent_panics(is_silent: bool = True) -> Iterator[None]:
    """Let file descriptor 2 lead nowhere while the context runs: a panic prints a backtrace there before Python sees it."""
    try:
        kept = os.dup(2) if is_silent else None
    except OSError:  # whoever closed it hears nothing anyhow
        kept = None
    if kept is None:
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
