"""What the API says of groups."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.api.openapi_text import EXAMPLES
from app.api.v1.models.text import Line, unsent
from app.api.v1.models.users import NamedOut
from app.mailer.services.people.groups import Team


class GroupOut(BaseModel):
    """Users who share roles. Who is in it: GET /admin/users?group_id=…"""

    id: UUID
    name: str = Field(examples=["Office"])
    roles: list[NamedOut]
    member_count: int
    created_at: datetime

    @classmethod
    def of(cls, team: Team) -> GroupOut:
        return cls(
            id=team.group.id,
            name=team.group.name,
            roles=[NamedOut(id=role.id, name=role.name) for role in team.roles],
            member_count=team.member_count,
            created_at=team.group.created_at,
        )


class GroupIn(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Office"}]})

    name: Line = Field(examples=["Office"])


class GroupPatch(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Office"}]})

    name: Line = Field(default_factory=unsent)


class MembersIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"user_ids": [EXAMPLES["uuid"]]}]}
    )

    user_ids: Annotated[list[UUID], Field(max_length=5000)] = Field(
        description="All of them; others are put out"
    )
