"""Where a request comes from."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from fastapi import Request

from app.settings import Settings


def client_address(request: Request, settings: Settings) -> str | None:
    """The address of the client. `X-Forwarded-For` counts only from a proxy in TRUSTED_PROXIES.

    Anybody can send that header. Each proxy adds the address it saw at the end, so the client is
    the last one there that is no trusted proxy itself.
    """
    if request.client is None:
        return None
    host, port = request.client
    if port == 0:
        # uvicorn has put the header's word in the place of the peer, which was on this machine.
        host = "127.0.0.1"
    if not _trusted(host, settings):
        return host
    named = request.headers.get("x-forwarded-for", "").split(",")
    for each in reversed([part.strip() for part in named if part.strip()]):
        if not _trusted(each, settings):
            return each if _is_address(each) else host
    return host


def _trusted(host: str, settings: Settings) -> bool:
    if not _is_address(host):
        return False
    address = ip_address(host)
    return any(address in ip_network(each, strict=False) for each in settings.trusted_proxies)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
