"""Accounts made, changed and deleted as the API does it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.db.models import MailAccount
from app.mailer.adapters.clock import SystemClock
from app.mailer.services.accounts import create_account, delete_account, update_account
from tests.integration.services.pipeline.office import Office


def anywhere(_host: str) -> None:
    """Every host is allowed."""


def make(office: Office, **values: Any) -> MailAccount:
    given = {
        "name": "office",
        "smtp_host": "mail.example.org",
        "smtp_username": "u@example.org",
        "smtp_password": "smtp-hunter2",
        **values,
    }
    with office.sessions() as session:
        account = create_account(
            session,
            office.actor,
            given,
            box=office.box,
            clock=SystemClock(),
            refuse_private=anywhere,
        )
        session.commit()
    return account


def change(office: Office, account_id: UUID, **changes: Any) -> MailAccount:
    with office.sessions() as session:
        account = update_account(
            session,
            office.actor,
            account_id,
            changes,
            expected_revision=None,
            box=office.box,
            clock=SystemClock(),
            refuse_private=anywhere,
        )
        session.commit()
    return account


def delete(office: Office, account_id: UUID) -> None:
    with office.sessions() as session:
        delete_account(
            session, office.actor, account_id, expected_revision=None, clock=SystemClock()
        )
        session.commit()
