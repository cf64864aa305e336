"""Prefetch: a thread prepares items ahead of whoever consumes them, in the same order.

An error there is raised at the consumer, itself, with the thread's traceback. The surprise: a source that yields nothing
for ``timeout`` seconds is reported, with what it was waiting for, and left behind; the thread is a daemon, so it cannot
keep the process alive.
"""

from collections.abc import Callable, Generator, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

from dataset.errors import ExphilError

Item = TypeVar("Item")

DEPTH = 3
"""Items prepared in advance."""

TIMEOUT = 300.0
"""Seconds after which a source that yields nothing counts as stalled."""

_END = object()
_POLL_SECONDS = 0.1


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def prefetch(
    items: Iterator[Item],
    *,
    depth: int = DEPTH,
    timeout: float = TIMEOUT,
    waiting_for: Callable[[], str] = lambda: "the next item",
) -> Generator[Item, None, None]:
    """The same items in the same order, up to ``depth`` of them prepared by a thread.

    Args:
        items: the source; only the thread touches it.
        depth: items prepared in advance.
        timeout: seconds to wait for one item.
        waiting_for: says what the source is doing, for the message when it stalls.

    Raises:
        ExphilError: no item came within ``timeout`` seconds.
    """
    ready: Queue[object] = Queue(maxsize=depth)
    is_closed = Event()
    Thread(target=_fill, args=(items, ready, is_closed), name="prefetch", daemon=True).start()
    try:
        while (item := _next(ready, timeout, waiting_for)) is not _END:
            if isinstance(item, _Failed):
                raise item.error
            yield item  # type: ignore[misc]  # anything but the two marks is an Item
    finally:
        is_closed.set()


def _next(ready: "Queue[object]", timeout: float, waiting_for: Callable[[], str]) -> object:
    try:
        return ready.get(timeout=timeout)
    except Empty:
        raise ExphilError(
            f"training data: a batch must come within {timeout:g} s, found none while waiting for {waiting_for()}; "
            "check the disk or the network that the store lies on, then --resume"
        ) from None


def _fill(items: Iterator[Item], ready: "Queue[object]", is_closed: Event) -> None:
    try:
        for item in items:
            if not _put(item, ready, is_closed):
                return
        _put(_END, ready, is_closed)
    except BaseException as error:  # noqa: BLE001  # whatever it is, the consumer must see it
        _put(_Failed(error), ready, is_closed)


def _put(item: object, ready: "Queue[object]", is_closed: Event) -> bool:
    """Hand over an item; false once nobody wants it."""
    while not is_closed.is_set():
        try:
            ready.put(item, timeout=_POLL_SECONDS)
            return True
        except Full:
            continue
    return False
