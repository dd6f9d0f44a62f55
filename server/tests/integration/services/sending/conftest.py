from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.services.sending.house import House, make_house
from tests.integration.services.sending.office import Office
from tests.servers.dovecot import DovecotServer
from tests.servers.smtp import SmtpServer


@pytest.fixture
def sqlite_house(sqlite_url: str, tmp_path: Path) -> Iterator[House]:
    yield from make_house(sqlite_url, tmp_path)


@pytest.fixture
def postgres_house(postgres_url: str, tmp_path: Path) -> Iterator[House]:
    yield from make_house(postgres_url, tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def house(request: pytest.FixtureRequest) -> House:
    """A house on SQLite and one on Postgres."""
    found: House = request.getfixturevalue(f"{request.param}_house")
    return found


@pytest.fixture
def office(sqlite_house: House, dovecot: DovecotServer, smtp_server: SmtpServer) -> Office:
    return Office(sqlite_house, dovecot, smtp_server, dovecot.new_user())
