"""The check of an account takes no longer than it may, and is kept where it still is true."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from app.access.actor import Actor
from app.db.models import MailAccount
from app.mailer.adapters.clock import SystemClock
from app.mailer.domain.errors import AccessDenied, MailerError
from app.mailer.ports import ServerAccess
from app.mailer.services.check_account import Probes, check_account
from tests.integration.services.accounts.desk import change, make
from tests.integration.services.pipeline.office import Office


def check(office: Office, account: MailAccount, probes: Probes, **options: Any) -> dict[str, Any]:
    return check_account(
        office.sessions,
        options.pop("actor", office.actor),
        account.id,
        probes=probes,
        box=office.box,
        clock=SystemClock(),
        **options,
    )


def kept(office: Office, account: MailAccount) -> dict[str, Any] | None:
    with office.sessions() as session:
        return session.get_one(MailAccount, account.id).check_result


def works(_access: ServerAccess, _folder: str) -> Mapping[str, Any]:
    return {}


def test_a_server_that_never_answers_is_given_up(office: Office) -> None:
    account = make(office, imap_host="imap.example.org", imap_username="u", imap_password="p")
    release = threading.Event()

    def hangs(_access: ServerAccess, _folder: str) -> Mapping[str, Any]:
        release.wait(20)
        return {}

    began = time.monotonic()
    result = check(office, account, Probes(hangs, hangs), seconds=0.2)
    release.set()
    assert time.monotonic() - began < 5
    for server in ("smtp", "imap"):
        assert result[server]["ok"] is False
        assert "within 0.2 seconds" in result[server]["message"]
    assert kept(office, account) == result


def test_the_probe_gets_the_password_and_is_confined(office: Office) -> None:
    account = make(office)
    asked: list[ServerAccess] = []

    def listens(access: ServerAccess, _folder: str) -> Mapping[str, Any]:
        asked.append(access)
        raise MailerError("The password is wrong.")

    result = check(office, account, Probes(listens, works))
    assert result == {
        "ok": False,
        "smtp": {"ok": False, "message": "The password is wrong."},
        "imap": None,
    }
    (access,) = asked
    assert (access.password, access.confined) == ("smtp-hunter2", True)
    assert "hunter2" not in str(kept(office, account))


def test_what_is_no_longer_true_is_not_kept(office: Office) -> None:
    account = make(office)

    def meanwhile(_access: ServerAccess, _folder: str) -> Mapping[str, Any]:
        change(office, account.id, smtp_port=465)
        return {}

    assert check(office, account, Probes(meanwhile, works))["ok"]
    assert kept(office, account) is None


def test_without_the_scope_nobody_is_asked(office: Office) -> None:
    account = make(office)
    reader = Actor.system(office.tenant_id, "Eve", ["accounts:read"])
    with pytest.raises(AccessDenied, match="accounts:write"):
        check(office, account, Probes(works, works), actor=reader)
    assert kept(office, account) is None
