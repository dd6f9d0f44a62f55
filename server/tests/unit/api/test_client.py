"""Where a request comes from: only a trusted proxy's word counts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import Request
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.api.client import client_address
from app.settings import Settings


def address(peer: tuple[str, int] | None, *forwarded: str, trusted: str = "") -> str | None:
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    request = Request({"type": "http", "client": peer, "headers": headers})
    return client_address(request, Settings(trusted_proxies=trusted))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "expected"),
    [
        ("198.51.100.7", None, "", "198.51.100.7"),
        ("198.51.100.7", "203.0.113.1", "", "198.51.100.7"),
        ("198.51.100.7", "203.0.113.1", "10.0.0.0/8", "198.51.100.7"),
        ("10.0.0.2", "203.0.113.1", "10.0.0.0/8", "203.0.113.1"),
        # What the client itself wrote stands before what the proxies saw.
        ("10.0.0.2", "127.0.0.1, 203.0.113.1, 10.0.0.9", "10.0.0.0/8", "203.0.113.1"),
        ("10.0.0.2", "203.0.113.1, rubbish", "10.0.0.0/8", "10.0.0.2"),
        ("10.0.0.2", " , ,", "10.0.0.0/8", "10.0.0.2"),
        ("10.0.0.2", "10.0.0.3", "10.0.0.0/8", "10.0.0.2"),
        ("2001:db8::1", "203.0.113.1", "2001:db8::/32", "203.0.113.1"),
        ("testclient", "203.0.113.1", "0.0.0.0/0", "testclient"),
    ],
)
def test_whose_word_counts(peer: str, forwarded: str | None, trusted: str, expected: str) -> None:
    headers = () if forwarded is None else (forwarded,)
    assert address((peer, 50000), *headers, trusted=trusted) == expected


def test_a_proxy_may_write_a_header_of_its_own_behind_the_clients() -> None:
    said = address(("10.0.0.2", 50000), "192.0.2.9", "203.0.113.1", trusted="10.0.0.0/8")
    assert said == "203.0.113.1"


@pytest.mark.parametrize(
    "forwarded",
    [
        ("203.0.113.1",),
        ("203.0.113.1:80",),
        ("203.0.113.1:0_80",),
        ("[203.0.113.1]:80",),
        ("[2001:db8::1]:80",),
        ("[2001:db8::1]:x",),
        ("2001:db8::1",),
        ("192.0.2.9", "203.0.113.1:80"),
        ("203.0.113.1:80, 127.0.0.1",),
        ("rubbish:80",),
    ],
)
@pytest.mark.parametrize("all_trusted", [False, True])
def test_what_uvicorn_made_of_the_header_is_no_peer(
    forwarded: tuple[str, ...], all_trusted: bool
) -> None:
    """As the service runs where somebody forgets --no-proxy-headers."""
    seen: list[tuple[str, int]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"])

    scope: Any = {
        "type": "http",
        "client": ("127.0.0.1", 50000),
        "headers": [(b"x-forwarded-for", each.encode()) for each in forwarded],
    }
    rewriting = ProxyHeadersMiddleware(app, "*" if all_trusted else "127.0.0.1")
    unused: Any = None
    asyncio.run(rewriting(scope, unused, unused))
    (peer,) = seen
    assert peer != ("127.0.0.1", 50000)
    assert address(peer, *forwarded) == "127.0.0.1"


def test_a_proxy_may_name_the_port_too() -> None:
    assert address(("10.0.0.2", 1), "203.0.113.1:99", trusted="10.0.0.0/8") == "203.0.113.1"
    assert address(("10.0.0.2", 1), "[2001:db8::1]:99", trusted="10.0.0.0/8") == "2001:db8::1"


def test_a_request_without_a_peer_has_no_address() -> None:
    assert address(None, "203.0.113.1", trusted="0.0.0.0/0") is None
