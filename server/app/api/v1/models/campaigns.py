"""What the API takes and says of campaigns."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.api.forms import FILLED_LINE, LINES, form
from app.api.v1.models.text import Line, unsent
from app.api.v1.models.versions import Place, VersionOut
from app.db.models import Campaign, CampaignVersion
from app.mailer.domain.delivery.approval import Approval
from app.mailer.domain.version import WorkflowState

_Description = Annotated[str, StringConstraints(max_length=5000, pattern=LINES)]


class NewestVersion(BaseModel):
    """A version of a campaign, in short."""

    id: UUID
    number: int
    mode: str
    workflow_state: WorkflowState
    is_complete: bool
    built_at: datetime | None


def _short(version: CampaignVersion | None) -> NewestVersion | None:
    return None if version is None else NewestVersion.model_validate(version, from_attributes=True)


class CampaignOut(BaseModel):
    id: UUID
    external_id: str = Field(description="`campaign.id` of its file", examples=["spring-2026"])
    name: str
    description: str
    approval: Approval | None = Field(
        description="What it needs before it is queued, where that is stricter than the tenant's"
    )
    paused_at: datetime | None
    paused_by: str | None
    pause_reason: str | None
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime
    newest_version: NewestVersion | None
    newest_built_version: NewestVersion | None = Field(
        description="The one whose letters are shown and reported, where no version is named"
    )

    @classmethod
    def of(
        cls, campaign: Campaign, newest: CampaignVersion | None, built: CampaignVersion | None
    ) -> CampaignOut:
        members = {
            name: getattr(campaign, name) for name in cls.model_fields if hasattr(campaign, name)
        }
        return cls(**members, newest_version=_short(newest), newest_built_version=_short(built))


class CampaignIn(BaseModel):
    """A campaign file, as JSON."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "config": {
                        "version": "1.0",
                        "campaign": {"id": "spring", "name": "Spring", "mode": "draft"},
                        "recipients": {"from": "Office <office@example.org>"},
                        "template": {"subject": "Hello", "text": "Good day."},
                        "entries": {"inline": [{"id": "1", "to": ["ada@example.org"]}]},
                    },
                    "source_filename": "campaign.json",
                }
            ]
        },
    )

    config: dict[str, Any]
    source_filename: str | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        pattern=FILLED_LINE,
        description="Where the file is on the server, relative to its folder `server`, if it is "
        "there and below FILE_ROOTS: paths in the file begin there. A name without a folder only "
        "names it, and paths begin at the uploads",
    )


class NewCampaignIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "external_id": "my-new-campaign",
                    "name": "My New Campaign",
                    "description": "Created from the WebUI wizard",
                    "current_flow": "create",
                    "current_step": "basics",
                }
            ]
        },
    )

    external_id: str = Field(
        pattern=form(
            r"^[a-z0-9][a-z0-9._-]{0,99}$",
            "small letters, digits and . _ -, with a letter or digit first",
        ),
        max_length=100,
        description="Names it for ever: `campaign.id` of its file",
    )
    name: Line
    description: _Description = ""
    current_flow: Place | None = None
    current_step: Place | None = None


class CampaignPatch(BaseModel):
    """What is to change; what is not sent stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"description": "Letters to all members."}]}
    )

    name: Line = unsent()
    description: _Description = unsent()
    approval: Approval | None = Field(
        default=None,
        description="null: as the tenant says. Asking for less needs `campaign:approve`, and with "
        "`two_person` somebody who wrote in no version",
    )


class CampaignMade(BaseModel):
    """A campaign and the version of it that the request made."""

    campaign: CampaignOut
    version: VersionOut
