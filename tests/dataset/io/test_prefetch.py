from collections.abc import Iterator
from threading import Event, Thread
from threading import enumerate as threads

import pytest

from dataset.errors import ExphilError, SchemaError
from dataset.io.prefetch import prefetch


def test_the_same_items_come_in_the_same_order() -> None:
    assert list(prefetch(iter(range(100)))) == list(range(100))
    assert list(prefetch(iter([]))) == []


def test_items_are_prepared_before_they_are_asked_for() -> None:
    reached = Event()

    def items() -> Iterator[int]:
        yield 0
        yield 1
        reached.set()
        yield 2

    ahead = prefetch(items(), depth=2)
    assert next(ahead) == 0
    assert reached.wait(timeout=30)
    assert list(ahead) == [1, 2]


def test_an_error_reaches_the_consumer_after_the_items_before_it_with_its_cause() -> None:
    def items() -> Iterator[int]:
        yield 1
        try:
            raise OSError("disk on fire")
        except OSError as error:
            raise SchemaError("shard train-000003.tar: unreadable") from error

    ahead = prefetch(items())
    assert next(ahead) == 1
    with pytest.raises(SchemaError, match=r"shard train-000003.tar: unreadable") as caught:
        next(ahead)
    assert isinstance(caught.value.__cause__, OSError)
    assert "items" in [entry.name for entry in caught.traceback]


def test_even_what_is_no_exception_reaches_the_consumer() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    ahead = prefetch(items())
    assert next(ahead) == 1
    with pytest.raises(KeyboardInterrupt):
        next(ahead)


def test_a_stalled_source_is_reported_with_what_it_waited_for() -> None:
    is_over = Event()

    def items() -> Iterator[int]:
        is_over.wait()
        yield 1

    ahead = prefetch(items(), timeout=0.05, waiting_for=lambda: "replay abc to be read")
    with pytest.raises(
        ExphilError, match=r"must come within 0.05 s, found none while waiting for replay abc to be read"
    ):
        next(ahead)
    is_over.set()


def test_a_consumer_that_leaves_takes_the_thread_along() -> None:
    ahead = prefetch(iter(range(10**9)))
    assert next(ahead) == 0
    mine: list[Thread] = [thread for thread in threads() if thread.name == "prefetch"]
    ahead.close()
    for thread in mine:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in mine)
