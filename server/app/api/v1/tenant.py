"""The tenant's own settings."""

from __future__ import annotations

from typing import cast

from app.api.access import CurrentActor
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.models.tenant import TenantOut, TenantPatch
from app.mailer.services.people import tenant as service
from app.mailer.services.people.tenant import TenantChanges

routes = router("tenant", "/admin/tenant")


@routes.get("")
def get_tenant(actor: CurrentActor, program: ProgramDep) -> TenantOut:
    """The tenant of this key or session."""
    with program.reading() as session:
        return TenantOut.of(service.get_tenant(session, actor))


@routes.patch("")
def update_tenant(body: TenantPatch, actor: CurrentActor, program: ProgramDep) -> TenantOut:
    """Change what the body names."""
    changes = cast("TenantChanges", body.model_dump(exclude_unset=True))
    with program.sessions() as session:
        tenant = service.update_tenant(session, actor, changes, program.clock.now())
        session.commit()
    return TenantOut.of(tenant)
