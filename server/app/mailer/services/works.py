"""What a worker does for each kind of operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor
from app.audit import log
from app.db.models import AppendAttemptOutcome, Operation, OperationStatus
from app.db.repositories import versions
from app.db.repositories.appending import ToAppend
from app.failpoints import failpoint
from app.mailer.domain.campaign import Campaign
from app.mailer.domain.errors import Conflict, MailerError, NotFound
from app.mailer.domain.mailbox import parse_mailbox
from app.mailer.ports import (
    BlobStore,
    Clock,
    Journal,
    MailTransport,
    Progress,
    SecretBox,
)
from app.mailer.services.append_sent import append_sent
from app.mailer.services.build_version import (
    Workshop,
    build_version,
    prepare_version,
    prepare_with_files,
)
from app.mailer.services.file_copy import SentBox
from app.mailer.services.import_campaign import Imported
from app.mailer.services.operations import Kind, request_cancel
from app.mailer.services.stored_body import opened
from app.mailer.services.trial import NotTaken, Trial, build_trial, send_trial
from app.mailer.services.validate_version import validate_version
from app.mailer.services.versions import discard_unfinished
from app.mailer.services.work import Task, Work

#: The phase from which on a test letter may have left.
HANDING_OVER = "Handing the test letter to the mail server"


@dataclass(frozen=True, slots=True)
class Workbench:
    """The ports that the works need. `connect` gives the mail server of a campaign, `rehearse`
    one that only records; `bodies` is where large requests wait, `take_in` imports one.
    """

    sessions: sessionmaker[Session]
    clock: Clock
    bodies: BlobStore
    box: SecretBox
    workshop: Callable[[Progress], Workshop]
    sent_box: Callable[[], SentBox]
    journal: Callable[[UUID], Journal]
    connect: Callable[[Campaign], MailTransport]
    rehearse: Callable[[], MailTransport]
    take_in: Callable[[Session, Actor, bytes], Imported]


def works_of(bench: Workbench) -> Mapping[Kind, Work]:
    """The work of each kind."""
    return {
        Kind.IMPORT: lambda task: _import(bench, task),
        Kind.VALIDATE: lambda task: _validate(bench, task),
        Kind.BUILD: lambda task: _build(bench, task),
        Kind.TEST_SEND: lambda task: _test_send(bench, task),
        Kind.APPEND_SENT: lambda task: _append_sent(bench, task),
    }


def undo(bench: Workbench, operation: Operation) -> None:
    """Leave nothing half done behind an operation that will not be taken up again."""
    if operation.kind == Kind.BUILD and operation.version_id is not None:
        _discard_build(bench, operation.tenant_id, operation.version_id)
    if operation.kind == Kind.IMPORT:
        bench.bodies.unstage(operation.tenant_id, UUID(operation.request["body_id"]))


def cancel_operation(bench: Workbench, actor: Actor, operation_id: UUID) -> Operation:
    """Have it end: at once where it waits, else as soon as its worker looks up.

    What was done completely before stays done. Cancelling twice changes nothing; `Conflict` where
    it succeeded or failed already.
    """
    now = bench.clock.now()
    with bench.sessions() as session:
        operation, is_new = request_cancel(session, actor, operation_id, now)
        session.commit()
    if is_new and operation.status is OperationStatus.CANCELLED:
        undo(bench, operation)
    return operation


def _import(bench: Workbench, task: Task) -> None:
    tenant_id = task.operation.tenant_id
    body_id = UUID(task.request["body_id"])
    task("Reading the campaign", 0, None)
    try:
        stored = bench.bodies.staged(tenant_id, body_id)
        body = b"".join(opened(bench.box, tenant_id, body_id, stored))
        failpoint("before_import_ends")
        with bench.sessions() as session:
            imported = bench.take_in(session, task.actor, body)
            # Taken up again after a crash, it is imported once all the same.
            task.complete(
                session,
                {
                    "campaign_id": str(imported.campaign_id),
                    "version_id": str(imported.version_id),
                },
                unless_cancelled=True,
                campaign_id=imported.campaign_id,
                version_id=imported.version_id,
            )
            failpoint("before_import_commits")
            session.commit()
    except MailerError:
        undo(bench, task.operation)
        raise
    undo(bench, task.operation)


def _validate(bench: Workbench, task: Task) -> Mapping[str, Any]:
    return validate_version(bench.workshop(task), task.actor, task.version_id)


def _build(bench: Workbench, task: Task) -> None:
    def conclude(session: Session, counts: Mapping[str, int]) -> None:
        task.complete(session, {"entries": dict(counts)}, unless_cancelled=True)

    workshop = bench.workshop(task)
    prepared = prepare_version(workshop, task.actor, task.version_id)
    build_version(workshop, task.actor, task.version_id, prepared, conclude=conclude)


def _discard_build(bench: Workbench, tenant_id: UUID, version_id: UUID) -> None:
    with bench.sessions() as session, suppress(NotFound):  # deleted, and so is what was built
        discard_unfinished(session, versions.get(session, tenant_id, version_id, lock=True))
        session.commit()


def _test_send(bench: Workbench, task: Task) -> Mapping[str, Any] | None:
    request = task.request
    if task.operation.phase == HANDING_OVER:
        raise Conflict(
            "The worker stopped while it handed the test letter to the mail server.",
            "It may have arrived: look before sending it again.",
        )
    tester = parse_mailbox(request["to"])
    workshop = bench.workshop(task)
    prepared, files = prepare_with_files(workshop, task.operation.tenant_id, task.version_id)
    trial = build_trial(
        prepared,
        files,
        tester,
        entry_id=request["entry_id"],
        archive=workshop.archive,
        clock=bench.clock,
        progress=task,
    )
    transport = bench.rehearse() if request["dry_run"] else bench.connect(prepared.campaign)
    task.commit_to(HANDING_OVER)
    failpoint("before_test_send")
    try:
        reply = send_trial(trial, tester, transport)
    except NotTaken as error:
        with bench.sessions() as session:
            _audit_trial(bench, session, task, trial, {"error": error.message})
            session.commit()
        raise
    said = None if request["dry_run"] else f"{reply.code} {reply.text}"
    with bench.sessions() as session:
        _audit_trial(bench, session, task, trial, {"reply": said})
        task.complete(
            session,
            {
                "dry_run": request["dry_run"],
                "entry_id": trial.letter.id,
                "to": tester.address,
                "size": trial.built.size,
                "sha256": trial.built.sha256,
                "message_id": trial.built.message_id,
                "reply": said,
            },
        )
        session.commit()
    return None


def _audit_trial(
    bench: Workbench, session: Session, task: Task, trial: Trial, outcome: Mapping[str, Any]
) -> None:
    log.record(
        session,
        task.actor,
        "campaign.test_sent",
        "campaign",
        task.operation.campaign_id,
        {
            "version_id": str(task.version_id),
            "entry_id": trial.letter.id,
            "to": task.request["to"],
            "dry_run": task.request["dry_run"],
            "sha256": trial.built.sha256,
            **outcome,
        },
        bench.clock.now(),
    )


def _append_sent(bench: Workbench, task: Task) -> Mapping[str, Any]:
    campaign_id = task.operation.campaign_id
    assert campaign_id is not None
    total = done = 0

    def on_start(count: int) -> None:
        nonlocal total
        total = count
        task.tell("Filing copies", 0, total)

    def on_done(_job: ToAppend, _outcome: AppendAttemptOutcome) -> None:
        nonlocal done
        done += 1
        task.tell("Filing copies", done, total)

    journal = bench.journal(task.operation.tenant_id)
    settled = False
    try:
        report = append_sent(
            bench.sent_box(),
            task.actor,
            campaign_id,
            journal=journal,
            include_failed=bool(task.request.get("include_failed", False)),
            limit=task.request.get("limit"),
            stop=task.stop,
            on_start=on_start,
            on_done=on_done,
        )
        settled = True
    finally:
        # After a fault the file stays, so that the next run knows this one for dead.
        journal.close(settled=settled)
    if report.interrupted:
        task.check()
    return report.as_dict()
