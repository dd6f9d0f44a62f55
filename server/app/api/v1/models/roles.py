"""What the API says of roles and scopes."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.api.v1.models.text import Line, ScopeText, unsent
from app.db.models import Role

Scopes = Annotated[list[ScopeText], Field(max_length=50)]
_EXAMPLE = ["campaign:read", "files:*"]


class ScopeOut(BaseModel):
    scope: str = Field(examples=["campaign:read"])
    meaning: str


class RoleOut(BaseModel):
    id: UUID
    name: str = Field(examples=["editor"])
    scopes: list[str] = Field(examples=[_EXAMPLE])

    @classmethod
    def of(cls, role: Role) -> RoleOut:
        return cls.model_validate(role, from_attributes=True)


class RoleIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "editor", "scopes": [*_EXAMPLE]}]}
    )

    name: Line = Field(examples=["editor"])
    scopes: Scopes = Field(description="Scopes that you have yourself", examples=[_EXAMPLE])


class RolePatch(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "editor"}]})

    name: Line = Field(default_factory=unsent)
    scopes: Scopes = Field(default_factory=unsent)
