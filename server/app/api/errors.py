"""One table from the program's errors to the answers of HTTP, as problem details (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException as StarletteHTTPException

from app.api.forms import in_words
from app.api.headers import HEADERS
from app.mailer.domain.delivery.review import Refused
from app.mailer.domain.errors import (
    AccessDenied,
    BlobMissing,
    CampaignInvalid,
    ConfigurationError,
    Conflict,
    Expired,
    FileChanged,
    IllegalMove,
    Infected,
    Locked,
    MailerError,
    NotFound,
    ScannerFailed,
    StorageFailed,
    TooLarge,
    TooManyTries,
    UnsafePath,
    WrongContent,
)
from app.mailer.domain.issues import MOST_ISSUES

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger(__name__)


class IssueOut(BaseModel):
    """A finding in a campaign."""

    code: str = Field(examples=["missing-file"])
    severity: str = Field(examples=["block"])
    pointer: str = Field(
        description="JSON Pointer into the campaign", examples=["/entries/inline/3"]
    )
    entry: str | None = Field(description="The entry's id, where it is about one")
    message: str
    hint: str


class FaultOut(BaseModel):
    """Something wrong in the request itself."""

    pointer: str = Field(description="JSON Pointer into the request", examples=["/body/name"])
    message: str


class Problem(BaseModel):
    """What went wrong (RFC 9457), for people in `detail` and `hint`, for programs in `type`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="`/problems/` and a word that stays", examples=["/problems/not-found"]
    )
    title: str
    status: int
    detail: str
    hint: str = Field(default="", description="What to do about it")
    issues: list[IssueOut] = Field(
        default=[], description=f"Findings in the campaign, the first {MOST_ISSUES}"
    )
    issue_count: int = Field(default=0, description="How many findings there are")
    errors: list[FaultOut] = Field(default=[], description="Faults in the request, all of them")


class ApiError(Exception):
    """A problem of HTTP itself, which no service knows; `extra` are members of its own."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        hint: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.hint = hint
        self.headers = dict(headers or {})
        self.extra = extra


#: The most special first.
_STATUS: Sequence[tuple[type[MailerError], int, str]] = (
    (NotFound, 404, "not-found"),
    (AccessDenied, 403, "access-denied"),
    (TooManyTries, 429, "too-many-tries"),
    (Refused, 409, "refused"),
    (CampaignInvalid, 422, "campaign-invalid"),
    (IllegalMove, 409, "illegal-move"),
    (Locked, 423, "locked"),
    (Conflict, 409, "conflict"),
    (UnsafePath, 422, "unsafe-path"),
    (TooLarge, 413, "too-large"),
    (WrongContent, 415, "wrong-content"),
    (Infected, 422, "infected"),
    (Expired, 410, "expired"),
    (ScannerFailed, 503, "scanner"),
    (FileChanged, 409, "file-changed"),
    (BlobMissing, 503, "file-store"),
    (StorageFailed, 503, "file-store"),
    (ConfigurationError, 409, "configuration"),
    (MailerError, 422, "invalid"),
)

_TITLES = {
    400: "The request cannot be read",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "Not possible as things are",
    410: "No longer there",
    411: "The length is missing",
    412: "Not as expected",
    413: "Too large",
    415: "The wrong kind of content",
    422: "The request is not right",
    423: "Locked",
    428: "A condition is missing",
    429: "Too many tries",
    460: "The checksum does not fit",
    500: "A fault of this program",
    503: "Not available at the moment",
    507: "No room left",
}


_ROUTES = (
    "/docs has all of them. An id in a path is the `id` that a list gives, and no name: "
    "GET /api/v1/campaigns?search=… finds a campaign by its external id."
)


def problem(
    status: int,
    kind: str,
    detail: str,
    hint: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    **extra: Any,
) -> JSONResponse:
    """An answer with problem details."""
    content = {
        "type": f"/problems/{kind}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "hint": hint,
        "issues": [],
        "issue_count": 0,
        "errors": [],
        **extra,
    }
    return JSONResponse(content, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def problem_of(error: MailerError) -> dict[str, Any]:
    """The members of the problem that `error` is, for answers and for operations that failed."""
    status, kind = next((status, kind) for cls, status, kind in _STATUS if isinstance(error, cls))
    return {
        "status": status,
        "kind": kind,
        "detail": error.message,
        "hint": error.hint,
        **_extra(error),
    }


def stored_problem(row: Mapping[str, Any]) -> Problem:
    """The problem that an operation ended with; its row names the error's classes."""
    names = row["error"]
    status, kind = next(
        ((status, kind) for cls, status, kind in _STATUS if cls.__name__ in names), (500, "fault")
    )
    members = {key: value for key, value in row.items() if key != "error"}
    return Problem(type=f"/problems/{kind}", title=_TITLES[status], status=status, **members)


def _extra(error: MailerError) -> dict[str, Any]:
    if isinstance(error, CampaignInvalid):
        return {
            "issues": [
                IssueOut(
                    code=issue.code,
                    severity=issue.severity.value,
                    pointer=issue.pointer,
                    entry=issue.entry,
                    message=issue.message,
                    hint=issue.hint,
                ).model_dump()
                for issue in error.issues[:MOST_ISSUES]
            ],
            "issue_count": len(error.issues),
        }
    if isinstance(error, Refused):
        return {"refused": dict(error.refused)}
    return {}


def install(app: FastAPI) -> None:
    """Answer every error of the program, and every other one, with problem details."""

    @app.exception_handler(MailerError)
    def _mailer(_request: Request, error: MailerError) -> Response:
        wait = error.wait_seconds if isinstance(error, TooManyTries) else None
        headers = {} if wait is None else {"Retry-After": str(wait)}
        return problem(**problem_of(error), headers=headers)

    @app.exception_handler(ApiError)
    def _api(_request: Request, error: ApiError) -> Response:
        return problem(
            error.status, error.kind, error.detail, error.hint, headers=error.headers, **error.extra
        )

    @app.exception_handler(RequestValidationError)
    def _invalid(_request: Request, error: RequestValidationError) -> Response:
        faults = [
            {
                "pointer": "".join(f"/{_escaped(str(part))}" for part in each["loc"]),
                "message": _message(each),
            }
            for each in error.errors()
        ]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return problem(
            422,
            "request",
            f"{faults[0]['pointer']}: {faults[0]['message']}{more}",
            "`errors` lists all that is wrong, each with its place; /docs tells what is taken.",
            errors=faults,
        )

    @app.exception_handler(StarletteHTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 405:
            return _no_such_method(app, request)
        if error.status_code == 413:
            return problem(413, "too-large", "The body is larger than a request may be.")
        if error.status_code == 404:
            # What a route itself does not find is a `NotFound`, and says so.
            return problem(404, "not-found", "There is no such route.", _ROUTES)
        return problem(error.status_code, "request", str(error.detail), headers=error.headers)

    @app.exception_handler(DBAPIError)
    def _database(request: Request, error: DBAPIError) -> Response:
        if _is_overtaken(error):
            _log.warning("Somebody was first at %s: %s", request.url.path, error.orig)
            return problem(
                409,
                "conflict",
                "Something that this needs was made, changed or removed at the same moment.",
                "Look again, and try again.",
            )
        _log.error("The database failed at %s: %s", request.url.path, error.orig)
        return _no_database()

    @app.exception_handler(NoConnection)
    def _no_connection(request: Request, error: NoConnection) -> Response:
        _log.error("All connections to the database are in use at %s: %s", request.url.path, error)
        return _no_database()

    @app.exception_handler(Exception)
    def _fault(request: Request, error: Exception) -> Response:
        _log.exception("A fault at %s", request.url.path, exc_info=error)
        return problem(
            500,
            "fault",
            "Something went wrong in the program itself.",
            "Its log says what.",
            # This answer is made outside of the middleware that adds them.
            headers=HEADERS,
        )


def _no_database() -> JSONResponse:
    return problem(
        503,
        "database",
        "The database cannot be used at the moment.",
        "Try again soon; /health/ready tells when.",
        headers={"Retry-After": "5"},
    )


def _message(fault: Mapping[str, Any]) -> str:
    """What is wrong with a member. What was sent is left out: it may be a password."""
    kind = fault.get("type")
    if kind == "extra_forbidden":
        return "There is no such member."
    if kind == "string_pattern_mismatch" and (words := in_words(fault["ctx"]["pattern"])):
        return f"Should have this form: {words}"
    return str(fault["msg"]).removeprefix("Value error, ")


def _is_overtaken(error: DBAPIError) -> bool:
    """Whether a row that was there is gone, or one that was not is there, by another request."""
    code = getattr(error.orig, "sqlstate", None)
    text = str(error.orig)
    return isinstance(error, IntegrityError) and (
        code in ("23503", "23505") or text.startswith(("FOREIGN KEY", "UNIQUE"))
    )


def _no_such_method(app: FastAPI, request: Request) -> Response:
    # Starlette names the methods of the first route that fits the path, and forgets the others.
    methods = {
        method
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute) and route.path_regex.match(request.url.path)
        for method in route.methods or ()
    }
    allowed = ", ".join(sorted(methods))
    return problem(
        405,
        "method",
        f"{request.method} is not possible here.",
        f"Possible: {allowed}.",
        headers={"Allow": allowed},
    )


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
