"""What a worker promises: each operation by one worker at a time, and to its end."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from app.access import authenticate_api_key, create_api_key
from app.access.actor import Actor, ActorKind
from app.db.models import OperationStatus, Role, User
from app.db.repositories import access
from app.db.repositories.access import keys, users
from app.mailer.domain.errors import AccessDenied, Conflict, MailerError
from app.mailer.services import work
from app.mailer.services.operations import (
    AlreadyRunning,
    Kind,
    request_cancel,
    start_operation,
)
from app.mailer.services.work import MAX_TRIES, Task
from tests.integration.services.working.conftest import Shop


def test_workers_never_share_an_operation(shop: Shop) -> None:
    asked = {shop.put_down(Kind.TEST_SEND, shop.take().version_id) for _ in range(30)}
    done: Counter[UUID] = Counter()

    def count(task: Task) -> Mapping[str, Any]:
        done[task.operation.id] += 1
        time.sleep(0.005)
        return {}

    def run() -> None:
        worker = shop.worker(threading.current_thread().name, {Kind.TEST_SEND: count})
        idle = 0
        while idle < 5:
            idle = 0 if worker.run_next() else idle + 1
            time.sleep(0.01 if idle else 0)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert done == Counter(dict.fromkeys(asked, 1))
    assert {shop.look(each).status for each in asked} == {OperationStatus.SUCCEEDED}


def test_two_operations_of_one_version_run_one_after_the_other(shop: Shop) -> None:
    version_id = shop.take().version_id
    validation = shop.put_down(Kind.VALIDATE, version_id)
    build = shop.put_down(Kind.BUILD, version_id)
    at_work, go_on = threading.Event(), threading.Event()

    def wait(_task: Task) -> Mapping[str, Any]:
        at_work.set()
        assert go_on.wait(20)
        return {}

    works = {Kind.VALIDATE: wait, Kind.BUILD: lambda _task: {}}
    first = threading.Thread(target=shop.worker("a", works).run_next)
    first.start()
    assert at_work.wait(20)
    assert not shop.worker("b", works).run_next()
    assert shop.look(build).status is OperationStatus.QUEUED
    go_on.set()
    first.join()
    assert shop.worker("b", works).run_next()
    assert shop.ended(build).started_at >= shop.look(validation).finished_at


def test_a_worker_that_lost_its_lease_changes_nothing_more(shop: Shop) -> None:
    operation = shop.put_down(Kind.BUILD, shop.take().version_id)

    def slow(task: Task) -> Mapping[str, Any]:
        shop.expire(operation)
        assert shop.worker("b", {Kind.BUILD: lambda _task: {"by": "b"}}).run_next()
        if task.request.get("looks"):
            task("Working", 1, 2)
        return {"by": "a"}

    assert shop.worker("a", {Kind.BUILD: slow}).run_next()
    found = shop.look(operation)
    assert (found.status, found.result) == (OperationStatus.SUCCEEDED, {"by": "b"})
    assert found.fence == 2


def test_progress_tells_a_worker_that_its_lease_is_lost(shop: Shop) -> None:
    operation = shop.put_down(Kind.BUILD, shop.take().version_id)
    went_on = []

    def slow(task: Task) -> Mapping[str, Any]:
        shop.expire(operation)
        shop.worker("b", {Kind.BUILD: lambda _task: {"by": "b"}}).run_next()
        task("Working", 1, 2)
        went_on.append(True)
        return {}

    shop.worker("a", {Kind.BUILD: slow}).run_next()
    assert went_on == []
    assert shop.look(operation).result == {"by": "b"}


def test_a_lease_is_kept_without_any_progress(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_BEAT_SECONDS", 0.05)
    operation = shop.put_down(Kind.BUILD, shop.take().version_id)

    def silent(task: Task) -> Mapping[str, Any]:
        before = task.operation.lease_until
        assert before is not None
        shop.until(operation, lambda each: each.lease_until > before)
        return {}

    shop.worker("a", {Kind.BUILD: silent}).run_next()
    assert shop.look(operation).status is OperationStatus.SUCCEEDED


def test_what_breaks_off_again_and_again_is_given_up(shop: Shop) -> None:
    operation = shop.put_down(Kind.BUILD, shop.take().version_id)
    undone = []

    class Killed(BaseException):
        pass

    def die(_task: Task) -> Mapping[str, Any]:
        raise Killed

    worker = shop.worker("a", {Kind.BUILD: die}, undo=undone.append)
    for _ in range(MAX_TRIES):
        with pytest.raises(Killed):
            worker.run_next()
        assert shop.look(operation).status is OperationStatus.RUNNING
        assert not worker.run_next()
        shop.expire(operation)
    assert worker.run_next()
    found = shop.look(operation)
    assert found.status is OperationStatus.FAILED
    assert found.problem is not None
    assert found.problem["detail"].startswith("It broke off 3 times")
    assert [each.id for each in undone] == [operation]


def test_a_fault_of_the_program_tells_nobody_what_it_was(shop: Shop) -> None:
    operation = shop.put_down(Kind.BUILD, shop.take().version_id)

    def fault(_task: Task) -> Mapping[str, Any]:
        raise RuntimeError("hunter2")

    shop.worker("a", {Kind.BUILD: fault}).run_next()
    problem = shop.look(operation).problem
    assert problem is not None
    assert problem["error"] == []
    assert "hunter2" not in str(problem)


def test_one_that_waits_is_cancelled_at_once(shop: Shop) -> None:
    operation = shop.put_down(Kind.BUILD, shop.take().version_id)
    assert _cancel(shop, operation)
    assert shop.look(operation).status is OperationStatus.CANCELLED
    assert not shop.worker().run_next()
    assert not _cancel(shop, operation)


def test_one_that_runs_is_cancelled_at_its_next_look(shop: Shop) -> None:
    operation = shop.put_down(Kind.BUILD, shop.take().version_id)
    undone = []

    def endless(task: Task) -> Mapping[str, Any]:
        assert _cancel(shop, operation)
        for step in range(1000):
            task("Working", step, None)
            time.sleep(0.01)
        raise AssertionError("was not cancelled")

    shop.worker("a", {Kind.BUILD: endless}, undo=undone.append).run_next()
    assert shop.look(operation).status is OperationStatus.CANCELLED
    assert [each.id for each in undone] == [operation]


def test_what_looks_at_stop_is_told_of_a_cancellation(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "_BEAT_SECONDS", 0.05)
    operation = shop.put_down(Kind.APPEND_SENT, shop.take().version_id)

    def filing(task: Task) -> Mapping[str, Any]:
        _cancel(shop, operation)
        assert task.stop.wait(20)
        task.check()
        return {}

    shop.worker("a", {Kind.APPEND_SENT: filing}).run_next()
    assert shop.look(operation).status is OperationStatus.CANCELLED


def test_what_a_dead_worker_was_to_cancel_the_next_one_cancels(shop: Shop) -> None:
    operation = shop.put_down(Kind.BUILD, shop.take().version_id)

    class Killed(BaseException):
        pass

    def die(_task: Task) -> Mapping[str, Any]:
        _cancel(shop, operation)
        raise Killed

    with pytest.raises(Killed):
        shop.worker("a", {Kind.BUILD: die}).run_next()
    shop.expire(operation)
    assert shop.worker("b", {Kind.BUILD: die}).run_next()
    assert shop.look(operation).status is OperationStatus.CANCELLED


def test_what_is_over_cannot_be_cancelled(shop: Shop) -> None:
    operation = shop.put_down(Kind.BUILD, shop.take().version_id)
    shop.worker("a", {Kind.BUILD: lambda _task: {}}).run_next()
    with pytest.raises(Conflict):
        _cancel(shop, operation)


def test_a_worker_that_is_stopped_gives_back_what_it_has(shop: Shop) -> None:
    operation = shop.put_down(Kind.BUILD, shop.take().version_id)
    shutdown = threading.Event()

    def stopped(task: Task) -> Mapping[str, Any]:
        shutdown.set()
        task("Working", 1, 2)
        raise AssertionError("was not stopped")

    shop.worker("a", {Kind.BUILD: stopped}, shutdown=shutdown).run_next()
    found = shop.look(operation)
    assert (found.status, found.tries, found.worker) == (OperationStatus.QUEUED, 0, None)
    assert shop.worker("b", {Kind.BUILD: lambda _task: {}}).run_next()
    assert shop.look(operation).status is OperationStatus.SUCCEEDED


def test_what_succeeded_is_in_no_phase_and_shows_its_last_step(shop: Shop) -> None:
    operation = shop.put_down(Kind.BUILD, shop.take().version_id)

    def build(task: Task) -> Mapping[str, Any]:
        for number in range(7):
            task("Building letters", number, 6)
        return {}

    assert shop.worker("a", {Kind.BUILD: build}).run_next()
    found = shop.look(operation)
    assert (found.phase, found.done, found.total) == ("", 6, 6)


def test_what_failed_shows_where(shop: Shop) -> None:
    operation = shop.put_down(Kind.BUILD, shop.take().version_id)

    def build(task: Task) -> Mapping[str, Any]:
        task("Building letters", 2, 6)
        raise MailerError("No.")

    assert shop.worker("a", {Kind.BUILD: build}).run_next()
    found = shop.look(operation)
    assert (found.phase, found.done, found.total) == ("Building letters", 2, 6)


def test_whoever_asked_is_whoever_does_it(shop: Shop) -> None:
    asker = Actor(
        shop.actor.tenant_id,
        shop.actor.kind,
        "k1",
        "Ada",
        frozenset({"campaign:build"}),
        address="192.0.2.7",
    )
    made = shop.take()
    with shop.program.sessions() as session:
        start_operation(
            session,
            asker,
            Kind.BUILD,
            now=shop.program.clock.now(),
            version_id=made.version_id,
        )
        session.commit()
    seen = []
    shop.worker("a", {Kind.BUILD: lambda task: seen.append(task.actor) or {}}).run_next()
    assert seen == [asker]


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        (None, None),
        ("revoked", "not valid any more"),
        ("expired", "not valid any more"),
        ("disabled", "not valid any more"),
        ("stripped", "the scope campaign:build is missing"),
        ("narrowed", "the scope campaign:build is missing"),
    ],
)
def test_what_the_key_of_somebody_may_do_counts_when_the_work_begins(
    shop: Shop, gone: str | None, says: str | None
) -> None:
    now = shop.program.clock.now()
    tenant_id = shop.actor.tenant_id
    asker = with_key(shop, ["campaign:build", "campaign:read"])
    asked = ask(shop, asker)
    with shop.program.sessions() as session:
        assert asker.user_id is not None
        user = access.user(session, tenant_id, asker.user_id)
        key = keys.api_key(session, tenant_id, UUID(asker.id))
        assert user is not None
        assert key is not None
        match gone:
            case "revoked":
                key.revoked_at = now
            case "expired":
                key.expires_at = now
            case "disabled":
                user.is_active = False
            case "stripped":
                users.set_roles(session, tenant_id, user.id, [])
            case "narrowed":
                key.scopes = ["campaign:read"]
        session.commit()
    check_refused(shop, asked, says)


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        (None, None),
        ("deleted", "may not sign in any more"),
        ("disabled", "may not sign in any more"),
        ("stripped", "the scope campaign:build is missing"),
    ],
)
def test_what_a_user_may_do_counts_when_the_work_begins(
    shop: Shop, gone: str | None, says: str | None
) -> None:
    tenant_id = shop.actor.tenant_id
    user_id = with_key(shop, ["campaign:build", "campaign:read"]).user_id
    assert user_id is not None
    scopes = frozenset({"campaign:build", "campaign:read"})
    asked = ask(
        shop, Actor(tenant_id, ActorKind.USER, str(user_id), "Ada", scopes, user_id=user_id)
    )
    with shop.program.sessions() as session:
        match gone:
            case "deleted":
                users.delete_user(session, tenant_id, user_id)
            case "disabled":
                user = access.user(session, tenant_id, user_id)
                assert user is not None
                user.is_active = False
            case "stripped":
                users.set_roles(session, tenant_id, user_id, [])
        session.commit()
    check_refused(shop, asked, says)


def with_key(shop: Shop, scopes: list[str]) -> Actor:
    """A key of a person who has a role of these scopes."""
    now = shop.program.clock.now()
    tenant_id = shop.actor.tenant_id
    with shop.program.sessions() as session:
        user = access.add_user(
            session, tenant_id, User(email="ada@example.org", display_name="Ada", created_at=now)
        )
        role = access.add_role(session, tenant_id, Role(name="builders", scopes=scopes))
        access.grant_role(session, tenant_id, user.id, role.id)
        key = create_api_key(session, tenant_id, "k", scopes, now, user_id=user.id)
        actor = authenticate_api_key(session, key.secret, now)
        session.commit()
    return actor


def ask(shop: Shop, asker: Actor) -> UUID:
    version_id = shop.take().version_id
    with shop.program.sessions() as session:
        asked = start_operation(
            session, asker, Kind.BUILD, now=shop.program.clock.now(), version_id=version_id
        )
        session.commit()
    return asked.id


def check_refused(shop: Shop, asked: UUID, says: str | None) -> None:
    undone: list[UUID] = []
    worker = shop.worker(
        works={Kind.BUILD: lambda _task: {}}, undo=lambda operation: undone.append(operation.id)
    )
    assert worker.run_next()
    found = shop.look(asked)
    if says is None:
        assert (found.status, undone) == (OperationStatus.SUCCEEDED, [])
        return
    assert (found.status, undone) == (OperationStatus.FAILED, [asked])
    assert found.problem is not None
    assert found.problem["error"][0] == "AccessDenied"
    assert says in found.problem["detail"]


def test_each_kind_asks_for_its_own_scope(shop: Shop) -> None:
    made = shop.take()
    reader = Actor.system(shop.actor.tenant_id, "Rita", ["campaign:read"])
    for kind in Kind:
        with shop.program.sessions() as session, pytest.raises(AccessDenied):
            start_operation(
                session,
                reader,
                kind,
                now=shop.program.clock.now(),
                version_id=made.version_id,
            )


def test_only_one_of_many_that_ask_at_once_gets_a_build(shop: Shop) -> None:
    version_id = shop.take().version_id
    gate = threading.Barrier(6)
    outcomes: list[str] = []

    def ask() -> None:
        gate.wait()
        try:
            shop.put_down(Kind.BUILD, version_id)
            outcomes.append("begun")
        except AlreadyRunning:
            outcomes.append("running")

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert Counter(outcomes) == {"begun": 1, "running": 5}


def test_a_chore_that_fails_stops_no_work(shop: Shop) -> None:
    operation = shop.put_down(Kind.BUILD, shop.take().version_id)
    shutdown = threading.Event()

    def chore() -> None:
        raise MailerError("The file store is away.")

    def build(_task: Task) -> Mapping[str, Any]:
        shutdown.set()
        return {}

    shop.worker("a", {Kind.BUILD: build}, shutdown=shutdown, chores=[chore]).run()
    assert shop.look(operation).status is OperationStatus.SUCCEEDED


def _cancel(shop: Shop, operation_id: UUID) -> bool:
    with shop.program.sessions() as session:
        _operation, is_new = request_cancel(
            session, shop.actor, operation_id, shop.program.clock.now()
        )
        session.commit()
    return is_new
