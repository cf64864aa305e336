"""Web servers that lie, drip, never end or send elsewhere: what is read from them is right, or refused in a sentence.

The server speaks HTTP by hand, because the standard library's would not say such things. Its first answers to each request are
wrong in a way that the case's edits choose; then it is a good server.
"""

import contextlib
import io
import os
import random
import shutil
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dataset.errors import ExphilError
from dataset.io.fetch import Patience
from dataset.store.store import Store
from ingest.sources.remote import fetched
from tests.hardening.campaign import Case, Part, WrongError
from tests.hardening.shell import nothing_else_touched, small_store

PATIENCE = Patience(attempts=2, stall_s=0.4, backoff_s=0.01, max_backoff_s=0.02)
ENDLESS_BYTES = 2**28
"""A client that takes so many bytes has no bound."""

Say = Callable[["Servant", bytes, int], None]
"""Answers a request for a file's bytes from an offset on."""


class Servant:
    """One connection."""

    def __init__(self, connection: socket.socket, server: "LyingServer", head: bytes) -> None:
        self.connection, self.server, self.head = connection, server, head

    def send(self, *parts: bytes) -> None:
        """Send bytes."""
        self.connection.sendall(b"".join(parts))

    def answer(self, body: bytes, status: bytes = b"200 OK", *headers: bytes, length: object = None) -> None:
        """Send a head and a body; ``length`` is what the head says of it."""
        said = str(len(body) if length is None else length).encode()
        self.send(
            b"HTTP/1.1 ", status, b"\r\nContent-Length: ", said, b"\r\nConnection: close\r\n", *headers, b"\r\n", body
        )


class LyingServer:
    """Serves a folder on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lies, self.elsewhere = folder, list[Say](), ""
        self.taken = 0
        """Bytes that the client took of an answer without end."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._hear, args=(connection,), daemon=True).start()

    def _hear(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(4096)
                if not piece:
                    return
                head += piece
            name = head.split(b" ", 2)[1].decode("latin-1").lstrip("/").removeprefix("moved/")
            path = self.folder / name
            servant = Servant(connection, self, head)
            start = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"range: bytes="):
                    start = int(line[13:].strip(b"- ").split(b"-")[0])
            if not path.is_file():
                servant.answer(b"", b"404 Not Found")
                return
            (self.lies.pop(0) if self.lies else truth)(servant, path.read_bytes(), start)

    def close(self) -> None:
        """Stop."""
        self._socket.close()


def truth(servant: Servant, data: bytes, start: int) -> None:
    """As a good server answers."""
    body = data[start:] if not servant.head.startswith(b"HEAD") else b""
    if start:
        span = f"Content-Range: bytes {start}-{len(data) - 1}/{len(data)}\r\n".encode()
        servant.answer(body, b"206 Partial Content", span, length=len(data) - start)
    else:
        servant.answer(body, length=len(data))


def _length(servant: Servant, data: bytes, start: int) -> None:
    servant.answer(
        data[start:], length=random.choice(("x", "-1", "", "1e9", "0x10", 2**70, "12, 13", 2**40, "\u0661".encode()))
    )


def _endless(servant: Servant, data: bytes, start: int) -> None:
    chunked = random.random() < 0.5
    servant.send(
        b"HTTP/1.1 200 OK\r\n", b"Transfer-Encoding: chunked\r\n" if chunked else b"", b"Connection: close\r\n\r\n"
    )
    piece = bytes(2**20)
    for _ in range(ENDLESS_BYTES // len(piece)):
        servant.send(b"%x\r\n" % len(piece), piece, b"\r\n") if chunked else servant.send(piece)
        servant.server.taken += len(piece)


def _endless_head(servant: Servant, data: bytes, start: int) -> None:
    servant.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(20_000):
        servant.send(b"X-%d: " % number, b"a" * 200, b"\r\n")


def _drip(servant: Servant, data: bytes, start: int) -> None:
    servant.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data))
    for byte in data[:100]:
        servant.send(bytes([byte]))
        time.sleep(0.05)


def _slow_head(servant: Servant, data: bytes, start: int) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n":
        servant.send(bytes([byte]))
        time.sleep(0.1)


def _silent(servant: Servant, data: bytes, start: int) -> None:
    time.sleep(1.5)


def _cut(servant: Servant, data: bytes, start: int) -> None:
    servant.answer(data[start : start + len(data) // 2], length=len(data) - start)


def _status(servant: Servant, data: bytes, start: int) -> None:
    status = random.choice(
        (b"500 No", b"503 No", b"401 No", b"416 No", b"204 None", b"999 What", b"-1 x", b"abc", b"100 Continue")
    )
    servant.answer(data[start:], status)


def _junk(servant: Servant, data: bytes, start: int) -> None:
    servant.send(
        random.choice(
            (
                b"",
                b"SSH-2.0-x\r\n",
                b"\0" * 100,
                b"HTTP/9.9\r\n\r\n",
                b"<html>",
                b"HTTP/1.1 200 OK\r\n: \r\n\r\n",
                b"\xff" * 70_000,
            )
        )
    )


def _elsewhere(servant: Servant, data: bytes, start: int) -> None:
    port = servant.server.port
    to = random.choice(
        (
            *(
                "file:///etc/passwd",
                "ftp://127.0.0.1/x",
                "data:,x",
                "gopher://x",
                "",
                "//",
                "http://",
                "http://[::1",
                "\u001b[31m",
            ),
            *(
                f"http://127.0.0.1:{port}/moved/manifest.json",
                f"http://127.0.0.1:{port}/nowhere",
                "http://127.0.0.1:1/x",
                "javascript:x",
            ),
            *("http://\u0000/", f"http://user:pass@127.0.0.1:{port}/manifest.json", "s3://bucket/x", "memory://x"),
        )
    )
    servant.answer(
        b"",
        random.choice((b"301 M", b"302 M", b"303 M", b"307 M", b"308 M")),
        b"Location: ",
        to.encode("utf-8"),
        b"\r\n",
    )


def _in_circles(servant: Servant, data: bytes, start: int) -> None:
    servant.server.lies.insert(0, _in_circles)
    path = servant.head.split(b" ", 2)[1]
    servant.answer(b"", b"302 M", b"Location: ", path, b"\r\n")


def _range(servant: Servant, data: bytes, start: int) -> None:
    said = random.choice(
        (b"bytes 0-1/2", b"bytes */*", b"x", b"bytes 5-4/3", b"bytes -1--1/-1", b"bytes 0-99999999999999999999/1")
    )
    servant.answer(data[start:], b"206 Partial Content", b"Content-Range: ", said, b"\r\n")


def _chunks(servant: Servant, data: bytes, start: int) -> None:
    sizes = (b"-5", b"zz", b"ffffffffffffffffffff", b"", b"5;" + b"x" * 70_000)
    servant.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", random.choice(sizes), b"\r\n", data)


def _flipped(servant: Servant, data: bytes, start: int) -> None:
    out = bytearray(data)
    if out:
        out[random.randrange(len(out))] ^= 1 << random.randrange(8)
    truth(servant, bytes(out), start)


def _other(servant: Servant, data: bytes, start: int) -> None:
    body = random.choice(
        (b"", b"{}", b"null", b"[" * 100_000, b"<html>log in</html>", data[:-1], data + b"\0", b"1" * 5000)
    )
    servant.answer(body, b"200 OK", random.choice((b"", b"Content-Encoding: gzip\r\n", b"Content-Type: text/html\r\n")))


LIES: tuple[Say, ...] = (
    *(_length, _endless, _endless_head, _drip, _slow_head, _silent, _cut, _status, _junk, _elsewhere, _in_circles),
    *(_range, _chunks, _flipped, _flipped, _other, _other),
)


class Servers(Part):
    """A store and an archive behind a server that lies."""

    name = "servers"
    limit_s = 40.0
    most_edits = 4

    def prepare(self) -> None:
        """Serve a store and an archive."""
        self.store = small_store(self.scratch.parent / "small-store")
        served = self.scratch.parent / "served"
        if not served.exists():
            shutil.copytree(self.store, served)
            shutil.make_archive(str(served / "games"), "zip", self.store.parent / "source")
        self.server = LyingServer(served)
        local = Store(self.store)
        self.rows, self.frames = local.replays().collect(), local.frames(["frame", "a_x"]).collect()
        self.ids = [sample.id for sample in local.samples("all")]
        self.archive = (served / "games.zip").read_bytes()
        os.environ |= {"EXPHIL_CACHE": str(self.scratch / "cache"), "EXPHIL_CACHE_GB": "0.05", "no_proxy": "127.0.0.1"}

    def close(self) -> None:
        """Stop serving."""
        self.server.close()

    def attempt(self, cases: Sequence[Case]) -> None:
        """Read it all."""
        for case in cases:
            shutil.rmtree(self.scratch / "cache", ignore_errors=True)
            self.server.taken = 0
            dice = random.Random(case.seed)
            random.seed(case.seed)
            honest = dice.choice((0, 0, 0, 1, 2, 4))
            self.server.lies = [truth] * honest + [random.Random(edit).choice(LIES) for edit in case.edits]
            with nothing_else_touched(self.scratch, self.scratch / "cache"):
                try:
                    with contextlib.redirect_stderr(io.StringIO()):  # which says what is fetched
                        self._read(dice.random() < 0.6)
                except ExphilError as error:
                    self.tally[type(error).__name__] += 1
                else:
                    self.tally["read"] += 1
            self.server.lies = []
            if self.server.taken >= ENDLESS_BYTES:
                raise WrongError("hang", "an answer without end was taken in without a bound")

    def _read(self, is_store: bool) -> None:
        url = f"http://127.0.0.1:{self.server.port}"
        if not is_store:
            (path,) = fetched(f"{url}/games.zip", PATIENCE)
            if path.stat().st_size != len(self.archive):
                raise WrongError("loss", "an archive of another size was taken for whole")
            return
        store = Store(url, patience=PATIENCE)
        same = store.replays().collect().equals(self.rows) and store.frames(["frame", "a_x"]).collect().equals(
            self.frames
        )
        if not same or [sample.id for sample in store.samples("all")] != self.ids:
            raise WrongError("loss", "other data than the store holds was read as its data")
