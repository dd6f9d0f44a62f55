"""What the API says of users."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.api.forms import ONE_LINE
from app.api.openapi_text import EXAMPLES
from app.api.v1.models.text import TOO_SHORT, Address, Typed, unsent
from app.mailer.services.people.users import Named, NewUser, Person

Ids = Annotated[list[UUID], Field(max_length=100)]
_DisplayName = Annotated[str, StringConstraints(max_length=200, pattern=ONE_LINE)]


class NamedOut(BaseModel):
    """Something with a name."""

    id: UUID
    name: str


def named(found: Sequence[Named]) -> list[NamedOut]:
    return [NamedOut(id=key, name=name) for key, name in found]


class UserOut(BaseModel):
    """Somebody who signs in."""

    id: UUID
    email: str = Field(examples=["ada@example.org"])
    display_name: str = Field(examples=["Ada Lovelace"])
    is_active: bool = Field(description="Without it no session and no key of theirs counts")
    has_password: bool
    has_totp: bool = Field(description="Whether signing in needs a code")
    last_login_at: datetime | None
    created_at: datetime
    roles: list[NamedOut] = Field(description="Their own ones; those of the groups come on top")
    groups: list[NamedOut]

    @classmethod
    def of(cls, person: Person) -> UserOut:
        user = person.user
        return cls(
            id=user.id,
            email=user.email,
            display_name=user.display_name,
            is_active=user.is_active,
            has_password=user.password_hash is not None,
            has_totp=user.totp_confirmed_at is not None,
            last_login_at=user.last_login_at,
            created_at=user.created_at,
            roles=named(person.roles),
            groups=named(person.groups),
        )


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class UserIn(_In):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"email": "ada@example.org", "display_name": "Ada Lovelace"}]
        }
    )

    email: Address = Field(examples=["ada@example.org"])
    display_name: _DisplayName = Field(default="", examples=["Ada Lovelace"])
    password: Typed | None = Field(
        default=None, description="At least 12 characters; without one there is no signing in yet"
    )
    role_ids: Ids = Field(default=[], description="Roles whose scopes you have yourself")

    def new(self) -> NewUser:
        return NewUser(self.email, self.display_name, self.password, self.role_ids)


class UserPatch(_In):
    """What is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"display_name": "Ada Lovelace"}]})

    email: Address = Field(default_factory=unsent)
    display_name: _DisplayName = Field(default_factory=unsent)
    is_active: bool = Field(default_factory=unsent)


class NewPasswordIn(_In):
    model_config = ConfigDict(json_schema_extra={"examples": [{"password": TOO_SHORT}]})

    password: Typed = Field(description="At least 12 characters")


class RoleIdsIn(_In):
    model_config = ConfigDict(json_schema_extra={"examples": [{"role_ids": [EXAMPLES["uuid"]]}]})

    role_ids: Ids = Field(description="All of them; others are taken away")


class SessionsEnded(BaseModel):
    ended: int = Field(description="How many sessions were open")
