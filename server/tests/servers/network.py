"""Ports of this machine, and a guard that keeps tests on it."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from typing import Any

import pytest


class OutsideNetwork(BaseException):
    """A test tried to reach another machine. No code under test may catch this as an OSError."""


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that are free now, for servers that cannot choose one themselves."""
    with contextlib.ExitStack() as stack:
        bound = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in bound]


def forbid_outside(patch: pytest.MonkeyPatch) -> None:
    """Lets sockets of this process connect to loopback and Unix sockets only.

    Names below `.invalid` (RFC 6761) are answered as "no such host", without asking anybody.
    C libraries with sockets of their own (libpq) and child processes are not covered.
    """
    connect, connect_ex, sendto = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.socket.sendto,
    )
    getaddrinfo = socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _check(self, address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _check(self, address)
        return connect_ex(self, address)

    def guarded_sendto(self: socket.socket, data: Any, *rest: Any) -> int:
        _check(self, rest[-1])
        return sendto(self, data, *rest)

    def guarded_getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if isinstance(name, str) and name.rstrip(".").lower().endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if name and not is_here(name):
            raise OutsideNetwork(f"a test asked for the address of {name!r}")
        return getaddrinfo(host, *rest, **options)

    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    patch.setattr(socket.socket, "sendto", guarded_sendto)
    patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)


def _check(sock: socket.socket, address: Any) -> None:
    if sock.family in {socket.AF_INET, socket.AF_INET6} and not is_here(address[0]):
        raise OutsideNetwork(f"a test tried to reach {address[0]!r}, port {address[1]}")


def is_here(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    if host.lower() in {"localhost", "localhost.", socket.gethostname().lower()}:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
