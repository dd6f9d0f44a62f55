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
    # A proxy may add a header of its own instead of adding to the one that came.
    lines = request.headers.getlist("x-forwarded-for")
    named = [_parted(part.strip()) for line in lines for part in line.split(",") if part.strip()]
    if port == 0 or (host, port) in named:
        # Without --no-proxy-headers, uvicorn has put the header's word in the place of the peer,
        # which was on this machine.
        host = "127.0.0.1"
    if not _trusted(host, settings):
        return host
    for each, _port in reversed(named):
        if not _trusted(each, settings):
            return each if _is_address(each) else host
    return host


def _parted(text: str) -> tuple[str, int]:
    """`address`, `address:port`, `[address]` or `[address]:port` as both; port 0: none.

    What is no number is read as leniently as uvicorn reads it.
    """
    bracketed = text.startswith("[") and "]" in text
    if bracketed:
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        return text, 0
    try:
        return host, int(port) if port else 0
    except ValueError:
        return (host if bracketed else text), 0


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
