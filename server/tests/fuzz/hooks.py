"""What Schemathesis has to know about this API beyond its document."""

from __future__ import annotations

import json
import os
import re
from typing import Any
from uuid import uuid4

import schemathesis
from schemathesis.checks import CheckContext
from schemathesis.core.failures import Failure

#: What no schema can say, and is yet told as a fault of the request: whether a text is a mail
#: address, what may stand at any depth of the editor's notes, and rules for several members of a
#: body at once. And a pattern that the document has, but that Schemathesis does not follow.
_PLACES = re.compile(r"^/body(/(from_addresses|to)(/\d+)?|/editor_state)?$|^/header/if-match$")
#: Characters that fit a pattern by one dialect of regular expressions and not by another.
_WORDS = re.compile("control character|line break|Should have this form")

#: What Schemathesis adds to headers to make a request wrong.
_UNKNOWN_HEADER = "x-schemathesis-unknown-property"


@schemathesis.serializer("application/offset+octet-stream")
def _bytes_of_an_upload(_context: Any, value: Any) -> Any:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


@schemathesis.hook
def filter_case(_context: Any, case: schemathesis.Case) -> bool:
    """No request is refused for a header that the document does not name (RFC 9110, 5.1)."""
    return not any(name.lower() == _UNKNOWN_HEADER for name in case.headers or {})


@schemathesis.hook
def before_call(_context: Any, case: schemathesis.Case, _options: dict[str, Any]) -> None:
    headers = case.headers or {}
    for name in list(headers):
        # The same key for two requests is refused, which is its purpose.
        if name.lower() == "idempotency-key" and _is_positive(case):
            headers[name] = str(uuid4())
    path = case.path_parameters or {}
    if case.operation.path.endswith("/revoke") and path.get("key_id") == os.environ["OWN_KEY_ID"]:
        # All other requests would be refused from then on.
        path["key_id"] = str(uuid4())
    if case.query and "cursor" in case.query and _is_positive(case):
        # Only what a list gave out is one.
        del case.query["cursor"]


def _is_positive(case: schemathesis.Case) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive


@schemathesis.check
def what_fits_the_schema_is_taken(
    _context: CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """As `positive_data_acceptance`, but for what no schema can say.

    A 422 of the shape of the request is a fault of the document; one of its sense is not.
    """
    if not _is_positive(case) or response.status_code not in (400, 405, 406, 411, 415, 422):
        return
    problem = json.loads(response.content)
    if problem["type"] != "/problems/request":
        return
    if not all(
        _PLACES.match(each["pointer"]) or _WORDS.search(each["message"])
        for each in problem["errors"]
    ):
        raise Failure(
            operation=case.operation.label,
            title="What fits the schema is refused",
            message=json.dumps(problem["errors"], ensure_ascii=False)[:1000],
        )
