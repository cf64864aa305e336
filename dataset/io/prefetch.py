"""Work done ahead of whoever needs its results, in order, by threads that cannot keep the process alive.

``prefetch`` takes an iterator that only one thread may walk; ``in_advance`` begins independent pieces of work side by side.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

from dataset.errors import ExphilError

K = TypeVar("K")
T = TypeVar("T")

DEPTH = 3
"""Items prepared in advance."""

TIMEOUT = 300.0
"""Seconds after which a source that yields nothing counts as stalled."""

_POLL_SECONDS = 0.1


def prefetch(
    items: Iterator[T],
    *,
    depth: int = DEPTH,
    timeout: float = TIMEOUT,
    waiting_for: Callable[[], str] = lambda: "the next item",
) -> Generator[T, None, None]:
    """The same items in the same order, up to ``depth`` of them prepared by a thread.

    An error of ``items`` is raised here, with the thread's traceback.

    Args:
        items: the source; only the thread touches it.
        depth: items prepared in advance.
        timeout: seconds to wait for one item.
        waiting_for: says what the source is doing, for the message when it stalls.

    Raises:
        ExphilError: no item came within ``timeout`` seconds.
    """
    ready: Queue[Future[T]] = Queue(maxsize=depth)
    is_closed = Event()

    def fill() -> None:
        result: Future[T] | None = None
        while not is_closed.is_set() and (result is None or result.exception() is None):
            result = Future()
            _run(result, partial(next, items))
            hand_over(result)

    def hand_over(result: Future[T]) -> None:
        while not is_closed.is_set():
            with suppress(Full):
                return ready.put(result, timeout=_POLL_SECONDS)

    Thread(target=fill, name="prefetch", daemon=True).start()
    try:
        while True:
            try:
                result = ready.get(timeout=timeout)
            except Empty:
                raise ExphilError(
                    f"training data: a batch must come within {timeout:g} s, found none while waiting for {waiting_for()}; "
                    "check the disk or the network that the store lies on, then --resume"
                ) from None
            if isinstance(result.exception(), StopIteration):
                return
            yield result.result()
    finally:
        is_closed.set()


def in_advance(work: Callable[[K], T], items: Sequence[K], depth: int) -> Iterator[Callable[[], T]]:
    """The results of ``work`` in the order of ``items``, each as a function that returns it or raises what the work raised.

    Up to ``depth`` of them are begun while an earlier one is used; with a depth of 0 the work is done by the function.
    """
    if depth == 0:
        yield from (partial(work, item) for item in items)
        return
    waiting: deque[Future[T]] = deque()
    for item in items:
        waiting.append(Future())
        Thread(target=_run, args=(waiting[-1], partial(work, item)), daemon=True).start()
        if len(waiting) > depth:
            yield waiting.popleft().result
    yield from (result.result for result in waiting)


def _run(result: Future[T], work: Callable[[], T]) -> None:
    try:
        result.set_result(work())
    except BaseException as error:  # noqa: BLE001 (whoever asks for the result raises it)
        result.set_exception(error)
