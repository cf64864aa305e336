"""Bytes of a remote file from an offset on, piece by piece: what ``dataset.io.fetch`` needs of HTTP, S3 and the rest.

In: the URL of a store's folder. Out: a ``Source`` that opens files below it. The surprise: HTTP is read with the standard
library and not through fsspec, which takes a body that is cut short for a whole one and does not tell whether the server
honoured a range. Credentials come from ``~/.netrc`` (HTTP) or the backend's own configuration and environment, never from
the URL, and are sent to no host that a redirect names.
"""

import base64
import http.client
import netrc
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

from dataset.errors import ConfigError

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
    """A transfer broke off; another attempt may go on where it ended."""


class RefusedError(Exception):
    """The server will not give the file, however often it is asked."""


class WrongFileError(Exception):
    """What arrived, or is announced, is not the file that is wanted; only a start from the first byte can help."""


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
    """The source of a store's URL.

    Raises:
        ConfigError: no backend can read it.
    """
    if is_http(url):
        return open_http(url, stall_s)
    return S3Source(url, stall_s) if urlsplit(url).scheme in ("s3", "s3a") else FsspecSource(url, stall_s)


def is_http(url: str) -> bool:
    """Whether a web server answers for the URL, which can list no folder."""
    return url.startswith(("http://", "https://"))


def open_http(url: str, stall_s: float) -> "HttpSource":
    """The files below a folder of a web server."""
    return HttpSource(lambda path: f"{url}/{path}", stall_s, _netrc_login(urlsplit(url).hostname or ""))


class HttpSource:
    """Files on a web server."""

    def __init__(self, address: Callable[[str], str], stall_s: float, login: str | None = None) -> None:
        """Read files whose URL is ``address(path)``, with the ``Authorization`` that ``login`` is, if any."""
        self._address, self._stall_s, self._login = address, stall_s, login

    def about(self, path: str) -> tuple[int, str]:
        """Bytes of a file, and a tag that changes when it does, as far as the server tells.

        Raises:
            TransferError, RefusedError: it tells nothing.
        """
        with suppress(
            TransferError, RefusedError
        ):  # not every server knows this method, allows it or answers it rightly
            size, tag = self._told_of(path, "HEAD")
            if size:
                return size, tag
        return self._told_of(path, "GET")

    def _told_of(self, path: str, method: str) -> tuple[int, str]:
        with self._send(self._request(path, method)) as response:
            headers = response.headers
        if headers.get("Content-Length") is None:
            raise RefusedError("a server that does not tell how long it is")
        # Its time comes first, because each machine of a large site may have an ETag of its own.
        return int(headers["Content-Length"]), headers.get("Last-Modified") or headers.get("ETag") or ""

    def open(self, path: str, offset: int, size: int | None, *, is_fresh: bool) -> tuple[int, Pieces]:
        """See ``Source``."""
        request = self._request(path, "GET")
        if offset:
            request.add_header("Range", f"bytes={offset}-")
        if is_fresh:
            request.add_header("Cache-Control", "no-cache")
        response = self._send(request)
        start = _first_byte(response, offset)
        if size is not None and response.length is not None and start + response.length != size:
            response.close()
            raise WrongFileError(f"a server that announces {start + response.length:,} bytes")
        return start, self._pieces(response)

    def _request(self, path: str, method: str) -> urllib.request.Request:
        address, headers = self._address(path), {"Accept-Encoding": "identity"}
        request = urllib.request.Request(address, headers=headers, method=method)
        if self._login:
            request.add_unredirected_header("Authorization", self._login)
        return request

    def _send(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        try:
            response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=self._stall_s)
        except urllib.error.HTTPError as error:
            with error:
                raise _status_error(error) from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise RefusedError(f"a certificate that cannot be trusted ({error.reason.verify_message})") from error
            raise TransferError(_told(error.reason, self._stall_s)) from error
        except http.client.InvalidURL as error:
            raise RefusedError("an address with characters that must be quoted") from error
        except (http.client.HTTPException, OSError) as error:
            raise TransferError(_told(error, self._stall_s)) from error
        return response

    def _pieces(self, response: http.client.HTTPResponse) -> Pieces:
        pace = _Pace(self._stall_s)
        with response:
            while True:
                try:
                    piece = response.read1(PIECE_BYTES)
                except (http.client.HTTPException, OSError) as error:
                    raise TransferError(_told(error, self._stall_s)) from error
                if not piece:
                    return
                yield piece
                pace.add(len(piece))


class FsspecSource:
    """A folder that fsspec reaches, in memory, in a cloud or wherever, read in parts of ``PART_BYTES``."""

    def __init__(self, url: str, stall_s: float) -> None:
        self._url, self._stall_s = url, stall_s
        self._filesystem()

    def open(self, path: str, offset: int, size: int | None, *, is_fresh: bool) -> tuple[int, Pieces]:
        """See ``Source``; every range is honoured, and nothing lies between that could be stale."""
        return offset, self._parts(path, offset, size)

    def sign(self, path: str) -> str:
        """An address that may be read without further credentials for ``SIGNED_S`` seconds; never to be shown.

        Raises:
            RefusedError: the backend cannot sign.
        """
        filesystem, folder = self._filesystem()
        try:
            return str(filesystem.sign(f"{folder.rstrip('/')}/{path}", expiration=SIGNED_S))
        except Exception as error:  # backends raise what they like
            raise RefusedError("an address that cannot be signed") from error

    def _parts(self, path: str, offset: int, size: int | None) -> Pieces:
        filesystem, folder = self._filesystem()
        name = f"{folder.rstrip('/')}/{path}"
        if size is None:
            yield self._read(filesystem, name, None, None)
            return
        while offset < size:
            part = self._read(filesystem, name, offset, min(offset + PART_BYTES, size))
            if not part:
                return
            yield part
            offset += len(part)

    def _filesystem(self) -> tuple[Any, str]:
        """The backend and its path; kept by fsspec a process, so a forked loader gets a connection of its own."""
        from fsspec.core import url_to_fs  # 40 ms that a store on this disk need not wait for

        try:
            found: tuple[Any, str] = url_to_fs(self._url)
        except ImportError as error:
            extra = "pip install 'exphil[s3]'" if self._url.startswith("s3:") else str(error)
            raise ConfigError(f"store {self._url}: fsspec needs a backend that is not installed; {extra}") from error
        except ValueError as error:
            raise ConfigError(
                f"store {self._url}: must be a folder or a URL that fsspec knows, found {error}; "
                "give e.g. s3://bucket/store or https://host/store"
            ) from error
        return found

    def _read(self, filesystem: Any, name: str, start: int | None, end: int | None) -> bytes:
        from fsspec.asyn import sync

        wanted = PART_BYTES if start is None or end is None else end - start
        try:
            if filesystem.async_impl:
                limit = max(self._stall_s, wanted / SLOWEST)
                read = filesystem._cat_file
                part = sync(filesystem.loop, read, name, start=start, end=end, timeout=limit)
            else:
                part = filesystem.cat_file(name, start=start, end=end)
        except FileNotFoundError as error:
            raise RefusedError("no such file") from error
        except PermissionError as error:
            raise RefusedError(f"no permission ({error})") from error
        except Exception as error:  # backends raise what they like: all else may pass
            if type(error).__name__ in _CREDENTIAL_ERRORS:
                raise RefusedError("no credentials in the environment or the backend's configuration") from error
            raise TransferError(_told(error, self._stall_s)) from error
        return bytes(part)


class S3Source:
    """A folder in a bucket: s3fs signs the addresses, and plain HTTP reads them at half of s3fs's CPU time.

    What is refused so is left to s3fs, which follows a bucket to its region and tells best what is wrong.
    """

    def __init__(self, url: str, stall_s: float) -> None:
        self._plain = FsspecSource(url, stall_s)
        self._signed = HttpSource(self._plain.sign, stall_s)

    def open(self, path: str, offset: int, size: int | None, *, is_fresh: bool) -> tuple[int, Pieces]:
        """See ``Source``."""
        try:
            return self._signed.open(path, offset, size, is_fresh=is_fresh)
        except RefusedError:
            return self._plain.open(path, offset, size, is_fresh=is_fresh)


class _Pace:
    """Watches that bytes keep coming: a server that drips them one by one never trips a socket's time-out."""

    def __init__(self, stall_s: float) -> None:
        self._stall_s, self._since, self._bytes = stall_s, time.monotonic(), 0

    def add(self, count: int) -> None:
        """Count what came.

        Raises:
            TransferError: the last ``stall_s`` brought less than ``SLOWEST`` bytes a second.
        """
        self._bytes += count
        passed = time.monotonic() - self._since
        if passed < self._stall_s:
            return
        if self._bytes < SLOWEST * passed:
            raise TransferError(f"a stalled transfer: {self._bytes:,} bytes in {passed:.1f} s")
        self._since, self._bytes = time.monotonic(), 0


def _first_byte(response: http.client.HTTPResponse, offset: int) -> int:
    """Where a response begins, by its status and ``Content-Range``."""
    if response.status == http.HTTPStatus.OK:
        return 0
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if response.status != http.HTTPStatus.PARTIAL_CONTENT or not found or int(found[1]) != offset:
        response.close()
        raise WrongFileError(f"another range than asked for (status {response.status})")
    return offset


def _status_error(error: urllib.error.HTTPError) -> Exception:
    told = f"status {error.code} {error.reason}"
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return WrongFileError(f"{told}: the server's file ends earlier")
    return TransferError(told) if error.code in _TRANSIENT else RefusedError(told)


def _told(error: BaseException | str, stall_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"a stalled transfer: nothing for {stall_s:g} s"
    return f"{type(error).__name__} {error}".strip() if isinstance(error, BaseException) else error


def _netrc_login(host: str) -> str | None:
    """The ``Authorization`` of a host that ``~/.netrc`` names."""
    try:
        found = netrc.netrc().authenticators(host)
    except FileNotFoundError:
        return None
    except netrc.NetrcParseError as error:
        raise ConfigError(f"~/.netrc: must be readable to log in to {host}, found {error.msg}; mend it") from error
    return None if found is None else "Basic " + base64.b64encode(f"{found[0]}:{found[2]}".encode()).decode()
