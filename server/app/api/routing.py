"""Routers whose routes cannot forget to say who may use them, and which errors they answer with."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from difflib import get_close_matches
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.utils import get_flat_params, get_validation_alias
from fastapi.exceptions import RequestValidationError
from fastapi.params import Query
from fastapi.routing import APIRoute

from app.access.scopes import Scope
from app.api.access import admit
from app.api.body_limit import within_limit
from app.api.errors import MEDIA_TYPE, Problem
from app.api.idempotency import PARAMETER, once
from app.api.scopes import SCOPES, Open

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

DESCRIPTIONS = {
    400: "The request cannot be read.",
    401: "No key and no session, or one that does not count (any more).",
    403: "The key or the session lacks the scope.",
    404: "There is no such thing in this tenant.",
    409: "Not possible as things are; `detail` says why.",
    413: "The body is too large.",
    422: "Something in the request is not right; `errors` or `issues` say what, all at once.",
    503: "The database or the file store is away; try again.",
}


class ScopedRoute(APIRoute):
    """A route whose function's name is its operation id, and whose scope stands in `SCOPES`.

    A function that the table does not know cannot become a route: `KeyError` on import.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        name = endpoint.__name__
        needs = SCOPES[name]
        options["operation_id"] = name
        options["summary"] = name.replace("_", " ").capitalize()
        options["description"] = _described(endpoint, needs)
        options["openapi_extra"] = {
            **(options.get("openapi_extra") or {}),
            "x-scope": needs.value,
            "security": [] if needs is Open.PUBLIC else _SECURITY,
        }
        options["responses"] = {
            **_errors(path, options.get("methods") or {"GET"}, public=needs is Open.PUBLIC),
            **(options.get("responses") or {}),
        }
        self._needs = needs
        self._is_repeatable = (
            options.get("methods") is not None
            and set(options["methods"]) == {"POST"}
            and needs is not Open.PUBLIC
            and name not in _RESUMABLE
        )
        if self._is_repeatable:
            extra = options["openapi_extra"]
            extra["parameters"] = [*extra.get("parameters", []), PARAMETER]
        super().__init__(_with_ids(path), endpoint, **options)

    def get_route_handler(self) -> Handler:
        """FastAPI's own, behind the guard: a dependency would run after the body was read."""
        handler = super().get_route_handler()
        needs, name, repeatable = self._needs, self.name, self._is_repeatable
        known = {
            get_validation_alias(each)
            for each in get_flat_params(self.dependant)
            if isinstance(each.field_info, Query)
        }
        scope = needs if isinstance(needs, Scope) else None

        async def guarded(request: Request) -> Response:
            if needs is not Open.PUBLIC:
                await run_in_threadpool(admit, request, scope)
            _refuse_unknown(request, known)
            request = within_limit(request, name)
            return await (once(request, handler) if repeatable else handler(request))

        return guarded


#: Resumed by a protocol of their own.
_RESUMABLE = frozenset({"create_upload"})
#: Any one of these will do.
_SECURITY: list[dict[str, list[str]]] = [{"api_key": []}, {"bearer": []}, {"cookie": []}]


def router(tag: str, prefix: str = "") -> APIRouter:
    """A router whose routes are guarded by `SCOPES`."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=ScopedRoute)


def error(description: str) -> dict[str, Any]:
    """A documented answer with problem details, for `responses`."""
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}},
    }


def _refuse_unknown(request: Request, known: set[str]) -> None:
    """A misspelled filter that is left unread lets through what it was to hold back."""
    faults = [
        {"loc": ("query", name), "msg": f"no such parameter; {_remedy(name, known)}"}
        for name in request.query_params
        if name not in known
    ]
    if faults:
        raise RequestValidationError(faults)


def _remedy(name: str, known: set[str]) -> str:
    if not known:
        return "this takes none"
    # `status` is meant for `build_status`, which is not close enough by its letters.
    close = [each for each in sorted(known) if name in each.split("_")]
    close += get_close_matches(name, sorted(known - {*close}), n=3)
    if not close:
        return f"possible: {', '.join(sorted(known))}"
    return f"did you mean {' or '.join(close)}?"


def _with_ids(path: str) -> str:
    """Only what looks like an id is one: `/campaigns/new` is never the campaign `new`."""
    return re.sub(r"\{(\w+_id)\}", r"{\1:uuid}", path)


def _errors(path: str, methods: set[str], *, public: bool) -> dict[int | str, dict[str, Any]]:
    unsafe = bool(set(methods) - {"GET", "HEAD", "OPTIONS"})
    wanted = [422, 503]
    if not public:
        wanted += [401, 403]
    if "{" in path:
        wanted.append(404)
    if unsafe:
        wanted += [400, 409, 413]
    return {status: error(DESCRIPTIONS[status]) for status in sorted(wanted)}


def _described(endpoint: Callable[..., Any], needs: Scope | Open) -> str:
    text = (endpoint.__doc__ or "").strip()
    if not text:
        raise TypeError(f"The route {endpoint.__name__} needs a docstring: it is its description.")
    lines = [line.removeprefix("    ") for line in text.splitlines()]
    if isinstance(needs, Scope):
        return "\n".join([*lines, "", f"Scope: `{needs}`."])
    who = "anybody" if needs is Open.PUBLIC else "anybody who is signed in or has a key"
    return "\n".join([*lines, "", f"For {who}."])
