"""If-Match and ETag (RFC 9110, 8.8.3 and 13.1.1) of versions."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Depends, Header

from app.api.forms import form
from app.db.models import CampaignVersion
from app.mailer.services.version_conditions import Expected, tag_of

#: One tag or several, or `*`.
_FORM = form(
    r'^\s*(\*|(W/)?"[!#-~]*"(\s*,\s*(W/)?"[!#-~]*")*)\s*$', "ETags in their quotation marks, or *"
)
_STRONG = re.compile(r'(W/)?"([^"]*)"')

#: For the `headers` of a documented answer.
ETAG: dict[str, dict[str, Any]] = {
    "ETag": {
        "schema": {"type": "string"},
        "description": "Give it as If-Match when you write: another one after each change",
    }
}


def etag_of(version: CampaignVersion) -> str:
    return f'"{tag_of(version)}"'


def _expected(
    if_match: Annotated[
        str | None,
        Header(
            max_length=1000,
            pattern=_FORM,
            description="The ETag of what you looked at. Where the version was changed since, "
            "nothing is done, and the answer is 409 with what it is now in `current`. `*`: "
            "whatever it is by now",
            examples=['"r5-1a2b3c4d"'],
        ),
    ] = None,
) -> Expected | None:
    if if_match is None:
        return None
    if if_match.strip() == "*":
        return Expected(anything=True)
    # A weak tag is never the same as a strong one.
    tags = [tag for weak, tag in _STRONG.findall(if_match) if not weak]
    return Expected(frozenset(tags))


#: What the request expects the version to be; None: it does not say.
ExpectedVersion = Annotated[Expected | None, Depends(_expected)]
