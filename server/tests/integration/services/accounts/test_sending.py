"""Sending by a stored account: at its pace, over its connections, into private networks never."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update

from app.db.models import CampaignVersion, MailAccount
from app.mailer.adapters.limiter_memory import MemoryLimiter
from app.mailer.adapters.smtp import SmtpTransport
from app.mailer.domain.hosts import HostRules
from app.mailer.ports import Allowance, MailTransport, Security, ServerAccess
from app.mailer.services.account_servers import sealed_password
from tests.integration.services.sending.house import (
    START,
    House,
    letter,
    make_house,
    people,
    recipients,
)
from tests.servers.smtp import SmtpServer


class Watched(MemoryLimiter):
    """Notes what it is asked."""

    def __init__(self, house: House) -> None:
        super().__init__(house.clock)
        self.asked: set[Allowance] = set()

    def reserve(self, allowances: Sequence[Allowance], patience: float) -> float:
        self.asked |= {each for each in allowances if each.is_limit}
        return super().reserve(allowances, patience)


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[House]:
    for made in make_house(database_url, tmp_path):
        made.connect = partial(SmtpTransport, hosts=HostRules(everything=True))
        yield made


def account(house: House, server: SmtpServer, **values: Any) -> MailAccount:
    made = MailAccount(
        id=uuid4(),
        tenant_id=house.actor.tenant_id,
        name="office",
        smtp_host=server.host,
        smtp_port=server.port,
        smtp_security=Security.PLAIN,
        smtp_auth="password",
        smtp_username="office",
        from_addresses=[],
        created_at=START,
        updated_at=START,
        **values,
    )
    made.smtp_password = sealed_password(made, "smtp", "hunter2", house.box)
    with house.sessions() as session:
        session.add(made)
        session.commit()
    return made


def by_account(count: int = 1, **delivery: Any) -> dict[str, Any]:
    campaign = letter(0, count, delivery=delivery)
    return {**campaign, "server": {"account": "office"}}


@pytest.fixture
def server(start_smtp: Any) -> SmtpServer:
    made: SmtpServer = start_smtp(users={"office": "hunter2"})
    return made


@pytest.mark.parametrize(
    ("limits", "own", "rate_limit"),
    [
        ({"per_minute": 30.0}, 600, True),
        ({"per_minute": 30.0, "per_hour": 60}, 600, True),
        ({"per_day": 2880}, 600, False),
        ({}, 20, True),
    ],
)
def test_the_limits_of_account_and_campaign_both_hold(
    house: House, server: SmtpServer, limits: dict[str, Any], own: int, rate_limit: bool
) -> None:
    stored = account(house, server, **limits)
    limiter = Watched(house)
    house.limiter = limiter
    campaign_id = house.queued(by_account(2, rate_limit={"messages_per_minute": own}))
    report = house.send(campaign_id, rate_limit=rate_limit)
    assert report.stopped is None, report.stopped
    assert recipients(server) == people(2)
    expected = {
        Allowance(f"account:{stored.id}", **limits),
        Allowance(f"campaign:{campaign_id}", own if rate_limit else None),
    }
    assert limiter.asked == {each for each in expected if each.is_limit}


@pytest.mark.parametrize(("limits", "length"), [({"per_hour": 3}, 3600), ({"per_day": 3}, 86400)])
def test_a_budget_counts_what_was_sent_before_by_any_campaign(
    house: House, server: SmtpServer, limits: dict[str, Any], length: int
) -> None:
    stored = account(house, server, **limits)
    first = house.queued(by_account(2))
    house.send(first)
    with house.sessions() as session:
        session.execute(update(CampaignVersion).values(account_id=stored.id))
        session.commit()
    house.limiter = MemoryLimiter(house.clock)  # of another process, that knows nothing
    second = house.queued(
        by_account(2) | {"campaign": {"id": "second", "name": "Second", "mode": "send"}}
    )
    began = house.clock.monotonic()
    assert house.send(second).stopped is None
    # One of it still today, the other when the first two are older than the budget's time.
    assert began + length <= house.clock.monotonic() <= began + length * 1.05
    assert len(recipients(server)) == 4


def test_no_more_connections_than_the_account_allows(house: House, server: SmtpServer) -> None:
    account(house, server, concurrency=1)
    connect, lock, made = house.connect, threading.Lock(), []

    def counted(access: ServerAccess) -> MailTransport:
        with lock:
            made.append(access)
        return connect(access)

    house.connect = counted
    campaign_id = house.queued(
        by_account(4, rate_limit={"messages_per_minute": None, "concurrency": 3})
    )
    assert house.send(campaign_id).stopped is None
    assert len(made) == 1
    assert recipients(server) == people(4)


def test_an_account_is_not_reached_in_a_private_network(house: House, server: SmtpServer) -> None:
    account(house, server)
    campaign_id = house.queued(by_account())
    house.connect = SmtpTransport
    report = house.send(campaign_id)
    assert report.stopped is not None
    assert "private network" in report.stopped
    assert house.statuses(campaign_id) == ["queued"]
    assert server.connections == 0


def test_a_password_that_was_forgotten_stops_the_run_and_loses_nothing(
    house: House, server: SmtpServer
) -> None:
    account(house, server)
    campaign_id = house.queued(by_account())
    with house.sessions() as session:
        session.execute(MailAccount.__table__.update().values(smtp_password=None))  # type: ignore[attr-defined]
        session.commit()
    report = house.send(campaign_id)
    assert report.stopped is not None
    assert "no password" in report.stopped
    assert house.statuses(campaign_id) == ["queued"]
