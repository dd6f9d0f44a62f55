"""Whose request this is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from app.access.actor import Actor, require_scope
from app.api.client import client_address
from app.api.errors import ApiError
from app.api.state import ProgramDep
from app.mailer.domain.errors import AccessDenied

_BEARER = "bearer "


def current_actor(request: Request, program: ProgramDep) -> Actor:
    """Whoever the request's key or session stands for; 401 where there is none that counts."""
    address = client_address(request, program.settings)
    secret = _presented(request)
    if secret is None:
        raise _unauthorized("This needs a key or a session.")
    try:
        return program.authenticate(secret, address)
    except AccessDenied as denied:
        raise _unauthorized(denied.message, denied.hint) from None


CurrentActor = Annotated[Actor, Depends(current_actor)]


def signed_in(_actor: CurrentActor) -> None:
    """Guards a route that anybody with a key or a session may use."""


def with_scope(scope: str) -> Callable[[Actor], None]:
    """A guard that asks for `scope`."""

    def guard(actor: CurrentActor) -> None:
        require_scope(actor, scope)

    return guard


def _presented(request: Request) -> str | None:
    key = request.headers.get("x-api-key")
    if key:
        return key
    authorization = request.headers.get("authorization", "")
    if authorization.lower().startswith(_BEARER):
        return authorization[len(_BEARER) :].strip() or None
    return None


def _unauthorized(detail: str, hint: str = "") -> ApiError:
    return ApiError(
        401,
        "not-signed-in",
        detail,
        hint or "Send X-API-Key or Authorization: Bearer, or sign in.",
        headers={"WWW-Authenticate": "Bearer"},
    )
