"""Downloads from servers that are strangers': bounded in bytes and in time, and never led elsewhere."""

import time
from contextlib import suppress
from email.message import Message
from io import BytesIO
from pathlib import Path
from urllib.request import HTTPRedirectHandler, Request

import fsspec
import pytest

from dataset.errors import SchemaError, ShardError
from dataset.io import http_opener
from dataset.io.fetch import Patience
from dataset.io.http_opener import RedirectError
from dataset.io.transport import RefusedError, open_http, open_source
from dataset.store.manifest import MANIFEST_NAME
from dataset.store.store import Store
from tests.dataset.servers import FaultyServer, Handler, serving

QUICK = Patience(attempts=2, stall_s=0.5, backoff_s=0.01)


def endless(handler: Handler, data: bytes) -> None:
    """The file, and spaces for ever."""
    handler.answer(data)
    with suppress(OSError):
        while not handler.server.closing.is_set():
            handler.wfile.write(b" " * 2**20)


def raw(*pieces: bytes, again: bytes = b"", pause_s: float = 0.0) -> "Handler":
    """A fault that writes ``pieces``, then ``again`` for ever."""

    def fault(handler: Handler, data: bytes) -> None:
        with suppress(OSError):
            for piece in pieces:
                handler.wfile.write(piece)
            while again and not handler.server.closing.wait(pause_s):
                handler.wfile.write(again)
                handler.wfile.flush()

    return fault  # type: ignore[return-value]


def test_a_manifest_without_an_end_is_given_up_at_once(server: FaultyServer) -> None:
    server.always[MANIFEST_NAME] = endless
    with pytest.raises(ShardError, match=r"a readable manifest\.json, found more than 67,108,864 bytes"):
        Store(server.url, patience=QUICK)
    assert len(server.ranges(MANIFEST_NAME)) == 1


def test_a_table_of_replays_without_an_end_takes_no_more_than_the_cache_may(
    server: FaultyServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPHIL_CACHE_GB", "0.002")
    server.always["replays.parquet"] = endless
    with pytest.raises(ShardError, match=r"shard replays\.parquet .* found more than 2,000,000 bytes"):
        Store(server.url, patience=QUICK).replays()
    assert sum(path.stat().st_size for path in home.glob("*.partial")) == 0


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "gopher://x/", "//", "http://[::1"]
)
def test_a_redirect_to_another_kind_of_address_is_not_followed(server: FaultyServer, to: str) -> None:
    server.always[MANIFEST_NAME] = raw(f"HTTP/1.0 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode())
    with pytest.raises(ShardError, match=r"a readable manifest\.json, found "):
        Store(server.url, patience=QUICK)


@pytest.mark.parametrize(
    ("before", "after", "is_followed"),
    [
        ("https://h/a", "http://h/a", False),
        ("https://h/a", "ftp://h/a", False),
        ("http://h/a", "ftp://h/a", False),
        ("http://h/a", "https://h/a", True),
        ("https://h/a", "https://g/b", True),
        ("http://h/a", "http://g/b", True),
    ],
)
def test_a_redirect_may_not_leave_encryption(before: str, after: str, is_followed: bool) -> None:
    (follower,) = (one for one in http_opener.web_opener(1).handlers if isinstance(one, HTTPRedirectHandler))
    ask = (Request(before), BytesIO(), 302, "Found", Message(), after)
    if is_followed:
        found = follower.redirect_request(*ask)  # type: ignore[arg-type]
        assert found is not None
        assert found.full_url == after
    else:
        with pytest.raises(RedirectError, match="which is not followed"):
            follower.redirect_request(*ask)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fault",
    [
        raw(b"HTTP/1.0 200 OK\r\n", again=b"x", pause_s=0.05),
        raw(b"HTTP/1.0 200 OK\r\n", again=b"x: y\r\n", pause_s=0.05),
        raw(again=b"HTTP/1.1 100 Continue\r\n\r\n"),
        raw(b"junk\r\n\r\n"),
        raw(b"HTTP/1.0 200 OK\r\n" + b"x: y\r\n" * 500 + b"\r\n"),
    ],
    ids=["byte by byte", "header by header", "continue for ever", "junk", "500 headers"],
)
def test_headers_that_do_not_end_in_time_are_no_answer(server: FaultyServer, fault: Handler) -> None:
    server.always[MANIFEST_NAME] = fault  # type: ignore[assignment]
    start = time.monotonic()
    with pytest.raises(ShardError, match=r"a readable manifest\.json, found .* in the last of 2 attempts"):
        Store(server.url, patience=QUICK)
    assert time.monotonic() - start < 20


def test_trailers_are_not_waited_for(server: FaultyServer, generated_store: Path) -> None:
    data = (generated_store / MANIFEST_NAME).read_bytes()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.always[MANIFEST_NAME] = raw(head, b"%x\r\n%s\r\n0\r\n" % (len(data), data), again=b"x: y\r\n")
    assert Store(server.url, patience=QUICK).manifest.replays == 6


@pytest.mark.parametrize("length", ["x", "-1", "1e3", "9" * 5000, "", "0x10", "٣"])
def test_a_length_that_is_no_number_is_none(server: FaultyServer, length: str) -> None:
    server.always[MANIFEST_NAME] = raw(f"HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n".encode())
    with pytest.raises(RefusedError, match="does not say how long it is"):
        open_http(server.url, 1.0).about(MANIFEST_NAME)


def test_a_backend_is_read_in_parts_though_nobody_says_how_long_a_file_is(generated_store: Path) -> None:
    memory = fsspec.filesystem("memory")
    data = bytes(range(256)) * 40_000
    memory.pipe_file("/parts/x", data)
    try:
        _, pieces = open_source("memory://parts", 1.0).open("x", 0, None, is_fresh=False)
        found = list(pieces)
        assert b"".join(found) == data
        assert [len(piece) for piece in found] == [2**22, 2**22, len(data) - 2**23]
        memory.pipe_file("/parts/manifest.json", b" " * (2**26 + 1))
        with pytest.raises(ShardError, match="found more than 67,108,864 bytes"):
            Store("memory://parts", patience=QUICK)
    finally:
        memory.rm("/parts", recursive=True)


def test_a_manifest_without_the_hash_of_its_table_has_no_table(store: Path) -> None:
    text = (store / MANIFEST_NAME).read_text()
    lines = [line for line in text.splitlines() if "manifest_digest" not in line and "replays_sha256" not in line]
    (store / MANIFEST_NAME).write_text("\n".join(lines))
    with serving(store) as server, pytest.raises(SchemaError, match="must list the SHA-256"):
        Store(server.url, patience=QUICK).replays()
