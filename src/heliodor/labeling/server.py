"""The HTTP server: lets in whom `safety` lets in, and answers what `routes` answers."""

from __future__ import annotations

import errno
import socket
import socketserver
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from heliodor.errors import SettingsError
from heliodor.labeling.messages import Response
from heliodor.labeling.routes import answer
from heliodor.labeling.safety import HEADERS, MOST_BYTES, PATIENCE, Guard

if TYPE_CHECKING:
    from heliodor.labeling.app import App

PORT = 8765  # where it is free and no other is asked for


class Server(ThreadingHTTPServer):
    """Serves one session.

    Parameters
    ----------
    app : App
    host : str
        Address to listen on; only this machine can reach the default.
    port : int, optional
        Default: `PORT`, or any that is free.

    Raises
    ------
    SettingsError
        The address cannot be listened on.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, app: App, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.app, self.guard = app, Guard(host)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            try:
                super().__init__((host, PORT if port is None else port), _Handler)
            except OSError as error:
                if port is not None or error.errno != errno.EADDRINUSE:
                    raise
                super().__init__((host, 0), _Handler)
        except (OSError, OverflowError) as error:
            raise SettingsError(
                f"--host {host} --port {port}: cannot listen there ({error}); choose another"
            ) from error

    def server_bind(self) -> None:
        """Bind without asking a name server for this machine's name, which may take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.guard.host, int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that has gone in the middle of a request: the terminal is the user's."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """What to open in a browser, token included."""
        host = self.guard.host
        if host in ("0.0.0.0", "::"):
            host = socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}/{self.guard.token}/"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "heliodor", ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        self._handle("GET")

    def do_POST(self) -> None:
        self._handle("POST")

    def _handle(self, method: str) -> None:
        path, _, query = self.path.partition("?")
        token, slash, rest = path.removeprefix("/").partition("/")
        host, guard = self.headers.get("Host"), self.server.guard
        if not (guard.knows_host(host) and path.startswith("/") and guard.knows_token(token)):
            self._refuse(403, "open the whole address that heliodor label printed when it was last started")
        elif not slash:
            self._send(Response(b"", status=308), {"Location": f"/{token}/"})
        elif method == "GET":
            self._send(answer(self.server.app, method, rest, query, b""))
        elif not guard.same_origin(self.headers.get("Origin"), host):
            self._refuse(403, "a page of another site may not change anything")
        else:
            self._post(rest, query)

    def _post(self, path: str, query: str) -> None:
        if self.headers.get_content_type() != "application/json":
            self._refuse(415, "changes come as JSON")
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._refuse(411, "how long is it?")
        elif len(length) > 9 or int(length) > MOST_BYTES:
            self._refuse(413, f"at most {MOST_BYTES} bytes at a time")
        else:
            self._send(answer(self.server.app, "POST", path, query, self.rfile.read(int(length))))

    def _refuse(self, status: int, why: str) -> None:
        self.close_connection = True  # the body, if there is one, has not been read
        self._send(
            Response(f"heliodor: {why}\n".encode(), "text/plain; charset=utf-8", status), {"Connection": "close"}
        )

    def _send(self, response: Response, headers: dict[str, str] | None = None) -> None:
        self.send_response(response.status)
        facts = {"Content-Type": response.type, "Content-Length": str(len(response.body))}
        for name, value in {**facts, "Cache-Control": response.cache, **HEADERS, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal is the user's, and addresses hold the token."""
