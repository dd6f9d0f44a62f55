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
    """Somebody of one tenant, with scopes; `id` is that of the key or user, `system` otherwise."""

    tenant_id: UUID
    kind: ActorKind
    id: str
    name: str
    scopes: frozenset[str]

    @classmethod
    def system(cls, tenant_id: UUID, name: str, scopes: Iterable[str] = ()) -> Actor:
        """The program itself, e.g. `name="dispatcher"`."""
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
