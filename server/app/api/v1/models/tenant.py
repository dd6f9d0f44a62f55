"""What the API says of the tenant itself."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.api.v1.models.number import REALLY, Switch
from app.api.v1.models.text import Line, unsent
from app.db.models import Tenant
from app.mailer.domain.delivery.approval import Approval

_APPROVAL = "What a campaign needs before it may be queued, unless it is stricter itself"
_JINJA = "Whether templates may be Jinja2, which are programs (in a sandbox)"
_DAYS = "A file that went to the same address within so many days needs a look; 0: never"
_QUOTA = "Bytes that uploads may take; null: what the installation says"


class TenantOut(BaseModel):
    id: UUID
    slug: str = Field(examples=["default"])
    name: str = Field(examples=["Example Society"])
    created_at: datetime
    approval: Approval = Field(description=_APPROVAL)
    jinja_allowed: bool = Field(description=_JINJA)
    already_sent_days: int = Field(description=_DAYS)
    quota_bytes: int | None = Field(description=_QUOTA)

    @classmethod
    def of(cls, tenant: Tenant) -> TenantOut:
        return cls.model_validate(tenant, from_attributes=True)


class TenantPatch(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"already_sent_days": 365}]}
    )

    name: Line = Field(default_factory=unsent)
    approval: Approval = Field(default_factory=unsent, description=_APPROVAL)
    jinja_allowed: Switch = Field(default_factory=unsent, description=_JINJA)
    already_sent_days: Annotated[int, Field(ge=0, le=3650), REALLY] = Field(
        default_factory=unsent, description=_DAYS
    )
    quota_bytes: Annotated[int, Field(ge=0, le=2**50), REALLY] | None = Field(
        default=None, description=_QUOTA
    )
