"""A short torture: three senders at once, killed, frozen, stopped by lot; a server that lies.

Two records are compared in the end, the server's own and the database's. What happens differs from
run to run, since processes do; what must hold does not.
"""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from app.db.models import AttemptOutcome
from tests.e2e.test_interruption import Site, make_site, outcome
from tests.integration.services.sending.house import letter
from tests.servers.smtp import DROP, KEEP_AND_DROP, Act, SmtpServer

LETTERS = 40
OPEN = {"queued", "claimed", "committing", "deferred"}
RESTLESS_SECONDS = 5.0

#: What the server does by lot, of a hundred times that it comes to a step.
MOODS: dict[str, list[tuple[float, Act]]] = {
    "CONNECT": [(2, DROP), (2, Act("421 4.3.2 too busy", close=True))],
    "MAIL": [(3, Act("451 4.3.0 not now")), (1, DROP), (1, Act("550 5.7.1 never"))],
    "RCPT": [(3, Act("451 4.2.1 later")), (2, Act("550 5.1.1 unknown")), (1, DROP)],
    "DATA": [(2, Act("451 4.3.0 later")), (1, DROP), (1, Act("421 4.7.0 slow", close=True))],
    "TEXT": [(2, DROP), (1, Act(drop=True, reset=True))],
    "DOT": [
        (4, Act("451 4.3.0 later")),
        (3, Act("554 5.7.1 spam")),
        (3, DROP),
        (3, KEEP_AND_DROP),
        (2, Act(b"junk\r\n", keep=True)),
        (1, Act("421 4.3.0 bye", close=True)),
        (8, Act(delay=0.3)),
    ],
}


class MoodyServer(SmtpServer):
    """Until it is `calm`."""

    def __init__(self, seed: int) -> None:
        super().__init__(pipelining=bool(seed % 2))
        self._chance = random.Random(seed)
        self.calm = False

    def next_act(self, step: str) -> Act:
        with self._lock:
            drawn = self._chance.uniform(0, 100)
        for share, act in MOODS.get(step, []):
            if drawn < share and not self.calm:
                return act
            drawn -= share
        return Act()


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    yield from make_site(database_url, tmp_path)


def test_whatever_happens_every_letter_is_accounted_for(site: Site) -> None:
    seed = 1
    with MoodyServer(seed) as server:
        campaign = site.house.queued(
            letter(
                server.port,
                LETTERS,
                delivery={
                    "rate_limit": {"concurrency": 1 + seed, "messages_per_minute": 6_000},
                    "retry": {"max_attempts": 50, "backoff_seconds": 1},
                },
            )
        )
        _torment(site, campaign, server, random.Random(seed))
        server.calm = True
        for _ in range(20):
            report = outcome(site.start(campaign))[1]
            if not report["waiting"]:
                break
            time.sleep(0.5)
        received: dict[str, list[str]] = {}
        for message in list(server.messages):
            digest = hashlib.sha256(message.data).hexdigest()
            received.setdefault(message.recipients[0], []).append(digest)
    assert server.violations == []

    statuses: Counter[str] = Counter()
    for job in site.house.jobs(campaign):
        got = received.get(job.recipients[0], [])
        statuses[job.send_status.value] += 1
        assert got in ([], [job.sha256])
        if job.send_status.value == "sent":
            assert got, job.entry_id
        elif job.send_status.value == "failed":
            assert not got, job.entry_id
        attempts = site.house.attempts(job)
        if job.send_status.value == "in_doubt":
            assert (attempts[-1].outcome, attempts[-1].code) == (AttemptOutcome.UNKNOWN, None)
        assert [each.number for each in attempts] == list(range(1, len(attempts) + 1))
        assert all(each.outcome is not None for each in attempts)
        assert (job.worker, job.lease_until) == (None, None)
    assert set(statuses) <= {"sent", "failed", "in_doubt"}
    assert statuses.total() == LETTERS
    assert list((site.house.journals / str(site.house.actor.tenant_id)).iterdir()) == []


def _torment(site: Site, campaign: UUID, server: SmtpServer, chance: random.Random) -> None:
    """Keeps three senders alive and troubles them, until nothing is open or time is up."""
    running: list[subprocess.Popen[str]] = []
    end = time.monotonic() + RESTLESS_SECONDS
    while time.monotonic() < end and OPEN & set(site.house.statuses(campaign)):
        running = [process for process in running if process.poll() is None]
        while len(running) < 3:
            running.append(site.start(campaign))
        time.sleep(chance.uniform(0.2, 0.8))
        victim = chance.choice(running)
        match chance.choice(["kill", "kill", "freeze", "stop", "cut"]):
            case "kill":
                victim.kill()
            case "freeze":
                victim.send_signal(signal.SIGSTOP)
                time.sleep(chance.uniform(0.1, 0.5))
                victim.send_signal(signal.SIGCONT)
            case "stop":
                victim.send_signal(signal.SIGTERM)
            case "cut":
                server.disconnect_all()
    for process in running:
        process.communicate(timeout=60)
