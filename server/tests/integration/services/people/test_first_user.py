from __future__ import annotations

import pytest
from sqlalchemy import select

from app.access.passwords import verify_password
from app.db.models import AuditEntry, Tenant, User
from app.db.repositories import access
from app.mailer.domain.errors import Conflict, MailerError
from app.mailer.services.people.first_user import make_operated_user
from tests.integration.services.people.conftest import NOW, PASSWORD, Office


def test_an_owner_of_a_new_tenant(office: Office) -> None:
    with office.sessions() as session:
        person = make_operated_user(
            session, "club", "owner", email="Ada@Example.org", password=PASSWORD, now=NOW
        )
        session.commit()
        assert person.user.email == "ada@example.org"
        assert verify_password(PASSWORD, person.user.password_hash or "")
        tenant = access.tenant_by_slug(session, "club")
        assert tenant is not None
        assert access.scopes_of_user(session, tenant.id, person.user.id) == {"*"}
        entry = session.scalars(select(AuditEntry).where(AuditEntry.tenant_id == tenant.id)).one()
    assert (entry.action, entry.actor_name) == ("user.created", "init_db")
    assert PASSWORD not in str(vars(entry))


@pytest.mark.parametrize(
    ("tenant", "role", "email", "password", "error"),
    [
        ("club", "king", "ada@example.org", PASSWORD, MailerError),
        ("Cl ub", "owner", "ada@example.org", PASSWORD, MailerError),
        ("club", "owner", "nonsense", PASSWORD, MailerError),
        ("club", "owner", "ada@example.org", "", MailerError),
        ("club", "owner", "ada@example.org", "dev-admin", MailerError),
        ("acme", "owner", "bob@example.org", PASSWORD, Conflict),
    ],
)
def test_nothing_is_made_of_what_is_wrong(
    office: Office, tenant: str, role: str, email: str, password: str, error: type[MailerError]
) -> None:
    with office.sessions() as session, pytest.raises(error) as caught:
        make_operated_user(session, tenant, role, email=email, password=password, now=NOW)
    assert PASSWORD not in str(caught.value)
    with office.sessions() as session:
        assert len(session.scalars(select(User)).all()) == 1
        assert len(session.scalars(select(Tenant)).all()) == 1
