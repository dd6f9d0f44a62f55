"""A house whose campaign was sent, and every service of the program as one call each."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.access.actor import Actor
from app.access.scopes import Scope
from app.audit import AuditFilter, list_entries
from app.db.models import Tenant
from app.db.repositories import access
from app.mailer.adapters.recording import RecordingTransport
from app.mailer.domain.delivery.job import Decision, Event
from app.mailer.services.append_sent import append_sent, rehearse_append
from app.mailer.services.build_version import (
    Workshop,
    build_version,
    prepare_version,
    record_validation,
)
from app.mailer.services.email_report import Post, email_report
from app.mailer.services.evidence import RecordOffice, export_evidence
from app.mailer.services.file_copy import SentBox
from app.mailer.services.import_campaign import Imported, import_campaign
from app.mailer.services.list_campaigns import list_campaigns
from app.mailer.services.open_folders import OpenFolders
from app.mailer.services.open_reviews import open_reviews
from app.mailer.services.prepare import Prepared
from app.mailer.services.queue_campaign import queue_campaign
from app.mailer.services.reconcile import reconcile
from app.mailer.services.report import campaign_report, campaign_summary, job_rows
from app.mailer.services.rest_export import rest_rows
from app.mailer.services.review import Selection, decide, resolve
from app.mailer.services.send_campaign import rehearse_sending, send_campaign
from app.mailer.services.verify_audit import verify_audit
from tests.integration.services.sending.house import START, House, letter, make_house
from tests.servers.smtp import SmtpServer

Call = Callable[[Actor], Any]


@dataclass
class Estate:
    """A house with one campaign of two versions: the first sent, the second queued in part.

    `calls` has every service by name, each with the ids of this campaign.
    """

    house: House
    document: dict[str, Any]
    campaign_id: UUID
    version: Imported
    sent: list[str] = field(default_factory=list)

    def actor(self, *scopes: str) -> Actor:
        return Actor.system(self.house.actor.tenant_id, "Ada", scopes)

    def stranger(self) -> Actor:
        with self.house.sessions() as session:
            tenant = access.add_tenant(
                session, Tenant(slug="other", name="Other", created_at=START)
            )
            session.commit()
        return Actor.system(tenant.id, "Mallory", [Scope.EVERYTHING])

    @property
    def workshop(self) -> Workshop:
        return self.house.workshop

    @property
    def prepared(self) -> Prepared:
        return prepare_version(self.workshop, self.house.actor, self.version.version_id)

    def _connect(self, *_: object) -> RecordingTransport:
        self.sent.append("a connection was made")
        return RecordingTransport()

    def _in_session(self, call: Callable[..., Any]) -> Any:
        with self.house.sessions() as session:
            result = call(session)
            if isinstance(result, Iterator):
                result = list(result)
            session.commit()
            return result

    def calls(self) -> dict[str, Call]:
        house, campaign, version = self.house, self.campaign_id, self.version.version_id
        prepared = self.prepared
        decision = {"version_id": version, "reason": "because", "now": house.clock.now()}
        quiet: dict[str, Any] = {"limit": None, "on_start": lambda _: None}
        box = SentBox(house.sessions, house.blobs, house.clock, house.box, self._connect)  # type: ignore[arg-type]
        post = Post(house.sessions, house.sessions, house.clock, house.box, self._connect)

        office = RecordOffice(house.sessions, house.sessions, house.blobs, house.clock, "test")

        def within(call: Callable[..., Any], *given: Any, **options: Any) -> Call:
            return lambda actor: self._in_session(
                lambda session: call(session, actor, *given, **options)
            )

        def sending(actor: Actor) -> Any:
            journal = house.journal()
            try:
                return send_campaign(
                    house.outbox,
                    actor,
                    campaign,
                    journal=journal,
                    rate_limit=True,
                    stop=threading.Event(),
                    on_done=lambda *_: self.sent.append("a letter"),
                    **quiet,
                )
            finally:
                journal.close(settled=True)

        def appending(actor: Actor) -> Any:
            journal = house.journal()
            try:
                return append_sent(
                    box,
                    actor,
                    campaign,
                    journal=journal,
                    include_failed=True,
                    stop=threading.Event(),
                    on_done=lambda *_: None,
                    **quiet,
                )
            finally:
                journal.close(settled=True)

        found: dict[str, Call] = {
            "list_campaigns": within(list_campaigns),
            "list_entries": within(list_entries, AuditFilter(object_id=str(campaign))),
            "campaign_report": within(
                campaign_report, campaign, version_id=None, include_jobs=True, now=START
            ),
            "campaign_report of a version": within(
                campaign_report, campaign, version_id=version, include_jobs=True, now=START
            ),
            "job_rows": within(job_rows, campaign, version_id=version),
            "campaign_summary": within(campaign_summary, campaign, version_id=None, now=START),
            "rest_rows": lambda actor: self._in_session(
                lambda session: iter(rest_rows(session, actor, campaign, version_id=version).rows)
            ),
            "verify_audit": within(verify_audit),
            "export_evidence": lambda actor: list(
                export_evidence(
                    office, actor, campaign, version_id=version, with_messages=False
                ).pieces
            ),
            "open_reviews": within(open_reviews, campaign, version_id=version),
            "import_campaign": within(
                import_campaign,
                json.dumps(self.document).encode(),
                folder=str(house.folder),
                source_filename=None,
                clock=house.clock,
                box=house.box,
            ),
            "prepare_version": lambda actor: prepare_version(self.workshop, actor, version),
            "record_validation": lambda actor: record_validation(
                self.workshop, actor, version, prepared
            ),
            "build_version": lambda actor: build_version(self.workshop, actor, version, prepared),
            "queue_campaign": within(
                queue_campaign,
                campaign,
                version_id=version,
                include_warnings=True,
                again=True,
                dry_run=False,
                clock=house.clock,
                box=house.box,
            ),
            "rehearse_sending": lambda actor: rehearse_sending(
                house.outbox, actor, campaign, self._connect(), on_done=lambda *_: None, **quiet
            ),
            "send_campaign": sending,
            "rehearse_append": lambda actor: rehearse_append(
                box, actor, campaign, include_failed=True, limit=None
            ),
            "append_sent": appending,
            "reconcile": lambda actor: reconcile(
                OpenFolders(box), actor, campaign, stop=threading.Event()
            ),
            "email_report": lambda actor: email_report(
                post,
                actor,
                campaign,
                version_id=version,
                to=["spy@example.org"],
                include_jobs=True,
                attach_jobs_csv=True,
                attach_report_json=True,
                dry_run=False,
            ),
        }
        for choice in Decision:
            found[f"decide {choice.value}"] = within(
                decide, campaign, selection=Selection(["e1"]), decision=choice, **decision
            )
        for event in (Event.RETRY, Event.CANCEL, Event.ASSUME_SENT, Event.RESEND):
            found[f"resolve {event.value}"] = within(
                resolve, campaign, selection=Selection(), event=event, box=house.box, **decision
            )
        return found


@pytest.fixture(params=["sqlite", "postgres"])
def estate(
    request: pytest.FixtureRequest, tmp_path: Path, smtp_server: SmtpServer
) -> Iterator[Estate]:
    """On SQLite and on Postgres."""
    url = request.getfixturevalue(f"{request.param}_url")
    for house in make_house(url, tmp_path):
        document = letter(
            smtp_server.port,
            3,
            server={
                "smtp": {"host": "127.0.0.1", "port": smtp_server.port, "security": "plain"},
                "imap": {"host": "127.0.0.1", "port": 9, "security": "plain", "username": "u"},
            },
        )
        campaign_id = house.queued(document)
        house.send(campaign_id, limit=1)
        version = house.build(document)
        yield Estate(house, document, campaign_id, version)
