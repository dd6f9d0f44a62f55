"""`delivery`: how fast, how often, when and with which extra headers."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, time
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AwareDatetime, BeforeValidator, Field

from app.mailer.domain.campaign.block import Block, key
from app.mailer.domain.campaign.values import NUMBER, WHOLE, Filled, MailboxList

#: Headers (lower case) that the program, or the mail system, sets itself.
RESERVED_HEADERS: Final = frozenset(
    {
        "authentication-results",
        "bcc",
        "cc",
        "date",
        "delivered-to",
        "dkim-signature",
        "domainkey-signature",
        "envelope-to",
        "from",
        "message-id",
        "mime-version",
        "received",
        "received-spf",
        "reply-to",
        "return-path",
        "sender",
        "subject",
        "to",
    }
)
_RESERVED_FAMILIES: Final = ("arc-", "content-", "resent-")


def is_reserved_header(name: str) -> bool:
    """Whether a campaign may not set this header (compared without case)."""
    lower = name.lower()
    return lower in RESERVED_HEADERS or lower.startswith(_RESERVED_FAMILIES)


Day: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
_MOMENT = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})$"
)


def _read_clock(raw: Any) -> Any:
    # `fromisoformat` alone would take more than the schema allows, such as `T0800`.
    return time.fromisoformat(raw) if isinstance(raw, str) and re.fullmatch(_CLOCK, raw) else raw


def _read_moment(raw: Any) -> Any:
    if isinstance(raw, str) and re.fullmatch(_MOMENT, raw):
        with suppress(ValueError):  # no such day
            return datetime.fromisoformat(raw)
    return raw


TimeOfDay: TypeAlias = Annotated[
    time,
    BeforeValidator(_read_clock, json_schema_input_type=Annotated[str, Field(pattern=_CLOCK)]),
]
Moment: TypeAlias = Annotated[
    AwareDatetime,
    BeforeValidator(_read_moment, json_schema_input_type=Annotated[str, Field(pattern=_MOMENT)]),
]
HeaderName: TypeAlias = Annotated[str, Field(pattern=r"^[!-9;-~]{1,76}$")]


class RateLimit(Block):
    """How fast this campaign may send; a mail account's own limits hold as well."""

    messages_per_minute: Annotated[
        float | None,
        key(
            "Messages a minute",
            "Default: none, no limit of the campaign's own.",
            20,
            gt=0,
            le=1_000_000,
        ),
        NUMBER,
    ] = None
    concurrency: Annotated[
        int,
        key("Connections", "How many messages are sent at once. Default: 1.", 1, ge=1, le=100),
        WHOLE,
    ] = 1


class Retry(Block):
    """How often and how long to try again after a temporary refusal."""

    max_attempts: Annotated[
        int, key("Attempts", "At most so many. Default: 5.", 5, ge=1, le=100), WHOLE
    ] = 5
    backoff_seconds: Annotated[
        float,
        key(
            "Back-off",
            "Seconds to the second attempt; each further wait is longer. Default: 60.",
            60,
            gt=0,
            le=86_400,
        ),
        NUMBER,
    ] = 60.0
    max_age_hours: Annotated[
        float, key("Age", "Hours after which to give up. Default: 48.", 48, gt=0, le=8_760), NUMBER
    ] = 48.0


class AppendSent(Block):
    """A copy of each sent letter in the Sent folder."""

    enabled: Annotated[bool, key("Enabled", "Keep copies by IMAP. Default: no.", True)] = False
    folder: Annotated[
        Filled,
        key(
            "Folder",
            "The folder's name, or `auto`: what `server.imap.sent_folder` says. Default: `auto`.",
            "auto",
        ),
    ] = "auto"


class SendWindow(Block):
    """When messages may leave."""

    days: Annotated[
        list[Day],
        key("Days", "Default: every day.", ["mon", "tue", "wed", "thu", "fri"], min_length=1),
    ] = Field(default_factory=lambda: list(DAYS))
    from_: Annotated[
        TimeOfDay, key("From", "Hour and minute of the first message.", "08:00", alias="from")
    ]
    to: Annotated[
        TimeOfDay,
        key("To", "Hour and minute of the end; before `from`: on the next day.", "18:00"),
    ]
    timezone: Annotated[
        Filled,
        key("Time zone", "By its IANA name. Default: `UTC`.", "Europe/Berlin"),
    ] = "UTC"


class Delivery(Block):
    """Sending."""

    rate_limit: Annotated[
        RateLimit,
        key(
            "Rate limit",
            "How fast. Default: one connection, no limit.",
            {"messages_per_minute": 20, "concurrency": 1},
        ),
    ] = Field(default_factory=RateLimit)
    retry: Annotated[
        Retry,
        key(
            "Retries",
            "After a temporary refusal.",
            {"max_attempts": 5, "backoff_seconds": 60, "max_age_hours": 48},
        ),
    ] = Field(default_factory=Retry)
    imap_append_sent: Annotated[
        AppendSent,
        key(
            "Append to Sent",
            "Copies in the Sent folder. Default: none.",
            {"enabled": True, "folder": "auto"},
        ),
    ] = Field(default_factory=AppendSent)
    test_recipients: Annotated[
        MailboxList,
        key(
            "Test recipients",
            "Who gets every message in mode `test`. Default: nobody.",
            ["tester@example.org"],
        ),
    ] = Field(default_factory=list)
    send_window: Annotated[
        SendWindow | None,
        key(
            "Send window",
            "When messages may leave. Default: always.",
            {"days": ["mon", "tue"], "from": "08:00", "to": "18:00", "timezone": "Europe/Berlin"},
        ),
    ] = None
    not_before: Annotated[
        Moment | None,
        key(
            "Not before",
            "Nothing leaves earlier: date, time and offset. Default: at once.",
            "2026-12-01T08:00:00+01:00",
        ),
    ] = None
    headers: Annotated[
        dict[HeaderName, str],
        key(
            "Headers",
            "Headers of your own, never one that the program sets itself. Placeholders work in "
            "the values. Default: none.",
            {"X-Campaign": "membership-2026", "Auto-Submitted": "auto-generated"},
            json_schema_extra={"additionalProperties": False},
        ),
    ] = Field(default_factory=dict)
    max_message_bytes: Annotated[
        int,
        key(
            "Largest message",
            "In bytes as it travels, so files count about a third more. "
            "Default: 26214400 (25 MiB).",
            26_214_400,
            ge=1_000,
            le=2_000_000_000,
        ),
        WHOLE,
    ] = 26_214_400
    message_id_domain: Annotated[
        str | None,
        key(
            "Message id domain",
            "The domain in each `Message-ID`. Default: the sender's.",
            "example.org",
            pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$",
            max_length=253,
        ),
    ] = None
