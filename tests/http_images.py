"""An HTTP server on loopback for tests: serves one directory with ranges, and misbehaves as told."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in; `start` is where the range asked for begins, None without a range."""

    method: str
    path: str
    start: int | None


@dataclass
class Conduct:
    """How the server behaves from now on; a test may change it between two requests."""

    ranges: bool = True  # answer 206 to a range; otherwise the whole file with 200
    length: bool = True  # say Content-Length
    cut_after_bytes: int | None = None  # close the connection after so many bytes of one answer's body
    status: HTTPStatus | None = None  # answer every request with this and no body
    before_chunk: Callable[[int], None] | None = None  # called with the number of body bytes sent so far; may wait
    requests: list[Request] = field(default_factory=list)


class ImageServer:
    """Serves the files of a directory while it is entered; it stops its threads when it is left."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.directory = directory
        self.conduct = Conduct()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(directory, self.conduct))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="image-server"
        )

    def url(self, name: str) -> str:
        """The address of one file."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{name}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(directory: Path, conduct: Conduct) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Requests are kept in the conduct, not printed."""

        def _answer(self, *, body: bool) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(asked[1]) if asked else None
            conduct.requests.append(Request(self.command, self.path, start))
            file = directory / unquote(urlsplit(self.path).path).lstrip("/")
            if conduct.status is not None or not file.is_file():
                self._refuse(conduct.status or HTTPStatus.NOT_FOUND)
            elif start is not None and conduct.ranges and start >= file.stat().st_size:
                self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            else:
                self._send_file(file, start if conduct.ranges else None, body=body)

        def _refuse(self, status: HTTPStatus) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send_file(self, file: Path, start: int | None, *, body: bool) -> None:
            size = file.stat().st_size
            self.send_response(HTTPStatus.OK if start is None else HTTPStatus.PARTIAL_CONTENT)
            if start is not None:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            if conduct.ranges:
                self.send_header("Accept-Ranges", "bytes")
            if conduct.length:
                self.send_header("Content-Length", str(size - (start or 0)))
            else:
                self.send_header("Connection", "close")
            self.send_header("ETag", f'"{file.stat().st_mtime_ns:x}-{size:x}"')
            self.end_headers()
            if body:
                self._send_body(file, start or 0)

        def _send_body(self, file: Path, start: int) -> None:
            left = conduct.cut_after_bytes
            with file.open("rb") as content:
                content.seek(start, os.SEEK_SET)
                while chunk := content.read(CHUNK if left is None else min(CHUNK, left)):
                    if conduct.before_chunk is not None:
                        conduct.before_chunk(content.tell() - start - len(chunk))
                    try:
                        self.wfile.write(chunk)
                    except (BrokenPipeError, ConnectionResetError):  # the client went away first
                        self.close_connection = True
                        return
                    left = None if left is None else left - len(chunk)
            if left is not None or not conduct.length:
                self.close_connection = True

    return Handler
