"""What the API takes and says of versions."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)

from app.api.conditions import etag_of
from app.api.errors import IssueOut
from app.api.forms import LINES, form
from app.api.paging import Page
from app.db.models import VersionApproval
from app.mailer.domain.campaign.diff import Kind
from app.mailer.domain.delivery.approval import Approval
from app.mailer.domain.issues import MOST_ISSUES, EntryState
from app.mailer.domain.letters.partial import NotChecked, Section
from app.mailer.domain.version import WorkflowState
from app.mailer.services.version_view import VersionView

_EDITOR_STATE_CHARACTERS = 200_000

#: A word for a place in the editor; the editor's own business, so any short one will do.
Place = Annotated[
    str,
    StringConstraints(max_length=40, pattern=form(r"^[!-~]+$", "ASCII characters, without spaces")),
]
#: Why somebody did it, for whoever reads the record of it.
Reason = Annotated[str, StringConstraints(max_length=2000, pattern=LINES)]
_FLOW = "Way through the editor: `create`, `review`, `send`, `manual`, `json`, …"
_STEP = "Step of it: `basics`, `sender`, `fields`, `recipients`, `template`, `attachments`, …"


def _storable(state: dict[str, Any] | None) -> dict[str, Any] | None:
    try:
        text = json.dumps(state, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError):
        raise ValueError("holds a number or a character that cannot be stored") from None
    if len(text) > _EDITOR_STATE_CHARACTERS:
        raise ValueError(f"has more than {_EDITOR_STATE_CHARACTERS} characters")
    if "\\u0000" in text:
        raise ValueError("holds a NUL")
    return state


class StepIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"current_flow": "create", "current_step": "sender"}]},
    )

    current_flow: Place | None = Field(default=None, description=_FLOW)
    current_step: Place | None = Field(default=None, description=_STEP)


class AutosaveIn(StepIn):
    """What the editor has right now; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"current_flow": "create", "current_step": "recipients", "is_complete": False}
            ]
        },
    )

    campaign_json: dict[str, Any] | None = Field(
        default=None,
        description="The campaign file as far as it is written; it need not be valid yet. Where "
        "`secret:/…` stands, the secret that is stored stays",
    )
    config: dict[str, Any] | None = Field(
        default=None,
        description="The same by the name that it is shown under; one of the two is enough",
    )
    is_complete: StrictBool | None = None
    editor_state: Annotated[dict[str, Any] | None, AfterValidator(_storable)] = Field(
        default=None, description="Whatever the editor wants to find again"
    )

    @model_validator(mode="after")
    def _one_file(self) -> Self:
        if self.campaign_json is not None and self.config is not None:
            raise ValueError("The file goes into `campaign_json` or into `config`, not into both.")
        return self


class VersionIn(AutosaveIn):
    """A version as it is to be; the file in `campaign_json` or, as it is shown, in `config`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                # Without `campaign`, whose name and id would become those of any campaign.
                {"config": {"version": "1.0", "template": {"subject": "Hi", "text": "Good day."}}}
            ]
        }
    )

    @model_validator(mode="after")
    def _a_file(self) -> Self:
        if self.campaign_json is None and self.config is None:
            raise ValueError("The file is missing: it goes into `campaign_json` or into `config`.")
        return self


class SectionIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"section": "recipients"}]}
    )

    section: Section = Field(description="`entries`, the file's key, is the same as `recipients`")


class SectionOut(BaseModel):
    """What was found in a section."""

    section: Section
    valid: bool = Field(description="Nothing that was checked blocks; see `not_checked`")
    issues: list[IssueOut] = Field(description=f"The first {MOST_ISSUES}")
    issue_count: int
    not_checked: list[NotChecked] = Field(
        description="What the section refers to and nobody looked at. `files`: tables, texts, "
        "images and attachments. `entries`: recipients in a table, all of them where the letter "
        "is a Jinja2 template, and those beyond the first 1,000"
    )


class LockIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"force": False}]})

    force: StrictBool = Field(
        default=False, description="Also where it is somebody else's: needs `campaign:approve`"
    )


class ApproveIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "Looked at all of them."}]}
    )

    reason: Reason = ""
    messages_sha256: str | None = Field(
        default=None,
        pattern=form(r"^[0-9a-f]{64}$", "64 hexadecimal digits"),
        max_length=64,
        description="Approve only if these still are the messages. Take it from the list of "
        "approvals before you look at the letters: 409 where one is another since",
    )


class WithdrawIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "A wrong date."}]}
    )

    reason: Annotated[Reason, StringConstraints(min_length=1)]


class ApprovalOut(BaseModel):
    """Somebody's yes to exactly these messages."""

    id: UUID
    messages_sha256: str = Field(description="Over the hashes of all messages that may be queued")
    message_count: int
    approved_by: str
    reason: str
    approved_at: datetime
    voided_at: datetime | None = Field(description="Since when it counts no more")
    void_reason: str | None

    @classmethod
    def of(cls, approval: VersionApproval) -> ApprovalOut:
        return cls.model_validate(approval, from_attributes=True)


class ApprovalPage(Page[ApprovalOut]):
    """Approvals, and what one that is given now would be bound to."""

    messages_sha256: str | None = Field(
        description="Over the hashes of all messages that may be queued now: `approve` takes it. "
        "Null: the version is not built"
    )
    message_count: int = Field(description="How many messages that are")


class VersionOut(BaseModel):
    """A version without its content."""

    id: UUID
    campaign_id: UUID
    number: int
    mode: str = Field(examples=["draft", "test", "send"])
    workflow_state: WorkflowState
    current_flow: str | None
    current_step: str | None
    is_complete: bool
    revision: int
    etag: str = Field(examples=['"r5-1a2b3c4d"'])
    config_sha256: str
    source_filename: str | None
    source_base_path: str | None = Field(
        description="Where relative paths begin; `uploads:` is the tenant's uploads"
    )
    is_confined: bool = Field(description="Reads uploads and what is below FILE_ROOTS alone")
    autosaved_at: datetime | None
    published_at: datetime | None
    locked_at: datetime | None
    locked_by_user_id: UUID | None
    locked_by: str | None = Field(description="Who has the edit lock now, null: nobody")
    validated_at: datetime | None
    validation_summary: dict[EntryState, int] | None = Field(
        description="Entries in each state, as the last check or build found them"
    )
    built_at: datetime | None
    created_at: datetime
    created_by: str
    edited_at: datetime | None
    edited_by: str | None
    approval_needed: Approval
    approval: ApprovalOut | None = Field(description="The yes that counts")
    allowed_actions: list[str] = Field(
        description="What you may do with it now", examples=[["approve", "build", "save_as_next"]]
    )

    @classmethod
    def of(cls, view: VersionView) -> VersionOut:
        version = view.version
        members = {
            name: getattr(version, name) for name in cls.model_fields if hasattr(version, name)
        }
        return cls(
            **members,
            etag=etag_of(version),
            locked_by=view.locked_by,
            approval_needed=view.needs_approval,
            approval=None if view.approval is None else ApprovalOut.of(view.approval),
            allowed_actions=view.actions,
        )


class VersionDetail(VersionOut):
    """A version with its content. Where a secret is stored, `secret:` and its place stand."""

    config: dict[str, Any] = Field(
        description="The campaign file, perhaps not a whole one yet. PUT and autosave take it back "
        "as `config` or as `campaign_json`, without the other members of this answer"
    )
    editor_state: dict[str, Any] | None


class ChangeOut(BaseModel):
    """A place in the file where the two versions differ."""

    pointer: str = Field(examples=["/template/subject"])
    kind: Kind
    before: Any
    after: Any


class LetterChangeOut(BaseModel):
    """An entry whose letter is other, new, or gone; of a built version with its job."""

    entry_id: str
    kind: Kind
    before_job_id: UUID | None
    after_job_id: UUID | None
    to_display: str
    subject: str


class DiffOut(BaseModel):
    """What is other in a version than in the one it is compared with."""

    version_id: UUID
    against_id: UUID
    config: list[ChangeOut]
    config_truncated: bool = Field(description="There are more changes than are listed")
    basis: str = Field(
        description="`jobs`: both are built, and letters are compared by what is in them. "
        "`entries`: the recipients in the files are; those of tables are not",
        examples=["jobs"],
    )
    counts: dict[Kind, int] = Field(description="Letters added, removed and changed")
    letters: list[LetterChangeOut]
    next_cursor: str | None
