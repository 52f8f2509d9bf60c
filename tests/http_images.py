"""An HTTP server on loopback that serves files and misbehaves as told: what mirrors and networks really do."""

from __future__ import annotations

import io
import os
import re
import select
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, BinaryIO, Self
from urllib.parse import unquote, urljoin, urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Request(dict[str, str]):
    """One request as it came in: its headers by their names in lower case, and its path."""

    @property
    def start(self) -> int | None:
        """Where the range asked for begins, None without a range."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.get("range", ""))
        return int(asked[1]) if asked else None


@dataclass
class Behaviour:
    """How the server answers; tests change it between and during requests. It serves one content under every path, or a
    directory.
    """

    content: bytes = b""
    directory: Path | None = None
    etag: str = '"one"'  # of the content; a file of the directory has one of its own
    last_modified: str = ""
    ranges: bool = True
    honours_if_range: bool = True
    length: bool = True
    claimed_length: int | None = None
    chunked: bool = False
    cut_after: list[int] = field(
        default_factory=list
    )  # one entry per answer: bytes of body before the connection breaks
    status: int | None = None  # an error in place of every file
    statuses: list[int] = field(default_factory=list)  # one entry per request: an error in place of the file
    redirect_to: str = ""
    before_chunk: Callable[[int], None] | None = None  # called with the number of body bytes sent so far; may wait
    chunk: int = 64 << 10
    requests: list[Request] = field(default_factory=list)
    sent: int = 0

    def opened(self, path: str) -> tuple[BinaryIO, str] | None:
        """What is served under a path, and its ETag; None where there is nothing."""
        if self.directory is None:
            return io.BytesIO(self.content), self.etag
        file = self.directory / unquote(urlsplit(path).path).lstrip("/")
        if not file.is_file():
            return None
        return file.open("rb"), f'"{file.stat().st_mtime_ns:x}-{file.stat().st_size:x}"'


class Handler(BaseHTTPRequestHandler):
    """Answers GET as its behaviour says."""

    behaviour: Behaviour

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        pass

    def do_GET(self) -> None:
        behaviour = self.behaviour
        behaviour.requests.append(
            Request(path=self.path, **{name.lower(): value for name, value in self.headers.items()})
        )
        status = behaviour.status or (behaviour.statuses.pop(0) if behaviour.statuses else None)
        if status:
            self.send_error(status)
        elif behaviour.redirect_to:
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", behaviour.redirect_to)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif (found := behaviour.opened(self.path)) is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            with found[0] as content:
                self._file(behaviour, content, found[1])

    def _file(self, behaviour: Behaviour, content: BinaryIO, etag: str) -> None:
        size, start = content.seek(0, os.SEEK_END), 0
        asked = behaviour.requests[-1].start
        unchanged = self.headers.get("If-Range") in (None, etag, behaviour.last_modified)
        if asked is not None and behaviour.ranges and (unchanged or not behaviour.honours_if_range):
            start = asked
            if start >= size:
                self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(HTTPStatus.PARTIAL_CONTENT)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(HTTPStatus.OK)
        if etag:
            self.send_header("ETag", etag)
        if behaviour.last_modified:
            self.send_header("Last-Modified", behaviour.last_modified)
        if behaviour.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif behaviour.length:
            claimed = behaviour.claimed_length
            self.send_header("Content-Length", str((size if claimed is None else claimed) - start))
        self.send_header("Connection", "close")
        self.end_headers()
        content.seek(start)
        self._body(behaviour, content, size - start)

    def _body(self, behaviour: Behaviour, content: BinaryIO, length: int) -> None:
        self.close_connection = True
        limit = min(length, behaviour.cut_after.pop(0)) if behaviour.cut_after else length
        sent = 0
        try:
            while sent < limit:
                if behaviour.before_chunk is not None:
                    behaviour.before_chunk(sent)
                piece = content.read(min(behaviour.chunk, limit - sent))
                if not piece:  # somebody has cut the file off meanwhile
                    return
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if behaviour.chunked else piece)
                sent += len(piece)
                behaviour.sent += len(piece)
            if behaviour.chunked and sent == length:
                self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):  # the client went away first
            pass


class Quiet(ThreadingHTTPServer):
    """A server whose clients may go away in the middle."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[str]:
    """Serve until the block ends; yields host and port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serving(behaviour: Behaviour, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve one content until the block ends; yields its URL."""
    version = "HTTP/1.1" if behaviour.chunked else "HTTP/1.0"
    handler = type("Bound", (Handler,), {"behaviour": behaviour, "protocol_version": version})
    server = Quiet(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with running(server) as place:
        yield f"{'http' if context is None else 'https'}://{place}/image"


class ImageServer:
    """Serves the files of a directory while it is entered."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.behaviour = Behaviour(directory=directory)

    def url(self, name: str) -> str:
        """The address of one file."""
        return urljoin(self._url, name)

    def __enter__(self) -> Self:
        self._serving = serving(self.behaviour)
        self._url = self._serving.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._serving.__exit__(None, None, None)


class Tunnel(BaseHTTPRequestHandler):
    """A proxy that knows CONNECT and nothing else."""

    asked: list[str]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_CONNECT(self) -> None:
        self.asked.append(self.path)
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            self.send_response(HTTPStatus.OK)
            self.end_headers()
            ends = {self.connection: far, far: self.connection}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    data = end.recv(1 << 16)
                    if not data:
                        return
                    ends[end].sendall(data)


@contextmanager
def tunnelling() -> Iterator[tuple[str, list[str]]]:
    """Run a tunnelling proxy; yields its URL and the list of hosts it was asked for."""
    asked: list[str] = []
    with running(Quiet(("127.0.0.1", 0), type("Bound", (Tunnel,), {"asked": asked}))) as place:
        yield f"http://{place}", asked
