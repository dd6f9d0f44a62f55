"""Where a request comes from: only a trusted proxy's word counts."""

from __future__ import annotations

import pytest
from fastapi import Request

from app.api.client import client_address
from app.settings import Settings


def address(peer: tuple[str, int] | None, forwarded: str | None, trusted: str = "") -> str | None:
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
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
    assert address((peer, 50000), forwarded, trusted) == expected


def test_a_request_without_a_peer_has_no_address() -> None:
    assert address(None, "203.0.113.1", "0.0.0.0/0") is None
