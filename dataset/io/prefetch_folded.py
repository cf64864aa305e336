"""Work begun before its result is asked for, in order.

In: a function and its arguments. Out: one function an argument that returns the result or raises what the work raised. The
surprise: the threads are daemons, so that a program which stops does not wait for a transfer that nobody wants any more.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Thread
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")


def in_advance(work: Callable[[K], T], items: Sequence[K], depth: int) -> Iterator[Callable[[], T]]:
    """The results of ``work`` in the order of ``items``, up to ``depth`` of them begun while an earlier one is used.

    With a depth of 0 the work is done where its result is asked for.
    """
    if depth == 0:
        yield from (partial(work, item) for item in items)
        return
    waiting: deque[Callable[[], T]] = deque()
    for item in items:
        waiting.append(_begin(partial(work, item)))
        if len(waiting) > depth:
            yield waiting.popleft()
    yield from waiting


def _begin(work: Callable[[], T]) -> Callable[[], T]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 (the caller of ``result`` raises it)
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future.result
