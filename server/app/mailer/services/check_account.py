"""Log in to the servers of a mail account and say what they offer. No mail is sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.repositories import accounts
from app.mailer.domain.campaign import ImapServer, SmtpServer
from app.mailer.domain.errors import MailerError
from app.mailer.ports import Clock, SecretBox, Security, ServerAccess
from app.mailer.services.account_servers import servers_of

#: For one server, from the look-up of its name to the answer to the last command.
SECONDS = 15.0
_ANSWER_SECONDS = 10.0

#: Logs in and says what the server offers, as JSON; raises `MailerError` with what is wrong.
Probe = Callable[[ServerAccess, str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Probes:
    """One for each kind of server; the second argument is the Sent folder that is configured."""

    smtp: Probe
    imap: Probe


def check_account(
    sessions: sessionmaker[Session],
    actor: Actor,
    account_id: UUID,
    *,
    probes: Probes,
    box: SecretBox,
    clock: Clock,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """`{"ok", "smtp": {"ok", "message", …}, "imap": the same or None}`, which is also kept.

    Both servers are asked at once, each for `seconds` at most, and no transaction is open
    meanwhile. The result is not kept where the account was changed in the meantime.
    """
    require_scope(actor, Scope.ACCOUNTS_WRITE)
    with sessions() as session:
        account = accounts.get(session, actor.tenant_id, account_id)
        revision = account.revision
        smtp, imap = servers_of(account, box)
    asked = [_Asked(probes.smtp, smtp), _Asked(probes.imap, imap)]
    deadline = clock.monotonic() + seconds
    found = [each.answer(max(0.0, deadline - clock.monotonic()), seconds) for each in asked]
    result = {
        "ok": all(each is None or each["ok"] for each in found),
        "smtp": found[0],
        "imap": found[1],
    }
    now = clock.now()
    with sessions() as session:
        account = accounts.get(session, actor.tenant_id, account_id, lock=True)
        if account.revision == revision:
            account.checked_at = now
            account.check_result = result
        details = {"name": account.name, "ok": result["ok"]}
        log.record(session, actor, "account.checked", "mail_account", account_id, details, now)
        session.commit()
    return result


class _Asked:
    """One server that is being asked, in a thread that nobody has to wait for."""

    def __init__(self, probe: Probe, spec: SmtpServer | ImapServer | None) -> None:
        self._thread: threading.Thread | None = None
        self._answer: dict[str, Any] | None = None
        if spec is None:
            return
        access = _access(spec)
        folder = spec.sent_folder if isinstance(spec, ImapServer) else "auto"
        self._place = f"{access.host}:{access.port}"

        def ask() -> None:
            try:
                found = probe(access, folder)
            except MailerError as error:
                self._answer = {"ok": False, "message": str(error)}
            else:
                self._answer = {"ok": True, "message": _said(access), **found}

        self._thread = threading.Thread(target=ask, name="check-account", daemon=True)
        self._thread.start()

    def answer(self, patience: float, seconds: float) -> dict[str, Any] | None:
        if self._thread is None:
            return None
        self._thread.join(patience)
        return self._answer or {
            "ok": False,
            "message": f"{self._place} was not through with the login within {seconds:g} seconds.",
        }


def _said(access: ServerAccess) -> str:
    if access.username:
        return f"The login as “{access.username}” worked."
    return "The server answers. There is no user name, so nobody logged in."


def _access(spec: SmtpServer | ImapServer) -> ServerAccess:
    token = spec.auth == "xoauth2"
    return ServerAccess(
        host=spec.host,
        port=spec.port,
        security=Security(spec.security),
        username=spec.username,
        password=None if token else spec.password,
        timeout_seconds=_ANSWER_SECONDS,
        oauth_token=spec.password if token else None,
        confined=True,
    )
