"""Workers as processes of their own: killed, frozen, stopped, and left without a parent."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from app.bootstrap.worker_process import WorkerProcess
from app.db.models import CampaignVersion, Job, JobMessage, Operation, OperationStatus
from app.mailer.services.operations import Kind
from app.mailer.services.stored_body import Sealer
from app.mailer.services.works import cancel_operation
from tests.integration.services.pipeline.desk import document
from tests.integration.services.working.conftest import Shop

#: Three portions of a build.
ENTRIES = 1200


def test_a_build_whose_worker_is_killed_in_the_middle_is_done_by_the_next(shop: Shop) -> None:
    version_id = shop.take(ENTRIES).version_id
    build = shop.put_down(Kind.BUILD, version_id)
    killed = shop.process("--once", FAILPOINTS="built_portion:exit@2")
    assert killed.wait(60) == -signal.SIGKILL
    half = shop.look(build)
    assert (half.status, half.tries) == (OperationStatus.RUNNING, 1)
    assert _jobs(shop) == 1000
    assert _built_at(shop) is None

    shop.expire(build)
    assert shop.process("--once").wait(60) == 0
    ended = shop.look(build)
    assert (ended.status, ended.tries) == (OperationStatus.SUCCEEDED, 2)
    assert _jobs(shop) == _messages(shop) == ENTRIES
    assert _built_at(shop) is not None


def test_a_frozen_worker_that_wakes_up_late_changes_nothing(shop: Shop) -> None:
    version_id = shop.take(ENTRIES).version_id
    build = shop.put_down(Kind.BUILD, version_id)
    frozen = shop.process("--once", FAILPOINTS="built_portion:stop@2")
    shop.until(build, lambda _each: _jobs(shop) == 1000)
    while _state(frozen.pid) != "T":
        time.sleep(0.01)
    shop.expire(build)
    assert shop.worker("b").run_next()
    first = shop.look(build)
    assert first.status is OperationStatus.SUCCEEDED
    assert _jobs(shop) == ENTRIES

    os.kill(frozen.pid, signal.SIGCONT)
    assert frozen.wait(60) == 0
    assert shop.look(build).finished_at == first.finished_at
    assert _jobs(shop) == ENTRIES


@pytest.mark.parametrize("portion", [1, 2, 3])
def test_a_cancelled_build_leaves_no_letter_behind(shop: Shop, portion: int) -> None:
    version_id = shop.take(ENTRIES).version_id
    build = shop.put_down(Kind.BUILD, version_id)
    frozen = shop.process("--once", FAILPOINTS=f"built_portion:stop@{portion}")
    shop.until(build, lambda _each: _jobs(shop) == min(500 * portion, ENTRIES))
    while _state(frozen.pid) != "T":
        time.sleep(0.01)
    cancelled = cancel_operation(shop.program.workbench(), shop.actor, build)
    assert cancelled.status is OperationStatus.RUNNING
    os.kill(frozen.pid, signal.SIGCONT)
    assert frozen.wait(60) == 0
    assert shop.look(build).status is OperationStatus.CANCELLED
    assert _jobs(shop) == 0
    assert _built_at(shop) is None


def test_sigterm_gives_the_build_back(shop: Shop) -> None:
    version_id = shop.take(ENTRIES).version_id
    build = shop.put_down(Kind.BUILD, version_id)
    frozen = shop.process(FAILPOINTS="built_portion:stop@1")
    shop.until(build, lambda _each: _jobs(shop) == 500)
    while _state(frozen.pid) != "T":
        time.sleep(0.01)
    frozen.terminate()
    os.kill(frozen.pid, signal.SIGCONT)
    assert frozen.wait(60) == 0
    given = shop.look(build)
    assert (given.status, given.tries) == (OperationStatus.QUEUED, 0)
    assert shop.worker().run_next()
    assert shop.look(build).status is OperationStatus.SUCCEEDED


def test_a_worker_ends_with_its_standard_input(shop: Shop) -> None:
    validation = shop.put_down(Kind.VALIDATE, shop.take().version_id)
    child = shop.process("--until-eof")
    assert shop.ended(validation).status is OperationStatus.SUCCEEDED
    assert child.poll() is None
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(20) == 0


def test_an_import_whose_worker_is_killed_is_done_once(shop: Shop) -> None:
    operation = _stored_import(shop, {"config": document()})
    killed = shop.process("--once", FAILPOINTS="before_import_commits:exit")
    assert killed.wait(60) == -signal.SIGKILL
    assert _versions(shop) == 0
    shop.expire(operation)
    assert shop.process("--once").wait(60) == 0
    ended = shop.look(operation)
    assert ended.status is OperationStatus.SUCCEEDED, ended.problem
    assert ended.result == {
        "campaign_id": str(ended.campaign_id),
        "version_id": str(ended.version_id),
    }
    assert _versions(shop) == 1
    assert _staged(shop, ended) == b""


def test_an_import_of_what_is_no_campaign_fails_with_all_reasons(shop: Shop) -> None:
    operation = _stored_import(shop, {"config": {"version": "9"}})
    assert shop.worker().run_next()
    ended = shop.look(operation)
    assert ended.status is OperationStatus.FAILED
    assert ended.problem is not None
    assert len(ended.problem["issues"]) > 1
    assert _staged(shop, ended) == b""


def test_an_import_that_was_cancelled_just_before_its_end_imports_nothing(shop: Shop) -> None:
    operation = _stored_import(shop, {"config": document()})
    frozen = shop.process("--once", FAILPOINTS="before_import_ends:stop")
    shop.until(operation, lambda each: each.status is OperationStatus.RUNNING)
    while _state(frozen.pid) != "T":
        time.sleep(0.01)
    cancel_operation(shop.program.workbench(), shop.actor, operation)
    os.kill(frozen.pid, signal.SIGCONT)
    assert frozen.wait(60) == 0
    ended = shop.look(operation)
    assert ended.status is OperationStatus.CANCELLED
    assert _versions(shop) == 0
    assert _staged(shop, ended) == b""


def test_a_cancelled_import_leaves_no_body_behind(shop: Shop) -> None:
    operation = _stored_import(shop, {"config": document()})
    assert _staged(shop, shop.look(operation))
    cancelled = cancel_operation(shop.program.workbench(), shop.actor, operation)
    assert cancelled.status is OperationStatus.CANCELLED
    assert _staged(shop, cancelled) == b""


def test_the_worker_of_an_api_process_is_replaced_when_it_dies(shop: Shop) -> None:
    worker = WorkerProcess(shop.program.settings, "run_operations")
    worker.start()
    try:
        first = shop.put_down(Kind.VALIDATE, shop.take().version_id)
        assert shop.ended(first).status is OperationStatus.SUCCEEDED
        pid = worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        second = shop.put_down(Kind.VALIDATE, shop.take().version_id)
        assert shop.ended(second).status is OperationStatus.SUCCEEDED
        assert worker.pid not in (None, pid)
    finally:
        worker.stop()
    assert worker.pid is None


def _stored_import(shop: Shop, body: dict[str, Any]) -> UUID:
    """What the API puts down for a large body."""
    program, tenant_id, body_id = shop.program, shop.actor.tenant_id, uuid4()
    sealer = Sealer(program.box, tenant_id, body_id)
    data = sealer.feed(json.dumps(body).encode()) + sealer.end()
    program.stored_files.stage(tenant_id, body_id, 0, 0, data)
    return shop.put_down(Kind.IMPORT, body_id=str(body_id))


def _staged(shop: Shop, operation: Operation) -> bytes:
    body_id = UUID(operation.request["body_id"])
    return b"".join(shop.program.stored_files.staged(shop.actor.tenant_id, body_id))


def _versions(shop: Shop) -> int:
    with shop.program.reading() as session:
        return session.scalar(select(func.count()).select_from(CampaignVersion)) or 0


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def _jobs(shop: Shop) -> int:
    with shop.program.reading() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def _messages(shop: Shop) -> int:
    with shop.program.reading() as session:
        return session.scalar(select(func.count()).select_from(JobMessage)) or 0


def _built_at(shop: Shop) -> object:
    with shop.program.reading() as session:
        return session.scalar(select(CampaignVersion.built_at))
