"""The guard lets loopback through and nothing else."""

from __future__ import annotations

import socket

import pytest

from tests.servers.network import OutsideNetwork


def test_loopback_is_let_through() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        socket.create_connection(listener.getsockname()).close()
        socket.create_connection(("localhost", listener.getsockname()[1])).close()


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_other_addresses_are_not(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as sock:
            with pytest.raises(OutsideNetwork, match=host):
                sock.connect((host, 25))
            with pytest.raises(OutsideNetwork, match=host):
                sock.connect_ex((host, 25))
            with pytest.raises(OutsideNetwork, match=host):
                sock.sendto(b"x", (host, 25))


def test_names_are_not_looked_up() -> None:
    with pytest.raises(OutsideNetwork, match=r"mail\.example\.org"):
        socket.create_connection(("mail.example.org", 25))
    with pytest.raises(socket.gaierror):
        socket.create_connection(("mail.invalid", 25))
