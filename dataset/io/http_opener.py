"""Opens addresses of web servers, which may be strangers': none can lead elsewhere or keep a reader waiting without end.

The standard library follows a redirect from ``https`` to ``http`` or ``ftp``, and its time-out starts anew with every byte: a
server that sends its headers byte by byte, or answers "continue" for ever, would be listened to for ever.
"""

import http.client
import socket
import threading
from contextlib import suppress
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)


class RedirectError(Exception):
    """A server redirects to where no reader of its address should go."""


def web_opener(answer_s: float) -> OpenerDirector:
    """What opens ``http`` and ``https`` addresses and no others; headers must have come within so many seconds."""
    opener = OpenerDirector()
    for handler in (_Http(answer_s), _Https(answer_s), _SameScheme(), ProxyHandler()):
        opener.add_handler(handler)
    for plain in (HTTPDefaultErrorHandler(), HTTPErrorProcessor()):
        opener.add_handler(plain)
    return opener


class _SameScheme(HTTPRedirectHandler):
    """Follows redirects to the same scheme, or from ``http`` to ``https``."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in (before, "https"):
            fp.close()
            raise RedirectError(f"a redirect from {before} to {after[:20]!a}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Response(http.client.HTTPResponse):
    """A response whose trailers are not read: no connection is used twice, and there may be no end of them."""

    def _read_and_discard_trailer(self) -> None:
        pass


class _HttpConnection(http.client.HTTPConnection):
    response_class = _Response

    def __init__(self, *arguments: Any, answer_s: float, **others: Any) -> None:
        super().__init__(*arguments, **others)
        self._answer_s = answer_s

    def getresponse(self) -> http.client.HTTPResponse:
        with _Deadline(self.sock, self._answer_s):
            return super().getresponse()


class _HttpsConnection(_HttpConnection, http.client.HTTPSConnection):
    pass


class _Deadline:
    """Cuts a connection whose context does not end in time; what the context raises then is a ``TimeoutError``."""

    def __init__(self, line: socket.socket, seconds: float) -> None:
        self._line, self._is_over = line, False
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        self._timer.cancel()
        if self._is_over and isinstance(error, OSError | http.client.HTTPException):
            raise TimeoutError from error

    def _cut(self) -> None:
        self._is_over = True
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)


class _Http(HTTPHandler):
    def __init__(self, answer_s: float) -> None:
        super().__init__()
        self._answer_s = answer_s

    def http_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpConnection, req, answer_s=self._answer_s)  # type: ignore[arg-type]


class _Https(HTTPSHandler):
    def __init__(self, answer_s: float) -> None:
        super().__init__()
        self._answer_s = answer_s

    def https_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_HttpsConnection, req, answer_s=self._answer_s)  # type: ignore[arg-type]
