"""Where py7zr writes members: a buffer each, handed on when the member is whole. Apart, because the base classes are py7zr's."""

from collections.abc import Callable

from py7zr.io import Py7zIO, WriterFactory


class Sinks(WriterFactory):  # type: ignore[misc]
    """Makes a sink for every member."""

    def __init__(self, hand_on: Callable[[tuple[str, bytes]], None]) -> None:
        self._hand_on = hand_on

    def create(self, filename: str) -> Py7zIO:
        """A sink for the member of that name."""
        return _Sink(filename, self._hand_on)


class _Sink(Py7zIO):  # type: ignore[misc]
    """One member's bytes."""

    def __init__(self, name: str, hand_on: Callable[[tuple[str, bytes]], None]) -> None:
        self._name, self._hand_on, self._pieces = name, hand_on, bytearray()

    def write(self, s: bytes | bytearray) -> int:
        """Add bytes."""
        self._pieces += s
        return len(s)

    def read(self, size: int | None = None) -> bytes:
        """The bytes so far."""
        return bytes(self._pieces[:size])

    def seek(self, offset: int, whence: int = 0) -> int:
        """Nothing: members are written from front to back."""
        return offset

    def flush(self) -> None:
        """Nothing to flush."""

    def size(self) -> int:
        """Bytes so far."""
        return len(self._pieces)

    def close(self) -> None:
        """The member is whole."""
        self._hand_on((self._name, bytes(self._pieces)))
