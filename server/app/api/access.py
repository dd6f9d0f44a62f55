"""Whose request this is."""

from __future__ import annotations

import hmac
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.access.sessions import csrf_token
from app.api.client import client_address
from app.api.errors import ApiError
from app.api.state import get_program
from app.bootstrap.program import Program
from app.mailer.domain.errors import AccessDenied

#: The prefix has browsers take it only over HTTPS, for this very host, and for all paths.
COOKIE = "__Host-multimailer"

_BEARER = "bearer "
_SAFE = {"GET", "HEAD", "OPTIONS"}
_DEFAULT_PORTS = {"http": 80, "https": 443}


def admit(request: Request, needs: Scope | None) -> None:
    """Find out whose request this is, before anything of its body is read.

    401 where it has no key and no session that counts, 403 without the scope `needs`, and for a
    request that another site may have had the browser send.
    """
    actor = _actor_of(request, get_program(request))
    if needs is not None:
        require_scope(actor, needs)
    request.state.actor = actor


def current_actor(request: Request) -> Actor:
    """Whoever was admitted."""
    actor = request.state.actor
    assert isinstance(actor, Actor)
    return actor


CurrentActor = Annotated[Actor, Depends(current_actor)]


def csrf_token_of(request: Request) -> str | None:
    """What the page must send beside the cookie; None where the request came without one."""
    token = request.cookies.get(COOKIE)
    return None if token is None or _presented(request) is not None else csrf_token(token)


def _actor_of(request: Request, program: Program) -> Actor:
    """X-API-Key goes before Authorization, and that before the cookie; only the first counts."""
    address = client_address(request, program.settings)
    secret = _presented(request)
    token = request.cookies.get(COOKIE)
    try:
        if secret is not None:
            return program.authenticate(secret, address)
        if token is not None:
            actor = program.authenticate_cookie(token, address)
            _refuse_forged(request, token)
            return actor
    except AccessDenied as denied:
        raise _unauthorized(denied.message, denied.hint) from None
    raise _unauthorized("This needs a key or a session.")


def _presented(request: Request) -> str | None:
    key = request.headers.get("x-api-key")
    if key:
        return key
    authorization = request.headers.get("authorization", "")
    if authorization.lower().startswith(_BEARER):
        return authorization[len(_BEARER) :].strip() or None
    return None


def _refuse_forged(request: Request, token: str) -> None:
    """A browser sends the cookie whoever has it send: only this site's own pages may change things.

    The token alone would do; the two headers also hold against one that leaked.
    """
    if request.method in _SAFE:
        return
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    sent = request.headers.get("x-csrf-token", "")
    if (
        not hmac.compare_digest(sent.encode(), csrf_token(token).encode())
        or site not in ("same-origin", "none")
        or (origin is not None and not _is_own(origin, request.headers.get("host", "")))
    ):
        raise ApiError(
            403,
            "csrf",
            "This request may come from another site.",
            "Send X-CSRF-Token as signing in or GET /api/v1/auth/me told it.",
        )


def _is_own(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
        # Behind a proxy this server does not know the scheme, so the origin's stands for both.
        here = urlsplit(f"{parts.scheme}://{host}")
        default = _DEFAULT_PORTS[parts.scheme]
        return parts.hostname == here.hostname and (parts.port or default) == (here.port or default)
    except (KeyError, ValueError):
        return False  # "null", for one


def _unauthorized(detail: str, hint: str = "") -> ApiError:
    return ApiError(
        401,
        "not-signed-in",
        detail,
        hint or "Send X-API-Key or Authorization: Bearer, or sign in.",
        headers={"WWW-Authenticate": "Bearer"},
    )
