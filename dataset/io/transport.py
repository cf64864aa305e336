"""Bytes of a remote file from an offset on, piece by piece, over HTTP, S3 or what else fsspec reads.

HTTP is read with the standard library: fsspec takes a body that is cut short for a whole one and does not say whether the
server honoured a range, and httpx takes more than twice the CPU time for a shard. Credentials come from ``~/.netrc`` (HTTP) or
the backend's own configuration and environment, never from the URL, and are not sent to where an address redirects. A server
may be a stranger's: it can neither lead to another kind of address nor keep a reader waiting without end.
"""

import base64
import http.client
import netrc
import re
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request

from dataset.errors import ConfigError
from dataset.io.http_opener import RedirectError, web_opener

PIECE_BYTES = 2**18
PART_BYTES = 2**22
"""What one request to an object store asks for."""
SIGNED_S = 3600
SLOWEST = 2**16
"""Bytes a second below which a transfer counts as stalled."""

_TRANSIENT = {408, 409, 423, 425, 429, *range(500, 600)}
_CREDENTIAL_ERRORS = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"}
"""botocore's, which is not imported here."""


class TransferError(Exception):
    """A transfer broke off; another attempt may resume it."""


class RefusedError(Exception):
    """The server will not give the file, however often it is asked."""


class WrongFileError(Exception):
    """What arrived, or is announced, is not the wanted file; only a start from the first byte can help."""


Pieces = Generator[bytes, None, None]
"""Bytes as they come; close it if it is not read to its end."""


class Source(Protocol):
    """Where files come from."""

    def open(self, path: str, offset: int, size: int | None, *, is_fresh: bool) -> tuple[int, Pieces]:
        """Open one file.

        Args:
            path: below the source's folder.
            offset: the first byte wanted.
            size: bytes of the whole file, if known.
            is_fresh: ask caches on the way to fetch the file anew.

        Returns:
            The offset of the first byte that comes, ``offset`` or 0, and the bytes from there on.

        Raises:
            TransferError, RefusedError, WrongFileError: also while the bytes are read.
        """


def open_source(url: str, stall_s: float) -> Source:
    """The files below the folder at a URL; a transfer that brings nothing for ``stall_s`` seconds breaks off.

    Raises:
        ConfigError: no backend can read it.
    """
    if is_http(url):
        return open_http(url, stall_s)
    plain = FsspecSource(url, stall_s)
    # s3fs signs addresses, which plain HTTP reads at less CPU time than s3fs. What is refused so is left to s3fs, which follows
    # a bucket to its region and says best what is wrong.
    return HttpSource(plain.sign, stall_s, fallback=plain) if url.startswith(("s3:", "s3a:")) else plain


def is_http(url: str) -> bool:
    """Whether a web server answers for the URL, which can list no folder."""
    return url.startswith(("http://", "https://"))


def open_http(url: str, stall_s: float) -> "HttpSource":
    """The files below a folder of a web server."""
    return HttpSource(lambda path: f"{url}/{path}", stall_s, login=_netrc_login(urlsplit(url).hostname or ""))


def open_filesystem(url: str, what: str = "store") -> tuple[Any, str]:
    """Fsspec's file system for a URL and the path in it; ``what`` says in errors what the URL is.

    fsspec keeps one file system a process, so a forked loader that calls this gets connections of its own.

    Raises:
        ConfigError: no backend can read it.
    """
    from fsspec.core import url_to_fs  # 40 ms that a store on this disk need not wait for

    try:
        filesystem, path = url_to_fs(url)
    except ImportError as error:
        raise ConfigError(
            f"{what} {url}: fsspec needs a backend that is not installed ({error}); for s3:// pip install 'exphil[s3]'"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"{what} {url}: must be a path or a URL that fsspec knows, found {error}; "
            "give e.g. s3://bucket/folder or https://host/folder"
        ) from error
    return filesystem, str(path).rstrip("/")


class HttpSource:
    """Files on a web server."""

    def __init__(
        self, address: Callable[[str], str], stall_s: float, *, login: str = "", fallback: Source | None = None
    ) -> None:
        """Read files whose URL is ``address(path)``; those that are refused come from ``fallback``.

        ``login`` is the ``Authorization`` that is sent to that address alone, and not to where it redirects.
        """
        self._address, self._stall_s, self._login, self._fallback = address, stall_s, login, fallback
        self._opener = web_opener(stall_s)

    def about(self, path: str) -> tuple[int, str]:
        """Bytes of a file, and a tag that changes when it does, as far as the server says.

        Raises:
            TransferError, RefusedError: it does not.
        """
        with suppress(TransferError, RefusedError):  # not every server knows HEAD, allows it or answers it rightly
            size, tag = self._announced("HEAD", path)
            if size:
                return size, tag
        return self._announced("GET", path)

    def _announced(self, method: str, path: str) -> tuple[int, str]:
        with self._send(method, path) as response:
            headers = response.headers
        length = headers.get("Content-Length")
        if length is None or not re.fullmatch("[0-9]{1,15}", length):
            raise RefusedError("a server that does not say how long it is")
        # Its time comes first, because each machine of a large site may have an ETag of its own.
        return int(length), headers.get("Last-Modified") or headers.get("ETag") or ""

    def open(self, path: str, offset: int, size: int | None, *, is_fresh: bool) -> tuple[int, Pieces]:
        """See ``Source``."""
        wanted = {"Range": f"bytes={offset}-"} if offset else {}
        try:
            response = self._send("GET", path, **wanted, **({"Cache-Control": "no-cache"} if is_fresh else {}))
        except RefusedError:
            if self._fallback is None:
                raise
            return self._fallback.open(path, offset, size, is_fresh=is_fresh)
        is_whole = response.status == http.HTTPStatus.OK
        start, fault = 0 if is_whole else offset, None
        if not is_whole and not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            fault = f"another range than asked for (status {response.status})"
        elif size is not None and response.length is not None and start + response.length != size:
            fault = f"a server that announces {start + response.length:,} bytes"
        if fault is not None:
            response.close()
            raise WrongFileError(fault)
        return start, self._pieces(response)

    def _send(self, method: str, path: str, **headers: str) -> http.client.HTTPResponse:
        with self._transfer_errors():
            request = Request(self._address(path), headers=headers | {"Accept-Encoding": "identity"}, method=method)
            if self._login:
                request.add_unredirected_header("Authorization", self._login)
            try:
                response: http.client.HTTPResponse = self._opener.open(request, timeout=self._stall_s)
            except ValueError as error:
                raise RefusedError("an address, its own or a redirect's, that is none") from error
        return response

    def _pieces(self, response: http.client.HTTPResponse) -> Pieces:
        since, count = time.monotonic(), 0
        with response, self._transfer_errors():
            while piece := response.read1(PIECE_BYTES):
                yield piece
                count += len(piece)
                passed = time.monotonic() - since
                if passed < self._stall_s:
                    continue
                if count < SLOWEST * passed:  # a server that sends bytes one by one never trips a socket's time-out
                    raise TransferError(f"a stalled transfer: {count:,} bytes in {passed:.1f} s")
                since, count = time.monotonic(), 0

    @contextmanager
    def _transfer_errors(self) -> Iterator[None]:
        """Turn what the standard library raises into errors without the address, which may be a signed one."""
        try:
            yield
        except HTTPError as error:
            error.close()
            status = f"status {error.code} {error.reason}"
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise WrongFileError(f"{status}: the server's file ends earlier") from error
            raise (TransferError if error.code in _TRANSIENT else RefusedError)(status) from error
        except RedirectError as error:
            raise RefusedError(str(error)) from error
        except http.client.InvalidURL as error:
            raise RefusedError("an address with characters that must be quoted") from error
        except (http.client.HTTPException, OSError) as error:
            cause = error.reason if isinstance(error, URLError) else error
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise RefusedError(f"a certificate that cannot be trusted ({cause.verify_message})") from error
            raise TransferError(_words(cause, self._stall_s)) from error


class FsspecSource:
    """A folder that fsspec reaches, in memory, in a cloud or wherever, read in parts of ``PART_BYTES``."""

    def __init__(self, url: str, stall_s: float) -> None:
        self._url, self._stall_s = url, stall_s
        open_filesystem(url)

    def open(self, path: str, offset: int, size: int | None, *, is_fresh: bool) -> tuple[int, Pieces]:
        """See ``Source``; every range is honoured, and nothing lies between that could be stale."""
        return offset, self._parts(path, offset, size)

    def sign(self, path: str) -> str:
        """An address that may be read without further credentials for ``SIGNED_S`` seconds; never to be shown.

        Raises:
            RefusedError: the backend cannot sign.
        """
        filesystem, folder = open_filesystem(self._url)
        try:
            return str(filesystem.sign(f"{folder}/{path}", expiration=SIGNED_S))
        except Exception as error:  # backends raise what they like
            raise RefusedError("an address that cannot be signed") from error

    def _parts(self, path: str, offset: int, size: int | None) -> Pieces:
        filesystem, folder = open_filesystem(self._url)
        if size is None:
            size = self._size(filesystem, f"{folder}/{path}")
        while offset < size:
            part = self._read(filesystem, f"{folder}/{path}", offset, min(offset + PART_BYTES, size))
            if not part:
                return
            yield part
            offset += len(part)

    def _size(self, filesystem: Any, name: str) -> int:
        with self._transfer_errors():
            filesystem.invalidate_cache()
            size = filesystem.size(name)
        if type(size) is not int or size < 0:
            raise RefusedError("a backend that does not say how long it is")
        return size

    def _read(self, filesystem: Any, name: str, start: int, end: int) -> bytes:
        limit = {"timeout": max(self._stall_s, (end - start) / SLOWEST)} if filesystem.async_impl else {}
        with self._transfer_errors():
            return bytes(filesystem.cat_file(name, start=start, end=end, **limit))

    @contextmanager
    def _transfer_errors(self) -> Iterator[None]:
        """Turn what a backend raises into errors of a transfer."""
        try:
            yield
        except FileNotFoundError as error:
            raise RefusedError("no such file") from error
        except PermissionError as error:
            raise RefusedError(f"no permission ({error})") from error
        except Exception as error:  # backends raise what they like: all else may pass
            if type(error).__name__ in _CREDENTIAL_ERRORS:
                raise RefusedError("no credentials in the environment or the backend's configuration") from error
            raise TransferError(_words(error, self._stall_s)) from error


def _words(error: BaseException | str, stall_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"a stalled transfer: nothing for {stall_s:g} s"
    return f"{type(error).__name__} {error}".strip() if isinstance(error, BaseException) else error


def _netrc_login(host: str) -> str:
    """The ``Authorization`` of a host that ``~/.netrc`` names; empty if it does not."""
    try:
        found = netrc.netrc().authenticators(host)
    except FileNotFoundError:
        return ""
    except netrc.NetrcParseError as error:
        raise ConfigError(f"~/.netrc: must be readable to log in to {host}, found {error.msg}; mend it") from error
    return "" if found is None else "Basic " + base64.b64encode(f"{found[0]}:{found[2]}".encode()).decode()
