"""What the server is called: requests that call it by another name are refused.

Place in the flow: address to listen at, and names that are allowed -> hosts_of -> HostCheck, before anything else.

A page of another site can let its own name point to this machine (DNS rebinding) and would then be the same origin
to a browser. It cannot choose what the `Host` header says.
"""

import socket
from collections.abc import Collection
from contextlib import suppress
from ipaddress import IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from fusemix.web.answers import Refusal

LOCAL = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::", "")


def is_local(host: str) -> bool:
    """Whether a server that listens at a name or an address can be reached from this machine alone."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host in LOCAL


def hosts_of(host: str, allowed: Collection[str] = ()) -> frozenset[str]:
    """Names that requests may call a server by; the address that a connection reached counts besides.

    Args:
        host: that it listens at.
        allowed: further names, such as those that a proxy passes on.
    """
    if host in LOCAL:
        own: Collection[str] = LOCAL
    else:
        own = {*(LOCAL if host in EVERYWHERE else (host,)), *_names_of_this_machine()}
    return frozenset(_tidy(name) for name in (*own, *allowed))


def _names_of_this_machine() -> set[str]:
    name, full = socket.gethostname(), ""
    with suppress(OSError, UnicodeError):
        full = socket.getfqdn(name)
    short = name.partition(".")[0]
    return {one for one in (name, full, short, short and f"{short}.local") if one}


def _tidy(name: str) -> str:
    return name.strip().lower().removesuffix(".")


class HostCheck:
    """Refuses requests that call the server by another name.

    Args:
        app: what comes next.
        hosts: see `hosts_of`.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self.app, self.hosts = app, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if scope["type"] == "http":
            name = _tidy(_without_port(Headers(scope=scope).get("host", "")))
            if name not in self.hosts and not _is_reached(name, scope):
                message = f"this server is not called {name[:100]!r}; it listens for {', '.join(sorted(self.hosts))}"
                await Refusal(421, message).response()(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _without_port(host: str) -> str:
    return host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]


def _is_reached(name: str, scope: Scope) -> bool:
    """Whether a name is the very address that the connection came in at, which no name of another site can be."""
    try:
        called, reached = ip_address(name), ip_address((scope.get("server") or ("",))[0])
    except ValueError:
        return False
    if isinstance(reached, IPv6Address) and reached.ipv4_mapped:
        reached = reached.ipv4_mapped
    return called == reached
