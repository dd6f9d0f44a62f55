"""Workers as they are run: Celery's on a real Redis, and the one of an installation without."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.celery_app import QUEUES
from tests.e2e.test_interruption import SERVER, Site, make_site
from tests.integration.services.sending.house import letter, people, recipients
from tests.integration.services.sending.test_dispatch import version_of
from tests.servers.accounts import stop_process
from tests.servers.redis import RedisServer
from tests.servers.smtp import Act, SmtpServer

#: The readme's own.
CELERY = [
    *("celery", "-A", "app.celery_app.celery", "worker", "--loglevel=INFO"),
    *("--queues=send_email,append_sent,default", "--concurrency=1", "--prefetch-multiplier=1"),
]
EMBEDDED = ["app.mailer.commands.run_delivery"]
WITHIN = 100.0

pytestmark = pytest.mark.timeout(400)


class Workers:
    """Processes that send for one installation."""

    def __init__(self, site: Site, url: str, redis_url: str = "") -> None:
        self._environment = {
            "APP_ENV": "test",
            "DATABASE_URL": url,
            "REDIS_URL": redis_url,
            "BLOB_DIR": str(site.house.folder / "blobs"),
            "JOURNAL_DIR": str(site.house.journals),
            "MASTER_KEY_B64": base64.b64encode(bytes(32)).decode(),
        }
        self.log = site.house.folder / "workers.log"
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, command: list[str], *options: str, **settings: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command, *options],
                cwd=SERVER,
                env={**os.environ, **self._environment, **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def stop(self) -> None:
        for process in self.started:
            stop_process(process, signal.SIGTERM, 30)
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """It and its pool."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def until(what: Callable[[], object], seconds: float = WITHIN) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def settled(site: Site, campaign: UUID) -> bool:
    return not {"queued", "claimed", "committing", "deferred"} & set(site.house.statuses(campaign))


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    yield from make_site(database_url, tmp_path)


@pytest.fixture
def celery_site(postgres_url: str, tmp_path: Path) -> Iterator[Site]:
    yield from make_site(postgres_url, tmp_path)


@pytest.fixture
def workers(celery_site: Site, postgres_url: str, redis_url: str) -> Iterator[Workers]:
    made = Workers(celery_site, postgres_url, redis_url)
    yield made
    made.stop()


def test_a_worker_sends_what_is_queued_and_ends_warmly(
    celery_site: Site, workers: Workers, smtp_server: SmtpServer
) -> None:
    campaign = celery_site.house.queued(letter(smtp_server.port, 30))
    worker = workers.start(CELERY)
    until(lambda: settled(celery_site, campaign))
    assert celery_site.house.statuses(campaign) == ["sent"] * 30
    assert recipients(smtp_server) == people(30)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert "Traceback" not in workers.log.read_text()
    assert not list(celery_site.house.journals.glob("*/*"))


def test_a_warm_end_finishes_the_letter_in_hand(
    celery_site: Site, workers: Workers, start_smtp: Callable[..., SmtpServer]
) -> None:
    server = start_smtp(script={"DOT": [None, Act(delay=3)]})
    campaign = celery_site.house.queued(letter(server.port, 20))
    worker = workers.start(CELERY)
    until(lambda: server.log.count("DATA") == 2)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert Counter(celery_site.house.statuses(campaign)) == {"sent": 2, "queued": 18}
    assert len(server.messages) == 2


def test_killed_at_any_moment_a_worker_doubles_and_loses_nothing(
    celery_site: Site, workers: Workers, start_smtp: Callable[..., SmtpServer]
) -> None:
    server = start_smtp(script={"DOT": [Act(delay=0.02)] * 200})
    campaign = celery_site.house.queued(
        letter(server.port, 120, delivery={"rate_limit": {"concurrency": 2}})
    )
    for number in (15, 50, 80):
        worker = workers.start(CELERY)
        until(lambda wanted=number: len(server.messages) >= wanted)  # type: ignore[misc]
        kill(worker)
    workers.start(CELERY)
    until(lambda: settled(celery_site, campaign))
    counted = Counter(celery_site.house.statuses(campaign))
    assert set(counted) <= {"sent", "in_doubt"}
    # At most one dot of each connection was on its way.
    assert counted["in_doubt"] <= 3 * 2
    got = Counter(recipients(server))
    assert max(got.values()) == 1
    assert counted["sent"] <= len(got) <= 120


def test_a_redis_that_forgets_everything_costs_nothing(
    celery_site: Site,
    postgres_url: str,
    start_redis: Callable[..., RedisServer],
    start_smtp: Callable[..., SmtpServer],
) -> None:
    server = start_smtp(script={"DOT": [Act(delay=0.02)] * 200})
    redis_server = start_redis()
    workers = Workers(celery_site, postgres_url, redis_server.url)
    campaign = celery_site.house.queued(letter(server.port, 60))
    try:
        for number in (1, 2):
            workers.start(CELERY, f"--hostname=worker{number}@test")
        until(lambda: len(server.messages) >= 10)
        redis_server.flush()
        until(lambda: len(server.messages) >= 25)
        redis_server.restart()
        until(lambda: settled(celery_site, campaign))
    finally:
        workers.stop()
    assert celery_site.house.statuses(campaign) == ["sent"] * 60
    assert recipients(server) == people(60)


def test_a_task_that_comes_five_times_to_several_workers_sends_once(
    celery_site: Site, workers: Workers, smtp_server: SmtpServer, redis_url: str
) -> None:
    from app.mailer.adapters.bell import CeleryBell

    house = celery_site.house
    limit = {"rate_limit": {"concurrency": 4}}
    campaign = house.queued(letter(smtp_server.port, 40, delivery=limit))
    bell = CeleryBell(_celery(redis_url), redis_url, 5)
    for _ in range(5):
        bell.send(house.actor.tenant_id, version_of(house, campaign).id)
        bell.heard_send(version_of(house, campaign).id)
    for number in range(3):
        workers.start(CELERY, f"--hostname=worker{number}@test")
    until(lambda: settled(celery_site, campaign))
    assert recipients(smtp_server) == people(40)
    assert {len(house.attempts(job)) for job in house.jobs(campaign)} == {1}


def _celery(redis_url: str) -> Any:
    from celery import Celery
    from kombu.entity import Exchange, Queue

    app = Celery("test", broker=redis_url)
    app.conf.task_queues = [Queue(name, Exchange(name), routing_key=name) for name in QUEUES]  # type: ignore[no-untyped-call]
    return app


# -- without Redis


def test_the_embedded_sender_goes_on_where_it_was_stopped(
    site: Site, database_url: str, start_smtp: Callable[..., SmtpServer]
) -> None:
    server = start_smtp(script={"DOT": [Act(delay=0.02)] * 200})
    workers = Workers(site, database_url)
    campaign = site.house.queued(letter(server.port, 60))
    try:
        first = workers.start(EMBEDDED)
        until(lambda: len(server.messages) >= 10)
        first.send_signal(signal.SIGTERM)
        assert first.wait(30) == 0
        assert set(site.house.statuses(campaign)) == {"sent", "queued"}
        workers.start(EMBEDDED)
        until(lambda: settled(site, campaign))
    finally:
        workers.stop()
    assert site.house.statuses(campaign) == ["sent"] * 60
    assert recipients(server) == people(60)


def test_of_two_embedded_senders_one_sends_and_the_other_takes_over(
    site: Site, database_url: str, start_smtp: Callable[..., SmtpServer]
) -> None:
    server = start_smtp(script={"DOT": [Act(delay=0.05)] * 200})
    workers = Workers(site, database_url)
    limit = {"rate_limit": {"concurrency": 2}}
    campaign = site.house.queued(letter(server.port, 60, delivery=limit))
    try:
        first = workers.start(EMBEDDED)
        until(lambda: len(server.messages) >= 5)
        workers.start(EMBEDDED)
        until(lambda: len(server.messages) >= 20)
        assert len({job.worker for job in site.house.jobs(campaign)} - {None}) <= 1
        kill(first)
        until(lambda: settled(site, campaign))
    finally:
        workers.stop()
    counted = Counter(site.house.statuses(campaign))
    assert set(counted) <= {"sent", "in_doubt"}
    assert counted["in_doubt"] <= 2
    assert max(Counter(recipients(server)).values()) == 1
