"""What the API says of API keys."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.api.v1.models.moment import Moment
from app.api.v1.models.roles import Scopes
from app.api.v1.models.text import Line
from app.db.models import ApiKey


class KeyOut(BaseModel):
    """A key for a program. The key itself is not kept: `prefix` tells which one it is."""

    id: UUID
    name: str = Field(examples=["Payroll export"])
    prefix: str = Field(examples=["mm_3fJb9QxKz"])
    scopes: list[str] = Field(
        description="A person's key never allows more than his roles do at the time"
    )
    user_id: UUID | None = Field(description="Whose it is; null: the operator's")
    is_development: bool
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute")
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> KeyOut:
        return cls.model_validate(key, from_attributes=True)


class KeyIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "Payroll export", "scopes": ["campaign:read"]}]},
    )

    name: Line = Field(examples=["Payroll export"])
    scopes: Scopes = Field(
        min_length=1,
        description="Scopes that you have yourself",
        examples=[["campaign:read", "campaign:write"]],
    )
    expires_at: Moment | None = Field(default=None, description="With a time zone; null: never")


class NewKeyOut(KeyOut):
    """A new key. Keep `api_key` now: it is shown this once."""

    api_key: str = Field(description="The key itself", examples=["mm_…"])

    @classmethod
    def showing(cls, key: ApiKey, secret: str) -> NewKeyOut:
        return cls(api_key=secret, **KeyOut.of(key).model_dump())
