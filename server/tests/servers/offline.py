"""Runs a module in a process that reaches this machine alone: `-m tests.servers.offline MODULE`.

Whatever a made-up request has the service do, no letter and no question leaves. Other names are
unknown and other addresses out of reach, as on a machine without a network.
"""

from __future__ import annotations

import errno
import runpy
import socket
import sys
from typing import Any

from tests.servers.network import is_here


def cut_off() -> None:
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    getaddrinfo = socket.getaddrinfo

    def is_outside(self: socket.socket, address: Any) -> bool:
        return self.family in {socket.AF_INET, socket.AF_INET6} and not is_here(address[0])

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if is_outside(self, address):
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        return errno.ENETUNREACH if is_outside(self, address) else connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name and not is_here(name):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return getaddrinfo(host, *rest, **options)

    socket.socket.connect = guarded_connect  # type: ignore[assignment,method-assign]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[assignment,method-assign]
    socket.getaddrinfo = guarded_getaddrinfo


if __name__ == "__main__":
    cut_off()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
