"""Progress of long work as plain lines, for where no terminal draws a bar."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

LINE_EVERY_S = 5.0

T = TypeVar("T")


def to_stderr(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr)  # noqa: T201


class ProgressLines:
    """Passes on a line every few seconds and drops those between; called with each state of the work as a line."""

    def __init__(self, say: Callable[[str], None] = to_stderr) -> None:
        self._say, self._last = say, time.monotonic()

    def __call__(self, line: str, *, is_last: bool = False) -> None:
        """Say the line if it is time for one, or if it is the last."""
        now = time.monotonic()
        if is_last or now - self._last >= LINE_EVERY_S:
            self._last = now
            self._say(line)


def with_progress(parts: Iterable[T], total: int, about: str, say: Callable[[str], None]) -> Iterator[T]:
    """The same ``parts``, with a line every few seconds of how many of ``total`` were done: ``test: 3 of 12 batches``."""
    lines = ProgressLines(say)
    for number, part in enumerate(parts):
        lines(f"{about}: {number} of {total} batches")
        yield part
