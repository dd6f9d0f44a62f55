"""The OpenAPI document: what FastAPI finds out, and what it cannot know."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.errors import Problem

_DESCRIPTION = """
The service behind MultiMailer: personal letters with their own files, sent through your own mail
account, each exactly once.

Sign in with a key (`X-API-Key`, or `Authorization: Bearer`), with a session's token
(`Authorization: Bearer`), or with the session cookie and `X-CSRF-Token`. Errors are problem details
(RFC 9457). Lists come in pages: give `next_cursor` as `cursor` for the next one.
"""

_SCHEMES = {
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key or a session token"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "__Host-multimailer"},
}


def describe(app: FastAPI) -> None:
    """Has `app` answer with the whole document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way


def _document(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(
        title=app.title,
        version=app.version,
        description=_DESCRIPTION.strip(),
        routes=app.routes,
    )
    components = found.setdefault("components", {})
    components["securitySchemes"] = _SCHEMES
    schemas = components.setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas[Problem.__name__] = problem
    return found
