"""What checking, building and trying out a version take and tell."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.api.forms import FILLED_LINE
from app.api.v1.models.number import Switch
from app.db.models import JobIssue
from app.mailer.domain.issues import Severity
from app.mailer.domain.mailbox import InvalidMailbox, parse_mailbox


class TestMessageIn(BaseModel):
    """Whose letter goes to which tester."""

    __test__ = False  # its name is none of pytest's business
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"to": "me@example.org", "entry_id": "e17", "dry_run": True}]
        },
    )

    to: str = Field(
        min_length=3,
        max_length=320,
        pattern=FILLED_LINE,
        description="Who gets it, alone: nobody of the letter's own recipients does",
    )
    entry_id: str | None = Field(
        default=None, max_length=500, description="Whose letter; null: the first that can be built"
    )
    dry_run: Switch = Field(default=False, description="Do everything but reach the mail server")

    @field_validator("to")
    @classmethod
    def _is_address(cls, text: str) -> str:
        try:
            parse_mailbox(text)
        except InvalidMailbox as error:
            raise ValueError(f"{error} Write it as name@example.org.") from None
        return text


class VersionIssueOut(BaseModel):
    """A finding in a version: of an entry, or of the campaign as a whole."""

    id: int
    code: str = Field(examples=["missing-file"])
    severity: Severity
    pointer: str = Field(
        description="JSON Pointer into the campaign", examples=["/entries/inline/3"]
    )
    entry_id: str | None
    message: str
    hint: str

    @classmethod
    def of(cls, issue: JobIssue) -> VersionIssueOut:
        return cls.model_validate(issue, from_attributes=True)
