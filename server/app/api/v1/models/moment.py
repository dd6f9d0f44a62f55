"""Times that requests hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("This time cannot be expressed in UTC") from None


def _spelled_out(value: object) -> object:
    # Pydantic also takes seconds since 1970, which no document says.
    if not (isinstance(value, str) and re.match(r"\d{4}-", value)):
        raise ValueError("is no time like 2026-11-24T09:30:00Z")
    return value


#: A moment with its time zone.
Moment = Annotated[AwareDatetime, BeforeValidator(_spelled_out), AfterValidator(_utc)]
