"""An HTTP server on loopback that serves one file and misbehaves as told: what mirrors and networks really do."""

from __future__ import annotations

import re
import select
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator


@dataclass
class Behaviour:
    """How the server answers; tests change it between and during requests."""

    content: bytes = b""
    etag: str = '"one"'
    last_modified: str = ""
    ranges: bool = True
    honours_if_range: bool = True
    length: bool = True
    claimed_length: int | None = None
    chunked: bool = False
    cut_after: list[int] = field(
        default_factory=list
    )  # one entry per answer: bytes of body before the connection breaks
    statuses: list[int] = field(default_factory=list)  # one entry per request: an error in place of the file
    redirect_to: str = ""
    before_chunk: Callable[[int], None] | None = None  # called with the number of body bytes sent so far
    chunk: int = 64 << 10
    requests: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0


class Handler(BaseHTTPRequestHandler):
    """Answers GET for any path with the one file."""

    behaviour: Behaviour

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it so
        pass

    def do_GET(self) -> None:
        behaviour = self.behaviour
        behaviour.requests.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
        if behaviour.statuses and (status := behaviour.statuses.pop(0)):
            self.send_error(status)
            return
        if behaviour.redirect_to:
            self.send_response(302)
            self.send_header("Location", behaviour.redirect_to)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._file(behaviour)

    def _file(self, behaviour: Behaviour) -> None:
        content, start = behaviour.content, 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        unchanged = self.headers.get("If-Range") in (None, behaviour.etag, behaviour.last_modified)
        if asked and behaviour.ranges and (unchanged or not behaviour.honours_if_range):
            start = int(asked[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if behaviour.etag:
            self.send_header("ETag", behaviour.etag)
        if behaviour.last_modified:
            self.send_header("Last-Modified", behaviour.last_modified)
        body = content[start:]
        if behaviour.chunked:
            self.protocol_version = "HTTP/1.1"
            self.send_header("Transfer-Encoding", "chunked")
        elif behaviour.length:
            claimed = behaviour.claimed_length
            self.send_header("Content-Length", str(len(body) if claimed is None else claimed - start))
        self.send_header("Connection", "close")
        self.end_headers()
        self._body(behaviour, body)

    def _body(self, behaviour: Behaviour, body: bytes) -> None:
        self.close_connection = True
        limit = behaviour.cut_after.pop(0) if behaviour.cut_after else len(body)
        sent = 0
        try:
            while sent < min(limit, len(body)):
                if behaviour.before_chunk is not None:
                    behaviour.before_chunk(sent)
                piece = body[sent : min(sent + behaviour.chunk, limit)]
                if behaviour.chunked:
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                else:
                    self.wfile.write(piece)
                sent += len(piece)
                behaviour.sent += len(piece)
            if behaviour.chunked and sent == len(body):
                self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass


class Quiet(ThreadingHTTPServer):
    """A server whose clients may go away in the middle."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def serving(behaviour: Behaviour, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve until the block ends; yields the URL of the file."""
    handler = type(
        "Bound",
        (Handler,),
        {"behaviour": behaviour, "protocol_version": "HTTP/1.1" if behaviour.chunked else "HTTP/1.0"},
    )
    server = Quiet(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        scheme = "http" if context is None else "https"
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}/image"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Tunnel(BaseHTTPRequestHandler):
    """A proxy that knows CONNECT and nothing else."""

    asked: list[str]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_CONNECT(self) -> None:
        self.asked.append(self.path)
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            self.send_response(200)
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
    server = Quiet(("127.0.0.1", 0), type("Bound", (Tunnel,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
