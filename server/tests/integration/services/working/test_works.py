"""What a worker does for each kind of operation, with real rows and stores."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from uuid import UUID

from sqlalchemy import select, update

from app.db.models import CampaignVersion, Job, OperationStatus
from app.db.repositories import operations
from app.mailer.domain.delivery.job import ImapStatus, SendStatus
from app.mailer.ports import AppendOutcome
from app.mailer.services.operations import Kind, request_cancel
from app.mailer.services.work import Worker
from app.mailer.services.works import HANDING_OVER, Workbench, undo, works_of
from tests.integration.services.pipeline.desk import entry
from tests.integration.services.working.conftest import Shop


class Folder:
    """A Sent folder that takes everything; `on_first` is called while the first copy comes."""

    def __init__(self) -> None:
        self.copies: list[str] = []
        self.on_first: Callable[[], None] = lambda: None

    def folder(self) -> str:
        return "Sent"

    def contains(self, _message_id: str) -> bool:
        return False

    def append(
        self, _message: bytes, message_id: str, _sent_at: datetime, **_: object
    ) -> AppendOutcome:
        if not self.copies:
            self.on_first()
        self.copies.append(message_id)
        return AppendOutcome.APPENDED

    def close(self) -> None:
        pass


def worker_of(shop: Shop, bench: Workbench, shutdown: threading.Event) -> Worker:
    program = shop.program
    return Worker(
        program.sessions,
        program.reading,
        program.clock,
        "w",
        works_of(bench),
        shutdown=shutdown,
        undo=partial(undo, bench),
    )


def sent(shop: Shop, count: int) -> UUID:
    """A campaign that was sent, its copies not yet filed; the campaign's version."""
    version_id = shop.take(count).version_id
    shop.put_down(Kind.BUILD, version_id)
    assert shop.worker().run_next()
    with shop.program.sessions() as session:
        session.execute(
            update(Job).values(
                send_status=SendStatus.SENT,
                imap_status=ImapStatus.PENDING,
                sent_at=shop.program.clock.now(),
            )
        )
        session.commit()
    return version_id


def bench_with(shop: Shop, folder: Folder) -> Workbench:
    bench = shop.program.workbench()
    box = replace(bench.sent_box(), open_folder=lambda _campaign: folder)
    return replace(bench, sent_box=lambda: box)


def test_missing_copies_are_filed(shop: Shop) -> None:
    version_id = sent(shop, 3)
    operation = shop.put_down(Kind.APPEND_SENT, version_id, include_failed=False)
    folder = Folder()
    worker_of(shop, bench_with(shop, folder), threading.Event()).run_next()
    ended = shop.look(operation)
    assert ended.status is OperationStatus.SUCCEEDED, ended.problem
    assert ended.result is not None
    assert ended.result["outcomes"] == {"appended": 3}
    assert (ended.phase, ended.done, ended.total) == ("", 3, 3)
    assert len(folder.copies) == 3
    assert list(shop.program.settings.journal_dir.rglob("*.journal")) == []


def test_a_stopped_filing_is_given_back_and_goes_on_later(shop: Shop) -> None:
    version_id = sent(shop, 3)
    operation = shop.put_down(Kind.APPEND_SENT, version_id)
    folder, shutdown = Folder(), threading.Event()
    bench = bench_with(shop, folder)
    folder.on_first = shutdown.set
    worker_of(shop, bench, shutdown).run_next()
    assert len(folder.copies) == 1
    given = shop.look(operation)
    assert given.status is OperationStatus.QUEUED
    assert worker_of(shop, bench, threading.Event()).run_next()
    assert shop.look(operation).status is OperationStatus.SUCCEEDED
    assert len(folder.copies) == len(set(folder.copies)) == 3


def test_a_test_letter_whose_worker_died_while_handing_it_over_is_not_sent_again(
    shop: Shop,
) -> None:
    version_id = shop.take().version_id
    operation = shop.put_down(
        Kind.TEST_SEND, version_id, to="tess@example.org", entry_id=None, dry_run=True
    )
    with shop.program.sessions() as session:
        # As a worker leaves it that dies after it has begun to talk to the mail server.
        row = operations.get(session, shop.actor.tenant_id, operation)
        row.status, row.phase, row.lease_until = OperationStatus.RUNNING, HANDING_OVER, None
        row.lease_until = row.created_at
        session.commit()
    assert shop.worker().run_next()
    ended = shop.look(operation)
    assert ended.status is OperationStatus.FAILED
    assert ended.problem is not None
    assert "may have arrived" in ended.problem["hint"]


def test_a_version_that_is_no_campaign_is_validated_all_the_same(shop: Shop) -> None:
    version_id = shop.take().version_id
    with shop.program.sessions() as session:
        version = session.scalars(select(CampaignVersion)).one()
        version.config = {"version": "1.0", "campaign": {"id": "cards"}}
        session.commit()
    operation = shop.put_down(Kind.VALIDATE, version_id)
    assert shop.worker().run_next()
    ended = shop.look(operation)
    assert ended.status is OperationStatus.SUCCEEDED, ended.problem
    assert ended.result is not None
    assert ended.result["has_findings"] is True
    assert ended.result["severities"]["block"] > 0
    assert set(ended.result["entries"].values()) == {0}


def test_all_that_is_wrong_in_a_version_is_found_at_once(shop: Shop) -> None:
    version_id = shop.take().version_id
    with shop.program.sessions() as session:
        version = session.scalars(select(CampaignVersion)).one()
        version.config = {
            **version.config,
            "template": {"subject": "Hi ${x}", "text": "Good day.", "txet": "z"},
            "entries": {"source": {"path": "nothere.csv"}},
        }
        session.commit()
    validation, build = (shop.put_down(kind, version_id) for kind in (Kind.VALIDATE, Kind.BUILD))
    assert shop.worker().run_next()
    ended = shop.look(validation)
    assert ended.result is not None, ended.problem
    assert set(ended.result["codes"]) >= {"unknown-key", "unknown-placeholder", "missing-file"}
    assert shop.worker().run_next()
    assert shop.look(build).status is OperationStatus.FAILED
    with shop.program.sessions() as session:
        assert session.scalars(select(Job)).all() == []


def test_a_cancelled_rebuild_leaves_the_version_unbuilt_and_buildable(shop: Shop) -> None:
    version_id = shop.take(2, entries={"inline": [entry(0), entry(1)]}).version_id
    shop.put_down(Kind.BUILD, version_id)
    assert shop.worker().run_next()
    build = shop.put_down(Kind.BUILD, version_id)
    bench = shop.program.workbench()

    def cancelling(phase: str, _done: int, _total: int | None) -> None:
        if phase.startswith("Build"):
            with shop.program.sessions() as session:
                request_cancel(session, shop.actor, build, shop.program.clock.now())
                session.commit()

    def workshop(progress):  # type: ignore[no-untyped-def]
        def both(phase: str, done: int, total: int | None) -> None:
            cancelling(phase, done, total)
            progress(phase, done, total)

        return bench.workshop(both)

    worker_of(shop, replace(bench, workshop=workshop), threading.Event()).run_next()
    assert shop.look(build).status is OperationStatus.CANCELLED
    with shop.program.reading() as session:
        assert session.scalars(select(Job.id)).all() == []
        assert session.scalars(select(CampaignVersion.built_at)).all() == [None]
    again = shop.put_down(Kind.BUILD, version_id)
    assert shop.worker().run_next()
    assert shop.look(again).status is OperationStatus.SUCCEEDED
