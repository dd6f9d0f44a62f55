"""A process that sends, while nobody can be rung for."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from app.bootstrap.delivery import PostOffice
from app.bootstrap.program import Program
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.ports import BellAway
from app.settings import Settings
from tests.integration.services.sending.house import House, letter, make_house, people, recipients
from tests.integration.services.sending.test_dispatch import version_of
from tests.servers.smtp import SmtpServer


class NoBells:
    """As Redis that went away between a task and its end."""

    def send(self, tenant: UUID, version: UUID) -> None:
        raise BellAway("Redis does not answer.")

    append = send

    def heard_send(self, version: UUID) -> None:
        raise BellAway("Redis does not answer.")

    heard_append = heard_send

    def dispatch(self) -> None:
        raise BellAway("Redis does not answer.")


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[House]:
    yield from make_house(database_url, tmp_path)


@pytest.fixture
def office(house: House, database_url: str) -> Iterator[PostOffice]:
    settings = Settings(
        database_url=database_url,
        blob_dir=house.folder / "blobs",
        journal_dir=house.journals,
        master_key_b64=base64.b64encode(bytes(32)).decode(),
    )
    program = Program(settings)
    made = PostOffice(program, NoBells(), threading.Event())
    yield made
    made.close()
    program.engine.dispose()


def test_letters_are_sent_though_nobody_can_be_rung_for(
    house: House, office: PostOffice, smtp_server: SmtpServer, caplog: pytest.LogCaptureFixture
) -> None:
    campaign = house.queued(letter(smtp_server.port, 3))
    done = office.send(house.actor.tenant_id, version_of(house, campaign).id, 30)
    assert done.outcomes == {SendStatus.SENT: 3}
    assert recipients(smtp_server) == people(3)
    assert "Nobody could be rung for: Redis does not answer." in caplog.text


def test_a_dispatch_and_copies_outlive_it_too(
    house: House, office: PostOffice, smtp_server: SmtpServer
) -> None:
    campaign = house.queued(letter(smtp_server.port, 1))
    assert office.dispatch() is None
    office.append(house.actor.tenant_id, campaign, 5)
    assert house.statuses(campaign) == ["queued"]
