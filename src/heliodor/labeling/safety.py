"""Who may ask the server for anything: a browser that has the token, from an address that is the server's own."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass, field

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
MOST_BYTES = 4 * 2**20  # of a request's body
PATIENCE = 30.0  # seconds that a connection may be silent in the middle of a request
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Guard:
    """Checks requests before anything is done for them.

    A page of another site cannot read the token, and is kept from asking under another name for this machine (DNS
    rebinding) by the check of the Host header.

    Parameters
    ----------
    host : str
        Address that the server listens on.
    token : str
        First part of every path.
    """

    host: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host == "localhost" or (_is_address(self.host) and ipaddress.ip_address(self.host).is_loopback)

    def knows_host(self, header: str | None) -> bool:
        """Whether a Host header is a name of this server; any port, since ssh may forward another one."""
        name = _host_of(header or "")
        if name in _LOOPBACK or name == self.host.lower():
            return True
        if self.is_local:
            return False
        # A rebound name is never a bare address.
        return _is_address(name.strip("[]")) or name in {socket.gethostname().lower(), socket.getfqdn().lower()}

    def knows_token(self, token: str) -> bool:
        """Whether this is the token, compared in a time that does not depend on how much of it is right."""
        return secrets.compare_digest(token.encode(), self.token.encode())

    def same_origin(self, origin: str | None, host: str | None) -> bool:
        """Whether a request that changes something is from a page of this server, or from no page at all."""
        return origin is None or origin == f"http://{host}"


def _host_of(header: str) -> str:
    """Return the name in a Host header, without its port, in small letters."""
    name = header.strip().lower()
    head, colon, port = name.rpartition(":")
    return head if colon and port.isdigit() and (head.endswith("]") or ":" not in head) else name


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
