"""A small HTTP server on a loopback port or a unix socket: /metrics, /healthz, /readyz; it answers GET, nothing else.

What it tells is not secret but not for everybody either (names, labels, annotations), so it does not listen on the
network.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import socketserver
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from vmctl.engine.metrics import Engine, Objects
from vmctl.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmctl.engine.running import Runner
    from vmctl.engine.session import Session

log = logging.getLogger(__name__)
UNIX = "unix:"
POLL_S = 0.5  # how long the end may take
TIMEOUT_S = 10  # for a client that says nothing


@contextmanager
def serving(address: str, runner: Runner, session: Session) -> Iterator[str]:
    """Serve until the block ends; gives the address. Raises UsageError for one that cannot be listened on."""
    registry = CollectorRegistry()
    registry.register(Objects(session.ledger))
    registry.register(Engine(runner))
    try:
        server = _Unix(address, registry, runner) if address.startswith(UNIX) else _Tcp(address, registry, runner)
    except OSError as error:
        raise UsageError(
            f"{address} cannot be listened on: {error.strerror or error}", remedy="name another port or path"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True, args=(POLL_S,))
    thread.start()
    log.info("serving /metrics, /healthz and /readyz on %s", server.shown)
    try:
        yield server.shown
    finally:
        server.shutdown()
        server.server_close()
        with suppress(OSError):
            if address.startswith(UNIX):
                Path(address.removeprefix(UNIX)).unlink()


class _Answers(BaseHTTPRequestHandler):
    """One request."""

    server: _Tcp | _Unix
    timeout = TIMEOUT_S
    server_version, sys_version = "vmctl", ""

    def do_GET(self) -> None:  # the name that http.server calls
        """Answer by path."""
        match self.path.partition("?")[0]:
            case "/metrics":
                encode, kind = choose_encoder(self.headers.get("Accept") or "")
                self._answer(200, encode(self.server.registry), kind)
            case "/healthz":
                self._judge(self.server.runner.healthy)
            case "/readyz":
                self._judge(self.server.runner.ready)
            case _:
                self._answer(404, b"there is /metrics, /healthz and /readyz\n")

    def _judge(self, trouble: str) -> None:
        self._answer(503 if trouble else 200, f"{trouble or 'ok'}\n".encode())

    def _answer(self, code: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # the name of http.server
        """Requests are nothing to write home about."""
        log.debug(format, *arguments)

    def address_string(self) -> str:
        """Who asks; a unix socket has nobody to name."""
        return str(self.client_address)


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address = True, True

    def __init__(self, address: str, registry: CollectorRegistry, runner: Runner) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        if not port.isdecimal() or not _loopback(host):
            raise UsageError(
                f"{address!r} is no loopback address with a port",
                remedy="write --listen 127.0.0.1:9177 or --listen unix:/run/vmctl.sock; a proxy can publish it",
            )
        self.registry, self.runner = registry, runner
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, int(port)), _Answers)
        self.shown = f"http://{address.rpartition(':')[0]}:{self.server_address[1]}"


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, address: str, registry: CollectorRegistry, runner: Runner) -> None:
        path = Path(address.removeprefix(UNIX))
        if not path.is_absolute():
            raise UsageError(f"{address!r} names no absolute path", remedy="write --listen unix:/run/vmctl.sock")
        self.registry, self.runner = registry, runner
        self.shown = address
        if path.is_socket() and not _answers(path):
            path.unlink()  # left by one that was killed
        before = os.umask(0o117)  # its owner and group may connect
        try:
            super().__init__(str(path), _Answers)
        finally:
            os.umask(before)


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _answers(path: Path) -> bool:
    """Whether somebody listens on a unix socket."""
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(str(path)) == 0
