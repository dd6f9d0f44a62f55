"""The real command, interrupted by real signals at any moment, then run again.

Nobody gets a second letter, nobody is forgotten, and what nobody can know is in doubt and shown.
"""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.access.keys import create_api_key
from app.access.scopes import Scope
from app.mailer.adapters.clock import SystemClock
from app.mailer.domain.delivery.job import SendStatus
from tests.integration.services.sending.house import House, letter, make_house, people, recipients
from tests.servers.dovecot import PASSWORD, DovecotServer
from tests.servers.smtp import Act, SmtpServer

SERVER = Path(__file__).parents[2]

#: Places of the engine where a process may die, and what then is in doubt: before the dot nothing,
#: however many are allowed it; with the dot noted and no answer on disk one message.
ENGINE = {
    "after_claim": 0,
    "after_stage": 0,
    "before_commit": 0,
    "after_commit": 0,
    "before_dot": 1,
    "after_dot": 1,
    "after_journal": 0,
    "after_record": 0,
}
RECOVERY = ("recover_before_replay", "recover_before_expire", "recover_before_discard")


class Site:
    """An installation whose commands run as processes of their own."""

    def __init__(self, house: House, url: str, api_key: str) -> None:
        self.house = house
        self._url = url
        self._api_key = api_key
        self.started: list[subprocess.Popen[str]] = []

    def start(
        self,
        campaign: UUID,
        *options: str,
        command: str = "send_queued_jobs",
        failpoints: str = "",
        terminal: int = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", f"app.mailer.commands.{command}"),
                *("--campaign-id", str(campaign), "--json", *options),
            ],
            cwd=SERVER,
            env={
                **os.environ,
                "APP_ENV": "dev",
                "DATABASE_URL": self._url,
                "BLOB_DIR": str(self.house.folder / "blobs"),
                "JOURNAL_DIR": str(self.house.journals),
                "MASTER_KEY_B64": base64.b64encode(bytes(32)).decode(),
                "MULTIMAILER_API_KEY": self._api_key,
                "FAILPOINTS": failpoints,
            },
            stdout=terminal,
            stderr=terminal,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, campaign: UUID, *options: str, **more: Any) -> tuple[int, dict[str, Any]]:
        return outcome(self.start(campaign, *options, **more))


def outcome(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """Exit code and printed JSON, once the process has ended."""
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return process.returncode, json.loads(out) if out else {}


@pytest.fixture
def site(sqlite_url: str, tmp_path: Path) -> Iterator[Site]:
    yield from make_site(sqlite_url, tmp_path)


def make_site(url: str, folder: Path) -> Iterator[Site]:
    """An installation around a migrated database; what was started is ended with it."""
    for house in make_house(url, folder):
        house.clock = SystemClock()  # type: ignore[assignment]
        with house.sessions() as session:
            key = create_api_key(
                session, house.actor.tenant_id, "Test", [Scope.EVERYTHING], house.clock.now()
            )
            session.commit()
        site = Site(house, url, key.secret)
        yield site
        for process in site.started:
            process.kill()
            process.communicate()


def check(site: Site, campaign: UUID, server: SmtpServer, *, final: bool = False) -> Counter[str]:
    """What must hold after every interruption; with `final`, after the last run too."""
    got = Counter(recipients(server))
    assert set(got.values()) <= {1}, got
    statuses: Counter[str] = Counter()
    for job in site.house.jobs(campaign):
        statuses[job.send_status.value] += 1
        if job.send_status is SendStatus.SENT:
            assert got[job.recipients[0]] == 1
        elif job.send_status not in (SendStatus.IN_DOUBT, SendStatus.COMMITTING):
            assert got[job.recipients[0]] == 0
    if final:
        assert set(statuses) <= {"sent", "in_doubt"}
        assert list((site.house.journals / str(site.house.actor.tenant_id)).iterdir()) == []
    assert server.violations == []
    return statuses


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_a_process_may_die_at_every_place(site: Site, smtp_server: SmtpServer) -> None:
    """One campaign with a run of bad luck: each run dies somewhere, the next one takes over."""
    # A window or two for each run.
    many = 120
    campaign = site.house.queued(letter(smtp_server.port, many))
    doubts = 0
    for place, doubtful in ENGINE.items():
        # One claim is for many letters, so its first visit; else one letter gets through before.
        visit = 1 if place == "after_claim" else 2
        code, _ = site.run(campaign, failpoints=f"{place}:exit@{visit}")
        assert code == -signal.SIGKILL, place
        check(site, campaign, smtp_server)
        doubts += doubtful
    for place in RECOVERY:
        code, _ = site.run(campaign, failpoints=f"{place}:exit")
        assert code == -signal.SIGKILL, place
        check(site, campaign, smtp_server)
    code, report = site.run(campaign)
    assert (code, report["waiting"], report["in_doubt"]) == (1, 0, doubts)
    statuses = check(site, campaign, smtp_server, final=True)
    assert statuses == {"sent": many - doubts, "in_doubt": doubts}
    # After `after_dot` the server has it, after `before_dot` it has not: both look the same.
    assert len(recipients(smtp_server)) == many - doubts + 1

    code, shown = site.run(campaign, command="campaign_report")
    assert (code, shown["send"]["in_doubt"], shown["send"]["sent"]) == (0, doubts, many - doubts)
    again = site.run(campaign)[1]
    assert (again["due"], again["outcomes"]) == (0, {})


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_stop_it_finishes_the_letter_in_hand(
    site: Site, start_smtp: Callable[..., SmtpServer], asked: signal.Signals
) -> None:
    server = start_smtp(script={"DOT": [Act(delay=0.1)] * 8})
    campaign = site.house.queued(letter(server.port, 8))
    process = site.start(campaign)
    wait_for(lambda: len(server.messages) == 2)
    time.sleep(random.Random(asked).uniform(0, 0.1))
    process.send_signal(asked)
    code, report = outcome(process)
    assert (code, report["interrupted"], report["in_doubt"]) == (1, True, 0)
    statuses = check(site, campaign, server)
    assert set(statuses) == {"sent", "queued"}
    assert statuses["sent"] == report["outcomes"]["sent"] == len(server.messages)
    code, report = site.run(campaign)
    assert (code, report["waiting"], report["recovered"]["queued_again"]) == (0, 0, 0)
    check(site, campaign, server, final=True)
    assert recipients(server) == people(8)


def test_a_terminal_that_is_closed_leaves_nothing_in_doubt(
    site: Site, start_smtp: Callable[..., SmtpServer]
) -> None:
    server = start_smtp(script={"DOT": [Act(delay=0.3)] * 6})
    campaign = site.house.queued(letter(server.port, 6))
    terminal, end = os.openpty()
    process = site.start(campaign, terminal=end)
    os.close(end)
    wait_for(lambda: len(server.messages) == 2)
    # The kernel and the shell both tell of it.
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    process.wait(60)
    time.sleep(0.1)
    statuses = check(site, campaign, server)
    assert set(statuses) == {"sent", "queued"}
    code, report = site.run(campaign)
    assert (code, report["recovered"]["in_doubt"]) == (0, 0)
    assert recipients(server) == people(6)


def test_asked_twice_it_ends_at_once(site: Site, start_smtp: Callable[..., SmtpServer]) -> None:
    server = start_smtp(script={"DOT": [None, Act(delay=8.0)]})
    campaign = site.house.queued(letter(server.port, 4))
    process = site.start(campaign)
    wait_for(lambda: server.log.count("DATA") == 2)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert time.monotonic() - begun < 4
    assert process.returncode == 1
    server.disconnect_all()
    code, report = site.run(campaign)
    assert (code, report["waiting"], report["in_doubt"]) == (1, 0, 1)
    check(site, campaign, server, final=True)


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment(site: Site, start_smtp: Callable[..., SmtpServer], seed: int) -> None:
    chance = random.Random(seed)
    server = start_smtp(
        script={step: [Act(delay=0.01)] * 60 for step in ("MAIL", "RCPT", "DATA", "DOT")},
        pipelining=False,
    )
    campaign = site.house.queued(
        letter(server.port, 12, delivery={"rate_limit": {"concurrency": 1 + seed % 3}})
    )
    process = site.start(campaign)
    wait_for(lambda: len(server.messages) >= chance.randint(1, 6))
    time.sleep(chance.uniform(0, 0.06))
    process.kill()
    process.communicate()
    time.sleep(0.1)  # the server may still be handling the last dot
    check(site, campaign, server)
    _, report = site.run(campaign)
    assert report["waiting"] == 0
    statuses = check(site, campaign, server, final=True)
    # One for each connection is all that a kill can leave in doubt.
    assert statuses["in_doubt"] == report["in_doubt"] <= 1 + seed % 3
    assert statuses["sent"] == 12 - report["in_doubt"]


@pytest.mark.parametrize("kill", [False, True])
def test_two_at_once(site: Site, start_smtp: Callable[..., SmtpServer], kill: bool) -> None:
    both = threading.Event()
    server = start_smtp(script={"MAIL": [Act(delay=0.02, until=both)] * 60})
    campaign = site.house.queued(
        letter(server.port, 40, delivery={"rate_limit": {"concurrency": 3}})
    )
    processes = [site.start(campaign), site.start(campaign)]
    wait_for(lambda: server.connections == 6)
    both.set()
    if kill:
        wait_for(lambda: len(server.messages) >= 4)
        processes[0].kill()
        processes[0].communicate()
        _, report = outcome(processes[1])
        assert report["stopped"] is None
        time.sleep(0.1)
        check(site, campaign, server)
        _, report = site.run(campaign)
        assert report["waiting"] == 0
    else:
        sent = [outcome(process)[1]["outcomes"]["sent"] for process in processes]
        assert sum(sent) == 40
        assert min(sent) >= 3
    statuses = check(site, campaign, server, final=True)
    assert statuses["sent"] + statuses["in_doubt"] == 40
    assert statuses["in_doubt"] <= (3 if kill else 0)


def with_copies(smtp: SmtpServer, imap: DovecotServer, user: str) -> dict[str, Any]:
    """A campaign of three letters whose copies go to `user`'s Sent folder."""
    document = letter(smtp.port, 3, delivery={"imap_append_sent": {"enabled": True}})
    document["server"]["imap"] = {
        "host": imap.host,
        "port": imap.port,
        "security": "plain",
        "username": user,
        "password": PASSWORD,
    }
    return document


@pytest.mark.parametrize("command", ["send_queued_jobs", "append_pending_sent"])
def test_copies_that_a_fault_left_behind_are_filed_at_once(
    site: Site, smtp_server: SmtpServer, dovecot: DovecotServer, command: str
) -> None:
    user = dovecot.new_user()
    campaign = site.house.queued(with_copies(smtp_server, dovecot, user))
    options = ["--append-sent"]
    if command == "append_pending_sent":
        assert site.run(campaign)[0] == 0
        options = []
    broken = site.start(campaign, *options, command=command, failpoints="before_append:raise@2")
    assert "FailpointReached" in broken.communicate(timeout=60)[1]
    assert len(dovecot.messages(user, "Gesendet")) == 1
    code, report = site.run(campaign, command="append_pending_sent")
    assert (code, report["pending"]) == (0, 0)
    assert report["outcomes"] == {"appended": 2}
    assert len(dovecot.messages(user, "Gesendet")) == 3


def test_copies_survive_a_death_before_and_after_filing(
    site: Site, smtp_server: SmtpServer, dovecot: DovecotServer
) -> None:
    user = dovecot.new_user()
    campaign = site.house.queued(with_copies(smtp_server, dovecot, user))
    code, _ = site.run(campaign, "--append-sent", failpoints="before_append:exit@2")
    assert code == -signal.SIGKILL
    assert len(dovecot.messages(user, "Gesendet")) == 1
    append = "append_pending_sent"
    code, _ = site.run(campaign, command=append, failpoints="after_append:exit")
    assert code == -signal.SIGKILL
    assert len(dovecot.messages(user, "Gesendet")) == 2
    code, report = site.run(campaign, command=append)
    assert (code, report["pending"], report["failed"]) == (0, 0, 0)
    assert report["outcomes"] == {"appended": 1, "already_there": 1}
    copies = dovecot.messages(user, "Gesendet")
    assert sorted(copies) == sorted(message.data for message in smtp_server.messages)
    assert len(copies) == 3
    assert site.run(campaign)[0] == 0
    check(site, campaign, smtp_server, final=True)
