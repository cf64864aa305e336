"""Servers on loopback to read stores from: one that misbehaves as told, and moto's S3."""

import functools
import io
import socket
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Answers with the server's next fault for a path, or as a good server does."""

    server: "FaultyServer"

    def do_GET(self) -> None:
        name = self.path.lstrip("/").removeprefix("moved/")
        self.server.asked.append((name, dict(self.headers)))
        file = self.server.folder / name
        if not file.is_file():
            self.send_error(404)
            return
        with suppress(BrokenPipeError, ConnectionResetError):  # the client had enough
            self.server.next_fault(name)(self, file.read_bytes())

    def answer(self, body: bytes, *, status: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for header, value in headers.items():
            self.send_header(header.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def first_byte(self) -> int:
        """Where the range begins that was asked for."""
        return int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


Fault = Callable[[Handler, bytes], None]


class FaultyServer(ThreadingHTTPServer):
    """Serves a folder; ``faults`` hold what each path is answered with, ``always`` what it is answered with for ever."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.faults: dict[str, list[Fault]] = {}
        self.always: dict[str, Fault] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_fault(self, name: str) -> Fault:
        waiting = self.faults.get(name)
        return waiting.pop(0) if waiting else self.always.get(name, whole)

    def ranges(self, name: str) -> list[str | None]:
        """The ranges a path was asked for, request by request."""
        return [headers.get("Range") for asked, headers in self.asked if asked == name]


@contextmanager
def serving(folder: Path) -> Iterator[FaultyServer]:
    server = FaultyServer(folder)
    thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def whole(handler: Handler, data: bytes) -> None:
    """As a good server answers: the range asked for, or all."""
    start = handler.first_byte()
    if start == 0:
        handler.answer(data, length=len(data))
    elif start >= len(data):
        handler.answer(b"", status=416, length=0, Content_Range=f"bytes */{len(data)}")
    else:
        span = f"bytes {start}-{len(data) - 1}/{len(data)}"
        handler.answer(data[start:], status=206, length=len(data) - start, Content_Range=span)


def cut_with_length(handler: Handler, data: bytes) -> None:
    """Half of what remains, announced as all of it."""
    rest = data[handler.first_byte() :]
    handler.answer(rest[: len(rest) // 2], length=len(data))


def cut_without_length(handler: Handler, data: bytes) -> None:
    handler.answer(data[: len(data) * 2 // 3])


def cut_between_members(handler: Handler, data: bytes) -> None:
    """A whole tar of fewer samples, with nothing to tell that it ended early."""
    handler.answer(between_members(data))


def cut_between_members_and_announced_so(handler: Handler, data: bytes) -> None:
    handler.answer(between_members(data), length=len(between_members(data)))


def cut_within_a_chunk(handler: Handler, data: bytes) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.answer(b"%x\r\n" % len(data) + data[: len(data) // 2], Transfer_Encoding="chunked", Connection="close")
    handler.close_connection = True


def cut_between_chunks(handler: Handler, data: bytes) -> None:
    """A chunked body that ends as it should, too early."""
    handler.protocol_version = "HTTP/1.1"
    part = between_members(data)
    body = b"%x\r\n" % len(part) + part + b"\r\n0\r\n\r\n"
    handler.answer(body, Transfer_Encoding="chunked", Connection="close")
    handler.close_connection = True


def reset(handler: Handler, data: bytes) -> None:
    """Half of the body, then a TCP reset."""
    handler.answer(data[: len(data) // 2], length=len(data))
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.shutdown(socket.SHUT_RD)
    handler.connection.close()


def flipped(handler: Handler, data: bytes) -> None:
    """One bit of the middle."""
    middle = len(data) // 2
    whole(handler, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


def stale(handler: Handler, data: bytes) -> None:
    """An older, shorter file out of a proxy."""
    whole(handler, between_members(data))


def longer(handler: Handler, data: bytes) -> None:
    handler.answer(data + bytes(512))


def empty(handler: Handler, data: bytes) -> None:
    handler.answer(b"", length=0)


def portal(handler: Handler, data: bytes) -> None:
    """A hotel's login page, with status 200."""
    page = b"<html>Welcome! Please log in.</html>"
    handler.answer(page, length=len(page), Content_Type="text/html")


def unavailable(handler: Handler, data: bytes) -> None:
    handler.answer(b"", status=503, length=0)


def silent(handler: Handler, data: bytes) -> None:
    """Nothing at all."""
    handler.server.closing.wait(60)


def drip(handler: Handler, data: bytes) -> None:
    """A byte now and then, always sooner than a socket's time-out."""
    handler.answer(b"", length=len(data))
    for byte in data[:100]:
        if handler.server.closing.wait(0.05):
            return
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()


def slow(handler: Handler, data: bytes) -> None:
    """All of it, after a while."""
    handler.server.closing.wait(0.3)
    whole(handler, data)


def redirect(handler: Handler, data: bytes) -> None:
    """To the same file under another name."""
    if handler.path.startswith("/moved/"):
        whole(handler, data)
    else:
        handler.answer(b"", status=302, length=0, Location=f"{handler.server.url}/moved{handler.path}")


def ignores_ranges(handler: Handler, data: bytes) -> None:
    handler.answer(data, length=len(data))


def another_range(handler: Handler, data: bytes) -> None:
    """The start of the file where its end was asked for."""
    start = handler.first_byte()
    if start == 0:
        cut_with_length(handler, data)
    else:
        part = data[: len(data) - start]
        handler.answer(part, status=206, length=len(part), Content_Range=f"bytes 0-{len(part) - 1}/{len(data)}")


def other_bytes_in_the_rest(handler: Handler, data: bytes) -> None:
    """A first half, and a second of the right size that belongs to another file."""
    start = handler.first_byte()
    if start == 0:
        cut_with_length(handler, data)
    else:
        whole(handler, data[:start] + bytes(len(data) - start))


def between_members(data: bytes) -> bytes:
    """The first samples of a shard: cut where its last sample begins."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return data[: tar.getmembers()[-2].offset]


BAD_FOR_ANY_FILE: tuple[Fault, ...] = (
    cut_with_length,
    cut_without_length,
    cut_within_a_chunk,
    reset,
    flipped,
    longer,
    empty,
    portal,
    unavailable,
    silent,
    drip,
    another_range,
    other_bytes_in_the_rest,
)
"""Answers from which no file can be had."""

BAD = (*BAD_FOR_ANY_FILE, cut_between_members, cut_between_members_and_announced_so, cut_between_chunks, stale)
"""Answers from which no shard can be had."""

GOOD: tuple[Fault, ...] = (whole, redirect, ignores_ranges)
"""Answers from which every file can be had at once."""
