"""Who does something: every use case is handed one, and the audit log names them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from app.access.scopes import covers
from app.mailer.domain.errors import AccessDenied


class ActorKind(StrEnum):
    API_KEY = "api_key"
    USER = "user"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody of one tenant, with scopes; `id` is that of the key or user, `system` otherwise.

    `user_id` is the person behind it: the user, or the one whom the key belongs to. `address` is
    where the request came from. `made_with` is the identity behind a key that belongs to nobody:
    that of the key that made it, if one did.
    """

    tenant_id: UUID
    kind: ActorKind
    id: str
    name: str
    scopes: frozenset[str]
    user_id: UUID | None = None
    address: str | None = None
    session_id: UUID | None = None
    made_with: str | None = None

    @property
    def identity(self) -> str:
        """Who this really is: one person with two keys is still one person.

        So is a key of nobody together with the keys that were made with it.
        """
        if self.user_id is not None:
            return f"user:{self.user_id}"
        return self.made_with or f"{self.kind}:{self.id}"

    @classmethod
    def system(
        cls, tenant_id: UUID, name: str = "MultiMailer", scopes: Iterable[str] = ()
    ) -> Actor:
        """The program itself, or a part of it that has a name of its own."""
        return cls(tenant_id, ActorKind.SYSTEM, "system", name, frozenset(scopes))

    def may(self, scope: str) -> bool:
        return covers(self.scopes, scope)


def require_scope(actor: Actor, scope: str) -> None:
    """Raises `AccessDenied` that names the scope which is missing."""
    if not actor.may(scope):
        raise AccessDenied(
            f"{actor.name} may not do this: the scope {scope} is missing.",
            f"Use a key or a role that has {scope}.",
        )
